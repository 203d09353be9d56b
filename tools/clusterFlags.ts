/** The command line flags that name a cluster: `--kubeconfig [FILE]`, `--context NAME`, `--namespace NAME`. */
import * as Flag from "effect/cli/Flag"

/** The flags. `--kubeconfig` without a file is the empty string. */
export const flags = {
  kubeconfig: Flag.String("kubeconfig").pipe(
    Flag.withOptionalValue(""),
    Flag.optional,
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Run on the cluster of this kubeconfig instead of an embedded server; without FILE, on the one that kubectl would use (KUBECONFIG, ~/.kube/config, in-cluster)"
    )
  ),
  context: Flag.String("context").pipe(
    Flag.optional,
    Flag.withMetavar("NAME"),
    Flag.withDescription("The kubeconfig's context to use (default: its current one)")
  ),
  namespace: Flag.String("namespace").pipe(
    Flag.withAlias("n"),
    Flag.optional,
    Flag.withMetavar("NAME"),
    Flag.withDescription("Where the objects are made, and deleted at the end (default: the context's namespace)")
  )
}

/** Turns `--kubeconfig FILE` into `--kubeconfig=FILE`, the form that a flag with an optional value takes. */
export const joined = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args.flatMap((arg, index) => {
    if (args[index - 1] === "--kubeconfig" && !arg.startsWith("-")) return []
    const next = args[index + 1]
    return arg === "--kubeconfig" && next !== undefined && !next.startsWith("-") ? [`${arg}=${next}`] : [arg]
  })

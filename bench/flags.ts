/** The command line of the load tester: flags, their ranges, and what they mean together. */
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Protocol } from "./contest.ts"
import * as duration from "./duration.ts"
import { LoadError } from "./loadError.ts"
import type { Settings } from "./loadTest.ts"

/** A flag for a whole number in a range. */
export const whole = (name: string, range: readonly [min: number, max: number], description: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => {
        const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
        return value >= range[0] && value <= range[1] ? Option.some(value) : Option.none()
      },
      () => `a whole number from ${range[0]} to ${range[1]}`
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(description)
  )

const time = (name: string, range: readonly [min: Duration.Duration, max: Duration.Duration], description: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => Option.filter(duration.parse(text), Duration.between({ minimum: range[0], maximum: range[1] })),
      () =>
        `a duration from ${Duration.format(range[0])} to ${Duration.format(range[1])}, such as 500ms, 10s or "10 seconds"`
    ),
    Flag.withMetavar("DURATION"),
    Flag.withDescription(description)
  )

const protocols = ["kubelock", "dex"] as const satisfies ReadonlyArray<Protocol>

/** The flags. */
export const flags = {
  duration: time(
    "duration",
    [Duration.millis(1), Duration.days(1)],
    'How long the contest lasts: 500ms, 10s, 2m, or "10 seconds"; with --compare, for each protocol (default 10s)'
  ).pipe(Flag.withDefault(Duration.seconds(10))),
  threads: whole("threads", [1, 64], "Threads, each with its own connections (default 4)").pipe(Flag.withDefault(4)),
  fibers: whole("fibers", [1, 1024], "Contending fibers in each thread (default 8)").pipe(Flag.withDefault(8)),
  hold: time("hold", [Duration.zero, Duration.days(1)], "How long the lock is held each time (default 0ms)").pipe(
    Flag.withDefault(Duration.zero)
  ),
  ids: whole("ids", [1, 1000], "How many objects there are to lock (default 1)").pipe(Flag.withDefault(1)),
  protocol: Flag.Literals("protocol", protocols).pipe(
    Flag.withDefault("kubelock" as const),
    Flag.withDescription("Whose lock: kubelock's, or Dex's own as a baseline (default kubelock)")
  ),
  compare: Flag.Boolean("compare").pipe(
    Flag.withDefault(false),
    Flag.withDescription(
      "Run both protocols in turns, after both have warmed up, and show the ratio of kubelock to Dex"
    )
  ),
  seed: whole(
    "seed",
    [0, 2 ** 31 - 1],
    "Decides what is chosen at random, such as which object is locked next; it is shown with the figures (default: any)"
  ).pipe(Flag.optional),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print the figures as one JSON object, the last line of standard output")
  ),
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
  ),
  resource: Flag.String("resource").pipe(
    Flag.withDefault("refreshtokens"),
    Flag.withMetavar("KIND"),
    Flag.withDescription(
      "What is locked: refreshtokens, configmaps, secrets, or any PLURAL.VERSION.GROUP (default refreshtokens)"
    )
  )
}

/** What the flags say. */
export type Given = { readonly [Name in keyof typeof flags]: ValueOf<(typeof flags)[Name]> }

type ValueOf<F> = F extends Flag.Flag<infer A> ? A : never

/** The settings that the flags mean. */
export const toSettings = Effect.fnUntraced(function* (given: Given): Effect.fn.Return<Settings, LoadError> {
  const { compare, context, kubeconfig, namespace, protocol, resource, seed, ...rest } = given
  if (Option.isSome(context) && Option.isNone(kubeconfig)) {
    return yield* new LoadError({ message: "--context needs --kubeconfig: without it an embedded server is used" })
  }
  return {
    ...rest,
    protocols: compare ? protocols : [protocol],
    seed: Option.getOrElse(seed, () => crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1),
    target: {
      kubeconfig: Option.getOrUndefined(
        Option.map(kubeconfig, (file) => ({
          _tag: "KubeConfig",
          file: file === "" ? undefined : file,
          context: Option.getOrUndefined(context)
        }))
      ),
      namespace: Option.getOrUndefined(namespace),
      resource
    }
  }
})

/** `--kubeconfig FILE` as `--kubeconfig=FILE`, the form that a flag with an optional value takes. */
export const joined = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args.flatMap((arg, index) => {
    if (args[index - 1] === "--kubeconfig" && !arg.startsWith("-")) return []
    const next = args[index + 1]
    return arg === "--kubeconfig" && next !== undefined && !next.startsWith("-") ? [`${arg}=${next}`] : [arg]
  })

/** Examples for the help. */
export const examples = [
  { command: "npm start", description: "32 fibers in 4 threads contend for one RefreshToken of an embedded server" },
  { command: "npm start -- --compare --hold 5ms", description: "kubelock and Dex in turns" },
  {
    command: "npm start -- --kubeconfig --context staging --namespace dex --duration 1m",
    description: "On a cluster; what is made there is deleted at the end"
  },
  { command: "npm start -- --resource leases.v1.coordination.k8s.io --kubeconfig", description: "On Leases" }
]

/**
 * Finds the cluster, user and namespace to use: in the kubeconfig that is given, in those that kubectl would use, or in the
 * service account of the pod.
 */
import * as Effect from "effect/Effect"
import { readFile, stat } from "node:fs/promises"
import { isIPv6 } from "node:net"
import { delimiter, dirname, join, resolve } from "node:path"
import { KubeConfigError } from "./kubeConfigError.ts"
import { Environment } from "./environment.ts"
import * as KubeConfig from "./kubeConfig.ts"

/** The target of a context in a kubeconfig file, by default the one that kubectl would use. */
export const inFiles = Effect.fnUntraced(function* (options: {
  readonly file?: string | undefined
  readonly context?: string | undefined
}) {
  const environment = yield* Environment
  const paths = options.file === undefined ? defaultPaths(environment) : [options.file]
  const found = yield* Effect.forEach(paths, (path) => fromFile(path, options.file === undefined))
  const kubeConfigs = found.filter((kubeConfig) => kubeConfig !== undefined)
  const kubeConfig = KubeConfig.merge(kubeConfigs)
  const pod = yield* inPod(environment)
  const context = options.context ?? kubeConfig.currentContext
  if (context !== "") {
    const target = yield* Effect.fromResult(KubeConfig.choose(kubeConfig, context))
    // Like kubectl in a pod, whatever the cluster.
    return { ...target, namespace: target.namespace ?? pod?.namespace }
  }
  if (options.file === undefined && pod !== undefined) return pod
  if (kubeConfigs.length > 0) return yield* refuse(`${paths.join(" and ")} has no current-context; choose a context`)
  const variable = environment.variables["KUBECONFIG"] ? "KUBECONFIG names" : "KUBECONFIG is not set, which means"
  return yield* refuse(
    `none was found. ${variable} ${paths.join(" and ")}, which does not exist. This is no pod either: that needs ${join(environment.serviceAccount, "token")} and the variables KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT`
  )
})

/** The target of the current context in a kubeconfig that is given as YAML. */
export const inYaml = Effect.fnUntraced(function* (yaml: string) {
  const kubeConfig = yield* parse(yaml, { name: "the kubeconfig", directory: undefined })
  return yield* currentTarget(kubeConfig)
})

/** The target of the current context in a kubeconfig that is given as an object. */
export const inDocument = (document: unknown) =>
  Effect.flatMap(
    Effect.fromResult(KubeConfig.fromDocument(document, { name: "the kubeconfig", directory: undefined })),
    currentTarget
  )

const currentTarget = Effect.fnUntraced(function* (kubeConfig: KubeConfig.KubeConfig) {
  if (kubeConfig.currentContext === "") return yield* refuse("it has no current-context")
  return yield* Effect.fromResult(KubeConfig.choose(kubeConfig, kubeConfig.currentContext))
})

const defaultPaths = ({ home, variables }: Environment): ReadonlyArray<string> => {
  const named = (variables["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "")
  return named.length === 0 ? [join(home, ".kube", "config")] : [...new Set(named)]
}

const fromFile = (path: string, mayBeMissing: boolean) =>
  Effect.matchEffect(read(path), {
    onSuccess: (text) => parse(text, { name: path, directory: dirname(resolve(path)) }),
    onFailure: (code) =>
      mayBeMissing && code === "ENOENT"
        ? Effect.succeed(undefined)
        : refuse(code === "ENOENT" ? `${path} does not exist` : `${path} cannot be read (${code})`)
  })

const read = (path: string): Effect.Effect<string, string> =>
  Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: errorCode })

// kubectl reads the first document, as YAML 1.1 ("yes" is true) without its dates. The library for YAML is loaded only if
// there is a kubeconfig.
const parse = (text: string, origin: KubeConfig.Origin): Effect.Effect<KubeConfig.KubeConfig, KubeConfigError> =>
  Effect.tryPromise({
    try: async () => {
      const yaml = await import("yaml")
      const [document] = yaml.parseAllDocuments(text, {
        version: "1.1",
        logLevel: "error",
        customTags: (tags) => tags.filter((tag) => typeof tag === "string" || tag.tag !== "tag:yaml.org,2002:timestamp")
      })
      const problem = document?.errors[0]
      return problem === undefined
        ? { value: document?.toJS() as unknown }
        : { line: problem.linePos?.[0].line, code: problem.code }
    },
    catch: () => new KubeConfigError({ detail: `${origin.name} is not YAML` })
  }).pipe(
    Effect.flatMap((parsed) =>
      "value" in parsed
        ? Effect.fromResult(KubeConfig.fromDocument(parsed.value, origin))
        : // The message of the library quotes the text, which may contain secrets.
          refuse(`${origin.name} is not YAML (${parsed.code} in line ${parsed.line ?? 1})`)
    )
  )

/** The target of the pod that this process runs in, if it does: its service account. */
const inPod = Effect.fnUntraced(function* ({ serviceAccount, variables }: Environment) {
  const [host, port] = [variables["KUBERNETES_SERVICE_HOST"], variables["KUBERNETES_SERVICE_PORT"]]
  const tokenFile = join(serviceAccount, "token")
  if (!host || !port || !(yield* isFile(tokenFile))) return undefined
  const authority = join(serviceAccount, "ca.crt")
  const namespace =
    variables["POD_NAMESPACE"] || (yield* Effect.orElseSucceed(read(join(serviceAccount, "namespace")), () => ""))
  const target: KubeConfig.Target = {
    context: undefined,
    cluster: {
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      ...((yield* isFile(authority)) ? { "certificate-authority": authority } : {})
    },
    user: { tokenFile },
    namespace: namespace.trim() || "default",
    pluginConfig: undefined,
    names: { cluster: "the cluster of this pod", user: "the service account" },
    userSource: undefined
  }
  return target
})

const isFile = (path: string): Effect.Effect<boolean> =>
  Effect.promise(() =>
    stat(path).then(
      (stats) => stats.isFile(),
      () => false
    )
  )

const errorCode = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "unknown error"

const refuse = (detail: string): Effect.Effect<never, KubeConfigError> => Effect.fail(new KubeConfigError({ detail }))

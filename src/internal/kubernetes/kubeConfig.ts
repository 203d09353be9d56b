/**
 * What kubeconfigs say: which cluster, user and namespace a context means. Pure.
 *
 * The rules are those of kubectl (client-go's `tools/clientcmd`), with one difference: kubectl ignores what it does not know
 * and what it cannot use. Here that is refused by name, because a program that ignores a field acts as somebody else, or
 * somewhere else, than its user said. `docs/kubeconfig.md` has a row for each field.
 */
import * as Arr from "effect/Array"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { basename, isAbsolute, join } from "node:path"
import { KubeConfigError } from "./kubeConfigError.ts"

const text = Schema.optionalKey(Schema.String)
const flag = Schema.optionalKey(Schema.Boolean)
const texts = Schema.optionalKey(Schema.Array(Schema.String))
const base64 = Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/)))
const extensions = Schema.optionalKey(Schema.Array(Schema.Struct({ name: text, extension: Schema.Unknown })))

const Cluster = Schema.Struct({
  server: text,
  "tls-server-name": text,
  "insecure-skip-tls-verify": flag,
  "certificate-authority": text,
  "certificate-authority-data": base64,
  "proxy-url": text,
  "disable-compression": flag,
  extensions
})

const ExecPlugin = Schema.Struct({
  apiVersion: text,
  command: text,
  args: texts,
  env: Schema.optionalKey(Schema.Array(Schema.Struct({ name: text, value: text }))),
  installHint: text,
  provideClusterInfo: flag,
  interactiveMode: text
})

const User = Schema.Struct({
  "client-certificate": text,
  "client-certificate-data": base64,
  "client-key": text,
  "client-key-data": base64,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  as: text,
  "as-uid": text,
  "as-groups": texts,
  "as-user-extra": Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Schema.String))),
  exec: Schema.optionalKey(ExecPlugin),
  "auth-provider": Schema.optionalKey(
    Schema.Struct({ name: text, config: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)) })
  ),
  extensions
})

const ContextEntry = Schema.Struct({ cluster: text, user: text, namespace: text, extensions })

const named = <const Key extends string>(key: Key) =>
  Schema.optionalKey(Schema.Array(Schema.Struct({ name: text, [key]: Schema.optionalKey(Schema.Unknown) })))

const File = Schema.Struct({
  apiVersion: text,
  kind: text,
  preferences: Schema.optionalKey(Schema.Unknown),
  extensions,
  clusters: named("cluster"),
  users: named("user"),
  contexts: named("context"),
  "current-context": text
})

/** A cluster of a kubeconfig. Its paths are absolute if it comes from a file. */
export type Cluster = typeof Cluster.Type
/** A user of a kubeconfig. Its paths are absolute if it comes from a file. */
export type User = typeof User.Type
/** The plugin of a user. */
export type ExecPlugin = typeof ExecPlugin.Type

/** Where a kubeconfig comes from. `directory` is where its relative paths begin. */
export interface Origin {
  readonly name: string
  readonly directory: string | undefined
}

interface Entry {
  readonly value: unknown
  readonly origin: Origin
}

/** One or more kubeconfigs. */
export interface KubeConfig {
  readonly currentContext: string
  readonly clusters: ReadonlyMap<string, Entry>
  readonly users: ReadonlyMap<string, Entry>
  readonly contexts: ReadonlyMap<string, Entry>
}

/** Which cluster, user and namespace to use. Without a `context` it is the service account of a pod. */
export interface Target {
  readonly context: string | undefined
  readonly cluster: Cluster
  readonly user: User
  readonly namespace: string | undefined
  /** The plugin's part of the cluster, for `provideClusterInfo`. */
  readonly pluginConfig: unknown
  /** How messages name the cluster and the user. */
  readonly names: { readonly cluster: string; readonly user: string }
  /** The file that defines the user, and the user's name there. */
  readonly userSource: { readonly file: string; readonly name: string } | undefined
}

type Answer<A> = Result.Result<A, KubeConfigError>

/** The kubeconfig in a parsed YAML document. The entries are checked when they are chosen. */
export const fromDocument = (document: unknown, origin: Origin): Answer<KubeConfig> => {
  if (document !== null && document !== undefined && (typeof document !== "object" || Array.isArray(document))) {
    return refuse(`${origin.name} is not a kubeconfig: it is not a mapping`)
  }
  const decoded = decode(File, document ?? {}, origin.name)
  if (Result.isFailure(decoded)) return Result.fail(decoded.failure)
  const { apiVersion = "v1", clusters, contexts, kind = "Config", users } = decoded.success
  if (apiVersion !== "v1" || kind !== "Config") {
    return refuse(`${origin.name} is a ${JSON.stringify(`${apiVersion} ${kind}`)}, not a "v1 Config"`)
  }
  return Result.gen(function* () {
    return {
      currentContext: decoded.success["current-context"] ?? "",
      clusters: yield* entries("cluster", clusters, origin),
      users: yield* entries("user", users, origin),
      contexts: yield* entries("context", contexts, origin)
    }
  })
}

const entries = (
  key: "cluster" | "user" | "context",
  list: ReadonlyArray<{ readonly name?: string; readonly [key: string]: unknown }> | undefined,
  origin: Origin
): Answer<ReadonlyMap<string, Entry>> => {
  const map = new Map<string, Entry>()
  for (const item of list ?? []) {
    const name = item.name ?? ""
    if (map.has(name)) return refuse(`${origin.name} has two ${key}s with the name ${JSON.stringify(name)}`)
    map.set(name, { value: item[key], origin })
  }
  return Result.succeed(map)
}

/** Several kubeconfigs as one. The first that has a current context, or an entry of a name, decides. */
export const merge = (kubeConfigs: ReadonlyArray<KubeConfig>): KubeConfig => {
  const merged = (pick: (kubeConfig: KubeConfig) => ReadonlyMap<string, Entry>) =>
    new Map(kubeConfigs.toReversed().flatMap((kubeConfig) => Array.from(pick(kubeConfig))))
  return {
    currentContext: kubeConfigs.map(({ currentContext }) => currentContext).find((name) => name !== "") ?? "",
    clusters: merged(({ clusters }) => clusters),
    users: merged(({ users }) => users),
    contexts: merged(({ contexts }) => contexts)
  }
}

/** What a context means. */
export const choose = (kubeConfig: KubeConfig, context: string): Answer<Target> =>
  Result.gen(function* () {
    const entry = kubeConfig.contexts.get(context)
    if (entry === undefined) return yield* refuse(`it has no context ${JSON.stringify(context)}; ${known(kubeConfig)}`)
    const at = `the context ${JSON.stringify(context)}`
    const { cluster: clusterName = "", namespace, user: userName = "" } = yield* decode(ContextEntry, entry.value, at)
    const names = {
      cluster: `the cluster ${JSON.stringify(clusterName)}`,
      user: `the user ${JSON.stringify(userName)}`
    }

    const clusterEntry = kubeConfig.clusters.get(clusterName)
    if (clusterEntry === undefined) return yield* refuse(`${at} names ${names.cluster}, which does not exist`)
    const cluster = yield* decode(Cluster, clusterEntry.value, names.cluster)

    // A context without a user makes anonymous requests.
    const userEntry = userName === "" ? undefined : kubeConfig.users.get(userName)
    if (userName !== "" && userEntry === undefined) {
      return yield* refuse(`${at} names ${names.user}, which does not exist`)
    }
    const user = yield* decode(User, userEntry?.value ?? {}, names.user)

    const problem = problemOfCluster(cluster) ?? problemOfNamespace(namespace)
    if (problem !== undefined) return yield* refuse(`${names.cluster} ${problem}`)
    const userProblem = problemOfUser(user)
    if (userProblem !== undefined) return yield* refuse(`${names.user} ${userProblem}`)

    const inCluster = absolute(clusterEntry.origin)
    const inUser = absolute(userEntry?.origin)
    return {
      context,
      cluster: { ...cluster, ...inCluster(cluster, ["certificate-authority"]) },
      user: {
        ...user,
        ...inUser(user, ["client-certificate", "client-key", "tokenFile"]),
        // A command without a separator is looked for in PATH.
        ...(user.exec?.command !== undefined && basename(user.exec.command) !== user.exec.command
          ? { exec: { ...user.exec, ...inUser(user.exec, ["command"]) } }
          : {})
      },
      namespace,
      pluginConfig: cluster.extensions?.find(({ name }) => name === pluginExtension)?.extension,
      names,
      userSource:
        userEntry?.origin.directory === undefined ? undefined : { file: userEntry.origin.name, name: userName }
    }
  })

// The name of the extension whose value a plugin gets as the `config` of its cluster.
const pluginExtension = "client.authentication.k8s.io/exec"

const known = ({ contexts }: KubeConfig): string =>
  contexts.size === 0 ? "it has none" : `it has ${[...contexts.keys()].map((name) => JSON.stringify(name)).join(", ")}`

const absolute =
  (origin: Origin | undefined) =>
  <const Key extends string>(
    value: { readonly [K in Key]?: string },
    keys: ReadonlyArray<Key>
  ): { readonly [K in Key]?: string } =>
    Object.fromEntries(
      keys.flatMap((key) => {
        const path = value[key]
        if (path === undefined || origin?.directory === undefined || isAbsolute(path)) return []
        return [[key, join(origin.directory, path)]]
      })
    ) as { readonly [K in Key]?: string }

const problemOfCluster = (cluster: Cluster): string | undefined => {
  const hasAuthority = (cluster["certificate-authority"] ?? cluster["certificate-authority-data"]) !== undefined
  if (cluster.server === undefined) return "has no server"
  if (cluster["certificate-authority"] !== undefined && cluster["certificate-authority-data"] !== undefined) {
    return "has both certificate-authority and certificate-authority-data"
  }
  return hasAuthority && cluster["insecure-skip-tls-verify"] === true
    ? "has both a certificate authority and insecure-skip-tls-verify"
    : undefined
}

const problemOfNamespace = (namespace: string | undefined): string | undefined =>
  namespace === undefined || /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace)
    ? undefined
    : `is used with ${JSON.stringify(namespace)}, which is not a name of a namespace`

const problemOfUser = (user: User): string | undefined => {
  const has = (key: keyof User) => user[key] !== undefined
  const both = [
    ["client-certificate", "client-certificate-data"],
    ["client-key", "client-key-data"],
    ["exec", "auth-provider"]
  ] as const
  for (const [one, other] of both) if (has(one) && has(other)) return `has both ${one} and ${other}`
  const hasCertificate = has("client-certificate") || has("client-certificate-data")
  const hasKey = has("client-key") || has("client-key-data")
  if (hasCertificate && !hasKey) return "has a client-certificate but no client-key"
  if (hasKey && !hasCertificate) return "has a client-key but no client-certificate"
  const hasToken = has("token") || has("tokenFile")
  if (hasToken && (has("username") || has("password"))) return "has both a token and a username or password"
  if (!has("as") && (has("as-uid") || has("as-groups") || has("as-user-extra"))) {
    return "has as-uid, as-groups or as-user-extra but no as"
  }
  return user.exec === undefined ? undefined : problemOfPlugin(user.exec)
}

/** The versions of the API between a client and its plugins. */
const pluginApiVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]

const problemOfPlugin = ({ apiVersion, command, env, interactiveMode }: ExecPlugin): string | undefined => {
  if (command === undefined) return "has exec without a command"
  if (apiVersion === undefined || !pluginApiVersions.includes(apiVersion)) {
    return `has exec with the apiVersion ${JSON.stringify(apiVersion ?? "")}; known are ${pluginApiVersions.join(" and ")}`
  }
  if (env?.some(({ name }) => name === undefined) === true) return "has exec with a variable (env) that has no name"
  if (interactiveMode === undefined) {
    return apiVersion.endsWith("/v1") ? "has exec without an interactiveMode" : undefined
  }
  return ["Never", "IfAvailable", "Always"].includes(interactiveMode)
    ? undefined
    : `has exec with the interactiveMode ${JSON.stringify(interactiveMode)}; known are Never, IfAvailable and Always`
}

const refuse = (detail: string): Result.Result<never, KubeConfigError> => Result.fail(new KubeConfigError({ detail }))

const decode = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  value: unknown,
  at: string
): Answer<S["Type"]> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema, { onExcessProperty: "error" })(withoutUnset(value ?? {})),
    ({ issue }) => new KubeConfigError({ detail: describe(issue, at, []) })
  )

// As in client-go: null and the empty string are not set. The value of an extension stays as it is.
const withoutUnset = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutUnset)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined && item !== null && item !== "")
      .map(([key, item]) => [key, key === "extension" ? item : withoutUnset(item)])
  )
}

// Names the first thing that is wrong. Values are not quoted: they may be secrets.
const describe = (issue: SchemaIssue.Issue, at: string, path: ReadonlyArray<PropertyKey>): string => {
  const field = path.map(String).join(".")
  switch (issue._tag) {
    case "Pointer":
      return describe(issue.issue, at, [...path, ...issue.path])
    case "Composite":
      return describe(Arr.headNonEmpty(issue.issues), at, path)
    case "UnexpectedKey":
      return `${at} has ${JSON.stringify(field)}, which is not supported`
    default:
      return `${at} has ${JSON.stringify(field)} with a value of the wrong kind`
  }
}

/** The credentials of a target, in the form that requests need. */
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { type ConnectionOptions, createSecureContext } from "node:tls"
import { KubeConfigError } from "./kubeConfigError.ts"
import * as ExecPlugin from "./execPlugin.ts"
import type { Target, User } from "./kubeConfig.ts"
import * as Proxy from "./proxy.ts"
import type { ServerUrl } from "./serverUrl.ts"

/**
 * How to connect.
 *
 * - `tls`: the TLS options that are set, and what is made of them, so that no connection makes it again.
 * - `proxy`: the URL of a proxy.
 * - `http1`: whether requests must not share a connection over HTTP/2.
 */
export interface Connection {
  readonly tls: Pick<ConnectionOptions, "ca" | "cert" | "key" | "rejectUnauthorized" | "secureContext" | "servername">
  readonly proxy: string | undefined
  readonly http1: boolean
}

/** Header names and values. A list is sent as one header for each value. */
export type Headers = Readonly<Record<string, string | Array<string>>>

/** The headers of each request, how to connect, and the Unix time at which they expire, in milliseconds. */
export interface Credentials {
  readonly headers: Headers
  readonly connection: Connection
  readonly expiresAt: number | undefined
}

/** What the credentials are made of. `authorization` gives the header of users with an `auth-provider`. */
export interface Options {
  readonly target: Target
  readonly server: ServerUrl
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly authorization: Effect.Effect<string, KubeConfigError>
}

/** The credentials of a target. Each run reads the files anew, and runs a plugin anew if what it gave has expired. */
export const make = ({
  authorization,
  server,
  target,
  variables
}: Options): Effect.Effect<Credentials, KubeConfigError> => {
  const { cluster, names, user } = target
  const isTls = server.origin.startsWith("https:")
  const skipsVerification = cluster["insecure-skip-tls-verify"] === true
  const proxy = cluster["proxy-url"] ?? Proxy.fromEnvironment(variables, server.origin)
  const plugin = user.exec === undefined ? undefined : ExecPlugin.make({ plugin: user.exec, variables })

  return Effect.gen(function* () {
    if (proxy !== undefined && !/^(?:https?|socks5):\/\//.test(proxy)) {
      return yield* refuse(`the proxy of ${names.cluster} is not an http, https or socks5 URL`)
    }
    const unsendable = isTls ? undefined : secrets.find((key) => user[key] !== undefined)
    if (unsendable !== undefined && (!skipsVerification || unsendable.startsWith("client-"))) {
      return yield* refuse(
        `${names.user} has ${unsendable}, which is not sent over plain http; use an https URL as the server of ${names.cluster}`
      )
    }
    const ca = yield* authority(target)
    const pair = yield* certificate(target)
    // As with kubectl, a plugin or a provider is asked only if the user has no other credentials.
    const own = yield* ownAuthorization(target)
    const given =
      own === undefined && pair === undefined && plugin !== undefined
        ? yield* plugin(pluginCluster(target, { server, proxy, ca }))
        : undefined
    const provided = own === undefined && user["auth-provider"] !== undefined ? yield* authorization : undefined
    const token = given?.token === undefined ? undefined : `Bearer ${given.token}`
    const headers = { ...authorizationHeader(own ?? token ?? provided), ...impersonationHeaders(user) }
    const unfit = Object.entries(headers).find(([, value]) => [value].flat().some((one) => !isHeaderValue.test(one)))
    if (unfit !== undefined) return yield* refuse(`${names.user} makes a header ${unfit[0]} with control characters`)

    const tls = {
      ...(ca === undefined ? {} : { ca }),
      ...(given?.cert === undefined ? pair : { cert: given.cert, key: given.key! }),
      ...(skipsVerification ? { rejectUnauthorized: false } : {}),
      ...(cluster["tls-server-name"] === undefined ? {} : { servername: cluster["tls-server-name"] })
    }
    const secureContext = yield* Effect.try({
      try: () => createSecureContext(tls),
      catch: (error) =>
        new KubeConfigError({
          detail: `the certificates of ${names.user} and ${names.cluster} cannot be used (${codeOf(error)})`
        })
    })
    return {
      headers,
      connection: { tls: { ...tls, secureContext }, proxy, http1: Object.values(headers).some(needsHttp1) },
      expiresAt: given?.expiresAt
    }
  })
}

const secrets = [
  "token",
  "tokenFile",
  "username",
  "password",
  "exec",
  "auth-provider",
  "client-certificate",
  "client-certificate-data"
] as const

// A token file wins over a token, as in client-go.
const ownAuthorization = ({ names, user }: Target): Effect.Effect<string | undefined, KubeConfigError> => {
  if (user.tokenFile !== undefined) {
    return Effect.flatMap(read(user.tokenFile, `the token of ${names.user}`), (text) =>
      text.trim() === "" ? refuse(`the token file ${user.tokenFile} is empty`) : Effect.succeed(`Bearer ${text.trim()}`)
    )
  }
  if (user.token !== undefined) return Effect.succeed(`Bearer ${user.token.trim()}`)
  if (user.username === undefined && user.password === undefined) return Effect.undefined
  const pair = Buffer.from(`${user.username ?? ""}:${user.password ?? ""}`)
  return Effect.succeed(`Basic ${pair.toString("base64")}`)
}

const authorizationHeader = (value: string | undefined): Headers =>
  value === undefined ? {} : { Authorization: value }

const impersonationHeaders = (user: User): Headers => ({
  ...(user.as === undefined ? {} : { "Impersonate-User": utf8(user.as) }),
  ...(user["as-uid"] === undefined ? {} : { "Impersonate-Uid": utf8(user["as-uid"]) }),
  ...(user["as-groups"] === undefined ? {} : { "Impersonate-Group": user["as-groups"].map(utf8) }),
  ...Object.fromEntries(
    Object.entries(user["as-user-extra"] ?? {}).map(([key, values]) => [
      `Impersonate-Extra-${escaped(key)}`,
      values.map(utf8)
    ])
  )
})

// Header values are written as Latin-1: one character for each byte.
const utf8 = (text: string): string => Buffer.from(text).toString("latin1")

const isHeaderValue = /^[\t\x20-\x7e\x80-\xff]*$/

// Over HTTP/2, undici joins the values of a header with commas. The API server would take "a, b" for one group.
const needsHttp1 = (value: string | Array<string>): boolean =>
  (Array.isArray(value) && value.length > 1) || [value].flat().some((one) => /[^\x20-\x7e]/.test(one))

// As client-go escapes what a header name cannot contain.
const escaped = (key: string): string =>
  [...Buffer.from(key)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9!#$&'*+.^_`|~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
    })
    .join("")

const authority = ({ cluster, names }: Target): Effect.Effect<string | undefined, KubeConfigError> =>
  Effect.flatMap(dataOrFile(cluster, "certificate-authority", names.cluster), (ca) =>
    ca === undefined || ca.includes("-----BEGIN CERTIFICATE-----")
      ? Effect.succeed(ca)
      : refuse(`the certificate-authority of ${names.cluster} contains no certificate (PEM)`)
  )

const certificate = ({ names, user }: Target) =>
  Effect.gen(function* () {
    const cert = yield* dataOrFile(user, "client-certificate", names.user)
    const key = yield* dataOrFile(user, "client-key", names.user)
    return cert === undefined || key === undefined ? undefined : { cert, key }
  })

const dataOrFile = <const Field extends string>(
  value: { readonly [K in Field | `${Field}-data`]?: string },
  field: Field,
  owner: string
): Effect.Effect<string | undefined, KubeConfigError> => {
  const data = value[`${field}-data` as const]
  if (data !== undefined) return Effect.succeed(Buffer.from(data, "base64").toString())
  const path = value[field]
  return path === undefined ? Effect.undefined : read(path, `the ${field} of ${owner}`)
}

const pluginCluster = (
  { cluster, pluginConfig }: Target,
  {
    ca,
    proxy,
    server
  }: { readonly ca: string | undefined; readonly proxy: string | undefined; readonly server: ServerUrl }
): ExecPlugin.PluginCluster => ({
  server: `${server.origin}${server.prefix}`,
  "tls-server-name": cluster["tls-server-name"],
  "insecure-skip-tls-verify": cluster["insecure-skip-tls-verify"],
  "certificate-authority-data": ca === undefined ? undefined : Buffer.from(ca).toString("base64"),
  "proxy-url": proxy,
  "disable-compression": cluster["disable-compression"],
  config: pluginConfig
})

const read = (path: string, what: string): Effect.Effect<string, KubeConfigError> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (error) => new KubeConfigError({ detail: `${what} cannot be read from ${path} (${codeOf(error)})` })
  })

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "unknown error"

const refuse = (detail: string): Effect.Effect<never, KubeConfigError> => Effect.fail(new KubeConfigError({ detail }))

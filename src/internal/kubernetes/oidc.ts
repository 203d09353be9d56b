/**
 * Users that log in with OpenID Connect (`auth-provider: oidc`): the id-token of the kubeconfig, refreshed when it expires and
 * then stored in the kubeconfig, as client-go does.
 *
 * `@kubernetes/client-node` cannot refresh one: see `findings/client-node-oidc-never-refreshes.sh`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { open, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises"
import type { Timers } from "../time/timers.ts"
import { quiet } from "../tracing.ts"
import { RotatingConnections } from "./connections.ts"
import * as Http from "./http.ts"
import type { Target } from "./kubeConfig.ts"
import { KubeConfigError } from "./kubeConfigError.ts"
import * as Proxy from "./proxy.ts"

type Config = Readonly<Record<string, string>>

/** The `Authorization` header of such a user. */
export type Authorization = (target: Target) => Effect.Effect<string, KubeConfigError>

/** Prepares them. `variables` is the environment of this process. */
export const make = (options: {
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly timers: Timers
}): Authorization => {
  // By the refresh-token that was spent: a kubeconfig that could not be written still has it.
  const refreshed = new Map<string, Config>()
  const latest = (config: Config): Config => {
    const next = refreshed.get(config["refresh-token"] ?? "")
    return next === undefined ? config : next["refresh-token"] === config["refresh-token"] ? next : latest(next)
  }
  return (target) =>
    Effect.gen(function* () {
      const { name, config: given = {} } = target.user["auth-provider"]!
      const refuse = (detail: string) => new KubeConfigError({ detail: `${target.names.user} ${detail}` })
      if (name !== "oidc") {
        return yield* refuse(
          `has the auth-provider ${JSON.stringify(name ?? "")}, which is not supported; only "oidc" is`
        )
      }
      for (const key of ["idp-issuer-url", "client-id"]) {
        if (given[key] === undefined) return yield* refuse(`has the auth-provider "oidc" without ${key}`)
      }
      const config = latest(given)
      const now = yield* Clock.currentTimeMillis
      const { "id-token": idToken, "refresh-token": refreshToken } = config
      if (idToken !== undefined) {
        const expiry = expiryOf(idToken)
        if (expiry === undefined) return yield* refuse("has an id-token that is not a JWT")
        if (expiry * 1000 > now + leeway) return `Bearer ${idToken}`
      }
      if (refreshToken === undefined) return yield* refuse("has an id-token that has expired, and no refresh-token")
      // From here on the refresh-token may be spent. What replaces it must not be lost.
      const tokens = yield* refresh(config, refreshToken, options).pipe(
        Effect.mapError((detail) => refuse(`could not refresh its id-token: ${detail}`)),
        Effect.tap((tokens) => {
          refreshed.set(refreshToken, { ...config, ...tokens })
          return store(target, tokens)
        }),
        Effect.uninterruptible
      )
      return `Bearer ${tokens["id-token"]}`
    })
}

// As client-go: a token is not used in its last seconds.
const leeway = 10_000

const Claims = Schema.fromJsonString(Schema.Struct({ exp: Schema.Number }))

const expiryOf = (jwt: string): number | undefined => {
  const [, payload, signature] = jwt.split(".")
  if (payload === undefined || signature === undefined) return undefined
  const claims = Schema.decodeUnknownOption(Claims)(Buffer.from(payload, "base64url").toString())
  return Option.getOrUndefined(claims)?.exp
}

interface Tokens {
  readonly "id-token": string
  readonly "refresh-token": string
}

const Provider = Schema.fromJsonString(Schema.Struct({ token_endpoint: Schema.String }))
const Answer = Schema.fromJsonString(
  Schema.Struct({ id_token: Schema.optionalKey(Schema.String), refresh_token: Schema.optionalKey(Schema.String) })
)
const Failure = Schema.fromJsonString(Schema.Struct({ error: Schema.String.check(Schema.isPattern(/^[a-z_]{1,40}$/)) }))

const limits = { timeoutMillis: 10_000, maxBytes: 1024 * 1024 }

const refresh = (
  config: Config,
  refreshToken: string,
  options: { readonly variables: Readonly<Record<string, string | undefined>>; readonly timers: Timers }
): Effect.Effect<Tokens, string> =>
  Effect.gen(function* () {
    const { "client-id": id = "", "client-secret": secret, "idp-issuer-url": issuer = "" } = config
    const ca = yield* authority(config)
    const send = (url: string, request: Omit<Http.Request, "path">) =>
      Effect.gen(function* () {
        if (!URL.canParse(url)) return yield* Effect.fail(`${JSON.stringify(url)} is not a URL`)
        const { origin, pathname, search } = new URL(url)
        const connection = {
          tls: ca === undefined ? {} : { ca },
          proxy: Proxy.fromEnvironment(options.variables, origin),
          http1: true
        }
        return yield* Effect.acquireUseRelease(
          Effect.promise(() => RotatingConnections.make(connection)),
          (connections) =>
            Http.make(connections, { origin, prefix: "" }, options.timers)
              .request({ ...request, path: `${pathname}${search}` }, {}, limits)
              .pipe(Effect.mapError(({ detail }) => `no response from ${origin}: ${detail}`)),
          (connections) => Effect.sync(() => connections.close())
        )
      })

    const discovery = yield* send(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, {
      method: "GET",
      headers: {}
    })
    const provider = Schema.decodeUnknownOption(Provider)(discovery.body)
    if (discovery.status !== 200 || Option.isNone(provider)) {
      return yield* Effect.fail(`its issuer does not describe itself (${discovery.status})`)
    }
    // Some providers know a client by a header, some by the form. A request that is refused spends no token.
    const ask = (inHeader: boolean) => {
      const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret ?? "")}`
      return send(provider.value.token_endpoint, {
        method: "POST",
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          ...(inHeader ? { Authorization: `Basic ${Buffer.from(pair).toString("base64")}` } : {})
        },
        body: new URLSearchParams({
          grant_type: "refresh_token",
          refresh_token: refreshToken,
          ...(inHeader ? {} : { client_id: id, ...(secret === undefined ? {} : { client_secret: secret }) })
        }).toString()
      })
    }
    const first = yield* ask(secret !== undefined)
    const isUnknown = first.status === 401 || reasonOf(first) === "invalid_client"
    const response = secret !== undefined && isUnknown ? yield* ask(false) : first
    if (response.status !== 200) {
      const reason = reasonOf(response) ?? "for no reason given"
      return yield* Effect.fail(`the provider refused (${response.status}, ${reason}); log in anew`)
    }
    const answer = Option.getOrUndefined(Schema.decodeUnknownOption(Answer)(response.body))
    if (answer?.id_token === undefined) return yield* Effect.fail("the provider gave no id_token")
    return { "id-token": answer.id_token, "refresh-token": answer.refresh_token ?? refreshToken }
  })

const reasonOf = (response: Http.Response): string | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(Failure)(response.body))?.error

const authority = (config: Config): Effect.Effect<string | undefined, string> => {
  const { "idp-certificate-authority": path, "idp-certificate-authority-data": data } = config
  if (data !== undefined) return Effect.succeed(Buffer.from(data, "base64").toString())
  if (path === undefined) return Effect.undefined
  return Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: () => `${path} cannot be read` })
}

// The old refresh-token is spent: without the new one, the next reader of the file has to log in anew. Comments stay.
const store = ({ names, userSource }: Target, tokens: Tokens): Effect.Effect<void> => {
  if (userSource === undefined) return Effect.void
  return Effect.tryPromise(async () => {
    const path = await realpath(userSource.file)
    const { parseDocument, isMap, isSeq } = await import("yaml")
    // The lock of client-go.
    const lock = await open(`${path}.lock`, "wx")
    try {
      const document = parseDocument(await readFile(path, "utf8"), { version: "1.1", logLevel: "error" })
      const users = document.get("users")
      const index = isSeq(users)
        ? users.items.findIndex((user) => isMap(user) && user.get("name") === userSource.name)
        : -1
      if (document.errors.length > 0 || index < 0) throw new Error("the file changed")
      for (const [key, value] of Object.entries(tokens)) {
        document.setIn(["users", index, "user", "auth-provider", "config", key], value)
      }
      const { mode } = await stat(path)
      const temporary = `${path}.${randomUUID()}`
      await writeFile(temporary, document.toString({ lineWidth: 0 }), { mode })
      await rename(temporary, path)
    } finally {
      await lock.close()
      await rm(`${path}.lock`)
    }
  }).pipe(
    Effect.catch(() =>
      quiet(
        Effect.logWarning(
          `The new tokens of ${names.user} could not be stored in ${userSource.file}. It keeps a refresh-token that is spent: log in anew when this process ends.`
        )
      )
    )
  )
}

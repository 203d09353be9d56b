/**
 * A service that hands out access tokens: `GET /token`. Run as many replicas as you like. They share one refresh token
 * and spend it once per rotation.
 *
 * Configuration: `TOKEN_ENDPOINT`, `CLIENT_ID`, `CLIENT_SECRET`, `REFRESH_TOKEN` (the refresh token of the first login),
 * `SECRET_NAME` (the Secret that holds the tokens, `upstream-token` by default), `PORT` (8080 by default).
 */
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Context, DateTime, Effect, Layer, Option, Redacted, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse, HttpRouter, HttpServerResponse } from "effect/http"
import { KubernetesClient, RefreshOnce, Shutdown } from "kubelock"
import { createServer } from "node:http"

/** The value that the replicas share, stored as JSON in the Secret. */
const Token = Schema.Struct({
  access: Schema.Redacted(Schema.String),
  refresh: Schema.Redacted(Schema.String),
  expiresAt: Schema.DateTimeUtc
})
type Token = typeof Token.Type

/** The upstream refused or did not answer. `error` is OAuth's code: after `invalid_grant` a user must log in again. */
class UpstreamError extends Schema.Error<UpstreamError>("token-service/UpstreamError")({
  _tag: Schema.tag("UpstreamError"),
  error: Schema.String
}) {}

const settings = Config.all({
  endpoint: Config.String("TOKEN_ENDPOINT"),
  clientId: Config.String("CLIENT_ID"),
  clientSecret: Config.Redacted("CLIENT_SECRET"),
  first: Config.Redacted("REFRESH_TOKEN"),
  secret: Config.String("SECRET_NAME").pipe(Config.withDefault("upstream-token"))
})

const Answer = Schema.Record(Schema.String, Schema.Unknown)
const Problem = Schema.Struct({ error: Schema.String })

/** How long a token counts as valid if the answer does not say. */
const defaultLifetime = 300

const text = (value: unknown): Option.Option<Redacted.Redacted> =>
  typeof value === "string" && value !== "" ? Option.some(Redacted.make(value)) : Option.none()

/**
 * The value after an answer. The refresh token is spent by now, so this refuses nothing that can be kept. An answer may leave the
 * refresh token out: the old one goes on. It may leave out its lifetime, or give it as a string. Without an access token, only the
 * refresh token is kept.
 */
const tokenOf = (answer: typeof Answer.Type, spent: Redacted.Redacted, now: DateTime.Utc): Token => {
  const access = text(answer["access_token"])
  const lifetime = Number(answer["expires_in"] ?? defaultLifetime)
  const seconds = Option.isNone(access) ? 0 : Number.isFinite(lifetime) ? lifetime : defaultLifetime
  return {
    access: Option.getOrElse(access, () => noAccess),
    refresh: Option.getOrElse(text(answer["refresh_token"]), () => spent),
    expiresAt: DateTime.add(now, { seconds: Math.floor(seconds) })
  }
}
const noAccess = Redacted.make("")

/** One token request: RFC 6749, section 6. */
const spend = Effect.fnUntraced(function* (refreshToken: Redacted.Redacted) {
  const { clientId, clientSecret, endpoint } = yield* settings
  const response = yield* HttpClientRequest.post(endpoint).pipe(
    HttpClientRequest.bodyUrlParams({
      grant_type: "refresh_token",
      client_id: clientId,
      client_secret: Redacted.value(clientSecret),
      refresh_token: Redacted.value(refreshToken)
    }),
    HttpClient.execute
  )
  if (response.status < 200 || response.status > 299) {
    const { error } = yield* HttpClientResponse.schemaBodyJson(Problem)(response)
    return yield* new UpstreamError({ error })
  }
  const answer = yield* HttpClientResponse.schemaBodyJson(Answer)(response)
  return tokenOf(answer, refreshToken, yield* DateTime.now)
})

const refresh = (current: Option.Option<Token>) =>
  Effect.flatMap(settings, ({ first }) =>
    spend(Option.match(current, { onNone: () => first, onSome: ({ refresh }) => refresh }))
  ).pipe(
    Effect.timeout("20 seconds"),
    Effect.catchTag(
      ["HttpClientError", "SchemaError", "TimeoutError", "ConfigError"],
      ({ _tag }) => new UpstreamError({ error: _tag })
    )
  )

class Tokens extends Context.Service<Tokens, RefreshOnce.RefreshOnce<Token, UpstreamError>>()("token-service/Tokens") {
  static readonly layer = Layer.effect(
    Tokens,
    RefreshOnce.make({
      location: RefreshOnce.inSecret("token"),
      schema: Token,
      // A caller that gets a token has half a minute to use it.
      isFresh: ({ expiresAt }) => DateTime.isFuture(DateTime.subtract(expiresAt, { seconds: 30 })),
      refresh,
      // The token may be spent although no answer came. A provider may revoke the grant if another replica tries it at once.
      pauseAfter: ({ error }) => (error === "TimeoutError" || error === "HttpClientError" ? "10 seconds" : 0)
    })
  )
}

const Routes = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const tokens = yield* Tokens
    const { secret } = yield* settings
    yield* router.add("GET", "/healthz", HttpServerResponse.text("ok"))
    yield* router.add(
      "GET",
      "/token",
      tokens.get(secret).pipe(
        Effect.filterOrFail(
          ({ access }) => Redacted.value(access) !== "",
          () => new UpstreamError({ error: "the answer has no access token" })
        ),
        Effect.flatMap(({ access, expiresAt }) =>
          HttpServerResponse.json({
            access_token: Redacted.value(access),
            expires_at: DateTime.formatIso(expiresAt)
          })
        ),
        Effect.tapError((error) => Effect.logError("no token", error)),
        Effect.catch((error) => HttpServerResponse.json({ error: error._tag }, { status: 502 }))
      )
    )
  })
)

const Server = Layer.unwrap(
  Effect.map(Config.Port("PORT").pipe(Config.withDefault(8080)), (port) => NodeHttpServer.layer(createServer, { port }))
)

// The port opens last: a request that arrives before there are routes would never be answered.
HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide(Tokens.layer),
  Layer.provide([NodeHttpClient.layerUndici, KubernetesClient.layerKubeConfig()]),
  Layer.provide(Shutdown.layer),
  Layer.launch,
  NodeRuntime.runMain
)

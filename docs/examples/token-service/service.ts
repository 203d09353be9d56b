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

const Answer = Schema.Struct({
  access_token: Schema.String,
  refresh_token: Schema.String,
  expires_in: Schema.Finite
})
const Problem = Schema.Struct({ error: Schema.String })

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
  if (response.status !== 200) {
    const { error } = yield* HttpClientResponse.schemaBodyJson(Problem)(response)
    return yield* new UpstreamError({ error })
  }
  const answer = yield* HttpClientResponse.schemaBodyJson(Answer)(response)
  return {
    access: Redacted.make(answer.access_token),
    refresh: Redacted.make(answer.refresh_token),
    expiresAt: DateTime.add(yield* DateTime.now, { seconds: answer.expires_in })
  }
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
      refresh
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

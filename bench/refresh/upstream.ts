/** The provider as services and judges see it: one token request and its outcomes, and the provider's own ledger. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"

/** The client ID of all services. The provider lives for one run, on loopback. */
export const clientId = "service"

/** The client secret of all services. */
export const clientSecret = "known-to-all-services-of-this-run"

/** The value that the services share. `rotation` counts refreshes since the grant was minted. */
export const Token = Schema.Struct({
  access: Schema.Redacted(Schema.String),
  refresh: Schema.Redacted(Schema.String),
  expiresAt: Schema.DateTimeUtc,
  rotation: Schema.Int
})

/** The value that the services share. */
export type Token = typeof Token.Type

/** The provider refused: the token was spent or revoked. */
export class Refused extends Schema.Error<Refused>("kubelock/bench/refresh/Refused")({
  _tag: Schema.tag("Refused"),
  problem: Schema.String
}) {
  override get message(): string {
    return `the provider refused: ${this.problem}`
  }
}

/** The provider did not answer, or not as an OpenID provider. */
export class Unreachable extends Schema.Error<Unreachable>("kubelock/bench/refresh/Unreachable")({
  _tag: Schema.tag("Unreachable")
}) {
  override get message(): string {
    return "the provider could not be reached"
  }
}

/**
 * The service that asks, the address of the provider, how long it takes besides, the first token, and how long access tokens live. The
 * token of the last of the `rounds` lives for an hour, so that it is not refreshed any more.
 */
export interface Options {
  readonly service: string
  readonly provider: string
  readonly upstreamMillis: number
  readonly first: string
  readonly lifetimeMillis: number
  readonly rounds: number
}

const Answer = Schema.Struct({ access_token: Schema.String, refresh_token: Schema.String })
const Problem = Schema.Struct({ error: Schema.String, error_description: Schema.optional(Schema.String) })

/** Spends the refresh token of a value, or the first one, and returns the next value. */
export const refresh =
  ({ first, lifetimeMillis, provider, rounds, service, upstreamMillis }: Options) =>
  (current: Option.Option<Token>): Effect.Effect<Token, Refused | Unreachable, HttpClient.HttpClient> =>
    Effect.gen(function* () {
      const spent = Option.match(current, { onNone: () => first, onSome: (token) => Redacted.value(token.refresh) })
      yield* Effect.sleep(upstreamMillis)
      const response = yield* HttpClientRequest.post(`${provider}/token`).pipe(
        HttpClientRequest.setHeader("x-service", service),
        HttpClientRequest.bodyUrlParams({
          grant_type: "refresh_token",
          client_id: clientId,
          client_secret: clientSecret,
          refresh_token: spent
        }),
        HttpClient.execute
      )
      if (response.status !== 200) {
        const { error, error_description } = yield* HttpClientResponse.schemaBodyJson(Problem)(response)
        return yield* new Refused({ problem: error_description ?? error })
      }
      const { access_token, refresh_token } = yield* HttpClientResponse.schemaBodyJson(Answer)(response)
      const rotation = Option.match(current, { onNone: () => 0, onSome: ({ rotation }) => rotation }) + 1
      return {
        access: Redacted.make(access_token),
        refresh: Redacted.make(refresh_token),
        expiresAt: DateTime.addDuration(
          yield* DateTime.now,
          rotation < rounds ? Duration.millis(lifetimeMillis) : Duration.hours(1)
        ),
        rotation
      }
    }).pipe(Effect.catchTag(["HttpClientError", "SchemaError"], () => new Unreachable()))

/** When the provider answered with a token: `undefined` for that of the last round. */
export const answeredAt = (
  { expiresAt, rotation }: Token,
  { lifetimeMillis, rounds }: Pick<Options, "lifetimeMillis" | "rounds">
): number | undefined => (rotation < rounds ? DateTime.toEpochMillis(expiresAt) - lifetimeMillis : undefined)

/** Whether a token has not expired. */
export const isFresh = ({ expiresAt }: Token): Effect.Effect<boolean> => DateTime.isFuture(expiresAt)

/** A new grant's first refresh token. */
export const mint = (provider: string) =>
  HttpClient.post(`${provider}/mint`).pipe(
    Effect.flatMap((response) => response.text),
    Effect.mapError(() => new Unreachable())
  )

/** A spent refresh token: by which service, and what it got for it. Tokens are named by a digest. */
const Refresh = Schema.Struct({
  service: Schema.String,
  spent: Schema.String,
  issued: Schema.String,
  at: Schema.Finite
})

/** A refresh that was refused. */
const Refusal = Schema.Struct({
  service: Schema.String,
  token: Schema.String,
  problem: Schema.String,
  at: Schema.Finite
})

const Ledger = Schema.Struct({
  refreshes: Schema.Array(Refresh),
  refusals: Schema.Array(Refusal),
  revoked: Schema.Int
})

/** The provider's own record: refreshes, refusals, and how many grants were revoked. */
export type Ledger = typeof Ledger.Type

/** The digest that names a token in the ledger. */
export const digest = (token: string): string => createHash("sha256").update(token).digest("hex").slice(0, 12)

/** Reads the ledger. */
export const ledger = (provider: string) =>
  HttpClient.get(`${provider}/ledger`).pipe(
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Ledger)),
    Effect.mapError(() => new Unreachable())
  )

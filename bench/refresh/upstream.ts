/** The provider as a service sees it: one token request, and what may come of it. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Ledger } from "./ledger.ts"

/** As whom services come. The provider lives for one run, on loopback. */
export const clientId = "service"

/** As whom services come. */
export const clientSecret = "known-to-all-services-of-this-run"

/** What the services share. `rotation` counts refreshes since the grant was minted. */
export const Token = Schema.Struct({
  access: Schema.Redacted(Schema.String),
  refresh: Schema.Redacted(Schema.String),
  expiresAt: Schema.DateTimeUtc,
  rotation: Schema.Int
})

/** What the services share. */
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

/** The provider did not answer as one. */
export class Unreachable extends Schema.Error<Unreachable>("kubelock/bench/refresh/Unreachable")({
  _tag: Schema.tag("Unreachable")
}) {
  override get message(): string {
    return "the provider could not be reached"
  }
}

/**
 * Who asks, where, with what first token, and how long what it gets shall last. The token of the last of the `rounds` lasts
 * for an hour, so that nobody refreshes it any more.
 */
export interface Options {
  readonly service: string
  readonly provider: string
  readonly first: Redacted.Redacted
  readonly lifetime: Duration.Duration
  readonly rounds: number
}

const Answer = Schema.Struct({ access_token: Schema.String, refresh_token: Schema.String })
const Problem = Schema.Struct({ error: Schema.String, error_description: Schema.optional(Schema.String) })

/** Spends the refresh token of a value, or the first one, for the next. */
export const refresh =
  ({ first, lifetime, provider, rounds, service }: Options) =>
  (current: Option.Option<Token>): Effect.Effect<Token, Refused | Unreachable, HttpClient.HttpClient> =>
    Effect.gen(function* () {
      const spent = Option.match(current, { onNone: () => first, onSome: (token) => token.refresh })
      const response = yield* HttpClientRequest.post(`${provider}/token`).pipe(
        HttpClientRequest.setHeader("x-service", service),
        HttpClientRequest.bodyUrlParams({
          grant_type: "refresh_token",
          client_id: clientId,
          client_secret: clientSecret,
          refresh_token: Redacted.value(spent)
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
        expiresAt: DateTime.addDuration(yield* DateTime.now, rotation < rounds ? lifetime : Duration.hours(1)),
        rotation
      }
    }).pipe(Effect.catchTag(["HttpClientError", "SchemaError"], () => new Unreachable()))

/** Whether a token still serves. */
export const isFresh = ({ expiresAt }: Token): Effect.Effect<boolean> => DateTime.isFuture(expiresAt)

/** A new grant's first refresh token. */
export const mint = (provider: string) =>
  HttpClient.post(`${provider}/mint`).pipe(
    Effect.flatMap((response) => response.text),
    Effect.map((token) => Redacted.make(token)),
    Effect.mapError(() => new Unreachable())
  )

/** What the provider saw. */
export const ledger = (provider: string) =>
  HttpClient.get(`${provider}/ledger`).pipe(
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Ledger)),
    Effect.mapError(() => new Unreachable())
  )

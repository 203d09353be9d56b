/**
 * The witness: an HTTP server in the process of the test, which no fault ever hits.
 *
 * It plays the resource that the lock protects. It answers a write with 200, and with 412 if the fencing token is too
 * small. A write to a shard has none, so nothing refuses it. At `/refresh` it plays the provider of a rotating token.
 *
 * Its answers to whom it hurries have the header `hurry`, and the stays of those are short.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import * as Schema from "effect/Schema"
import { type Book, Ledger } from "./ledger.ts"
import { Provider } from "./provider.ts"
import { Testimony } from "./testimony.ts"

/** `hurry`: whom it hurries from now on, by their names. At first nobody. */
export interface Witness {
  readonly url: string
  readonly ledger: Book
  readonly provider: Provider
  readonly hurry: (who: (name: string) => boolean) => Effect.Effect<void>
}

const Spending = Schema.Struct({ by: Schema.String, generation: Schema.Int })

/** Starts it on an address of this machine. */
export const make = Effect.fnUntraced(function* (
  host = "127.0.0.1",
  ledger: Book = new Ledger()
): Effect.fn.Return<Witness, never, Scope.Scope> {
  const provider = new Provider()
  let isHurried: (name: string) => boolean = () => false
  // A holder that was suspended in the middle of a request can still finish it.
  const patient = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }
  const server = yield* NodeHttpServer.make(() => createServer(patient), {
    host,
    port: 0,
    gracefulShutdownTimeout: 50
  }).pipe(Effect.orDie)
  const testimony = HttpServerRequest.schemaBodyJson(Testimony).pipe(
    Effect.map((testimony) =>
      HttpServerResponse.empty({
        status: ledger.take(testimony) ? 200 : 412,
        headers: isHurried(testimony.name) ? { hurry: "1" } : {}
      })
    )
  )
  const refresh = HttpServerRequest.schemaBodyJson(Spending).pipe(
    Effect.map(({ by, generation }) => HttpServerResponse.text(String(provider.spend(by, generation))))
  )
  yield* server.serve(
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => (url === "/refresh" ? refresh : testimony)).pipe(
      Effect.orDie
    )
  )
  return {
    url: HttpServer.formatAddress(server.address),
    ledger,
    provider,
    hurry: (who) => Effect.sync(() => void (isHurried = who))
  }
})

/**
 * The witness: an HTTP server in the process of the test, which no fault ever hits.
 *
 * It plays the resource that the lock protects. It answers a write with 200, and with 412 if the fencing token is too
 * small.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { Ledger } from "./ledger.ts"
import { Testimony } from "./testimony.ts"

export interface Witness {
  readonly url: string
  readonly ledger: Ledger
}

export const make: Effect.Effect<Witness, never, Scope.Scope> = Effect.gen(function* () {
  const ledger = new Ledger()
  // A holder that was suspended in the middle of a request can still finish it.
  const patient = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }
  const server = yield* NodeHttpServer.make(() => createServer(patient), {
    host: "127.0.0.1",
    port: 0,
    gracefulShutdownTimeout: 50
  }).pipe(Effect.orDie)
  yield* server.serve(
    HttpServerRequest.schemaBodyJson(Testimony).pipe(
      Effect.map((testimony) => HttpServerResponse.empty({ status: ledger.take(testimony) ? 200 : 412 })),
      Effect.orDie
    )
  )
  return { url: HttpServer.formatAddress(server.address), ledger }
})

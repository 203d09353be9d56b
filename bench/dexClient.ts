/** Dex's world on a Kubernetes API server: GET and PUT of whole objects. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as exchanges from "../src/internal/kubernetes/apiClient.ts"
import * as requests from "../src/internal/kubernetes/encode.ts"
import * as status from "../src/internal/kubernetes/responseError.ts"
import type { Request } from "../src/internal/kubernetes/http.ts"
import { KubernetesClient } from "../src/KubernetesClient.ts"
import type * as LockError from "../src/LockError.ts"
import * as Resource from "../src/Resource.ts"
import { type DexClient, DexConflict, DexError } from "./dex.ts"

/** Which objects. `requestTimeout` bounds one request, 15 seconds by default. */
export interface Options {
  readonly resource: Resource.Resource
  readonly namespace: string
  readonly requestTimeout?: Duration.Input | undefined
}

/** Makes the world of one resource in one namespace of the cluster that the client talks to. */
export const make = Effect.fnUntraced(function* ({ namespace, requestTimeout, resource }: Options) {
  const exchange = exchanges.make(yield* KubernetesClient, {
    requestTimeout: Duration.fromInputUnsafe(requestTimeout ?? "15 seconds"),
    clock: "local"
  })

  const ask = Effect.fnUntraced(function* (id: string, request: Request) {
    const about = { id, verb: request.method.toLowerCase(), object: Resource.describe(resource, namespace, id) }
    const answer = yield* Effect.mapError(exchange.request(request, about), toDexError)
    if (answer.status === 409) return yield* new DexConflict()
    if (answer.status > 299) return yield* toDexError(status.toError(answer, about))
    return answer.body
  })

  const path = (id: string) => Resource.objectPath(resource, namespace, id)
  const client: DexClient = {
    get: (id) =>
      ask(id, requests.get(path(id))).pipe(
        Effect.flatMap(decode),
        Effect.catchTag(["DexConflict", "SchemaError"], () => new DexError({ detail: "the answer is not an object" }))
      ),
    put: (id, object) => Effect.asVoid(ask(id, requests.withJson("PUT", path(id), object, "application/json")))
  }
  return client
})

const toDexError = (error: LockError.StoreError): DexError => new DexError({ detail: error.message })

const decode = Schema.decodeEffect(
  Schema.fromJsonString(
    Schema.StructWithRest(
      Schema.Struct({
        metadata: Schema.StructWithRest(
          Schema.Struct({ annotations: Schema.optional(Schema.Record(Schema.String, Schema.String)) }),
          [Schema.Record(Schema.String, Schema.Unknown)]
        )
      }),
      [Schema.Record(Schema.String, Schema.Unknown)]
    )
  )
)

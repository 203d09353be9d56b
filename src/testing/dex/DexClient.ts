/** GET and PUT of whole objects on a Kubernetes API server, as Dex makes them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as exchanges from "../../internal/kubernetes/apiClient.ts"
import * as requests from "../../internal/kubernetes/encode.ts"
import * as status from "../../internal/kubernetes/responseError.ts"
import type { Request } from "../../internal/kubernetes/http.ts"
import { KubernetesClient } from "../../KubernetesClient.ts"
import type * as LockError from "../../LockError.ts"
import * as Resource from "../../Resource.ts"
import { type DexClient, DexConflict, DexError } from "./Dex.ts"

/** Which objects. `requestTimeout` bounds one request, 15 seconds by default. */
export interface Options {
  readonly resource: Resource.Resource
  readonly namespace: string
  readonly requestTimeout?: Duration.Input | undefined
}

/** Makes a client for one resource in one namespace of a cluster. */
export const make = Effect.fnUntraced(function* ({ namespace, requestTimeout, resource }: Options) {
  const exchange = exchanges.make(yield* KubernetesClient, {
    requestTimeout: Duration.fromInputUnsafe(requestTimeout ?? "15 seconds"),
    clock: "local"
  })

  const ask = Effect.fnUntraced(function* (id: string, request: Request) {
    const about = {
      id,
      verb: request.method.toLowerCase(),
      object: Resource.describe(resource, namespace, id),
      namespaced: resource.namespaced
    }
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

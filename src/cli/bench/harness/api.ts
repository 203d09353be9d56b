/** Requests of the benchmarks themselves to the API server, with kubelock's errors. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as apiClient from "../../../internal/kubernetes/apiClient.ts"
import * as responseError from "../../../internal/kubernetes/responseError.ts"
import { KubernetesClient } from "../../../KubernetesClient.ts"
import type * as LockError from "../../../LockError.ts"

type Request = Parameters<KubernetesClient["Service"]["request"]>[0]

/** A request. `id`, `verb` and `object` name it in errors. */
export interface Options {
  readonly method: Request["method"]
  readonly path: string
  readonly body?: unknown
  readonly contentType?: string
  readonly id: string
  readonly verb: string
  readonly object: string
}

/** Sends a request, and returns the body of a success. Any other status is an error. */
export type Api = (options: Options) => Effect.Effect<string, LockError.StoreError>

/** The API server of the client in context. A request takes five seconds at most. */
export const make: Effect.Effect<Api, never, KubernetesClient> = Effect.map(KubernetesClient, (client) => {
  const { request: ask } = apiClient.make(client, { requestTimeout: Duration.seconds(5), clock: "local" })
  return ({ body, contentType = "application/json", id, method, object, path, verb }) => {
    const about = { id, verb, object, namespaced: true }
    const request: Request =
      body === undefined
        ? { method, path, headers: {} }
        : { method, path, headers: { "content-type": contentType }, body: JSON.stringify(body) }
    return Effect.flatMap(ask(request, about), (answer) =>
      answer.status >= 200 && answer.status <= 299
        ? Effect.succeed(answer.body)
        : Effect.fail(responseError.toError(answer, about))
    )
  }
})

/** A Kubernetes client that counts what it is asked for, and which writes were refused. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Request } from "../src/internal/kubernetes/http.ts"
import { KubernetesClient } from "../src/KubernetesClient.ts"
import * as Tally from "./tally.ts"

/** The client in context, counted. */
export const layer = (tally: Tally.Tally): Layer.Layer<KubernetesClient, never, KubernetesClient> =>
  Layer.effect(
    KubernetesClient,
    Effect.map(KubernetesClient, (client) => {
      const counted = <A extends { readonly status: number }, E, R>(
        verb: Tally.Counter,
        sent: Effect.Effect<A, E, R>
      ) =>
        Effect.suspend(() => {
          Tally.count(tally, verb)
          return Effect.tap(sent, ({ status }) =>
            Effect.sync(() => {
              if (status === 409 || (status === 422 && verb === "patch")) Tally.count(tally, "conflicts")
            })
          )
        })
      return KubernetesClient.of({
        ...client,
        request: (request, limits) => counted(verbOf(request), client.request(request, limits)),
        watch: (request, limits) => counted("watch", client.watch(request, limits))
      })
    })
  )

const verbOf = ({ method }: Request): Tally.Counter => {
  switch (method) {
    case "GET":
      return "get"
    case "PUT":
      return "put"
    case "PATCH":
      return "patch"
    default:
      return "other"
  }
}

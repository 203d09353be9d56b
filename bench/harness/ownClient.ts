/** A client of one contender's own, in a process that has several: it counts requests, and can be cut off. */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { KubernetesClient } from "../../src/KubernetesClient.ts"

/** Makes it from the client in context. While it is cut off its requests wait, and arrive only once it is mended. */
export const make = Effect.map(KubernetesClient, (client) => {
  const connected = Latch.makeUnsafe(true)
  let requests = 0
  let writes = 0
  const send = <A, E, R>(request: Effect.Effect<A, E, R>, isWrite: boolean) =>
    Effect.andThen(
      connected.await,
      Effect.suspend(() => {
        requests++
        if (isWrite) writes++
        return request
      })
    )
  return {
    layer: Layer.succeed(KubernetesClient, {
      ...client,
      request: (request, limits) => send(client.request(request, limits), request.method !== "GET"),
      watch: (request, limits) => send(client.watch(request, limits), false)
    }),
    requests: () => requests,
    writes: () => writes,
    cut: Effect.asVoid(connected.close),
    mend: Effect.asVoid(connected.open)
  }
})

/**
 * The limit: compare-and-swap writes by the plainest client there is, one after the other.
 *
 * They are what a lock writes as well: a merge patch under a resourceVersion, which sets an annotation and removes it
 * in turn, and asks for no more than the metadata. Two of them are the least that an acquisition and its release cost
 * without contention, one of them the least that a hand-over costs.
 */
import * as Effect from "effect/Effect"
import type { PlainClient } from "./plainClient.ts"

const annotation = "kubelock.bench/raw"

/** What it answers writes once. Fails where the object has another writer. */
export const make = (client: PlainClient): Effect.Effect<Effect.Effect<void, unknown>> =>
  Effect.gen(function* () {
    let writes = 0
    let resourceVersion = yield* Effect.promise(client.read)
    return Effect.tryPromise({
      try: async () => {
        writes++
        const annotations = { [annotation]: writes % 2 === 1 ? `write ${writes}` : null }
        resourceVersion = await client.write({ resourceVersion, annotations })
      },
      catch: (error) => error
    })
  })

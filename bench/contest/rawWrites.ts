/**
 * The limit: compare-and-swap writes by the plainest client, one after the other.
 *
 * A lock writes the same: a merge patch under a resourceVersion that sets an annotation and removes it in turn, and asks
 * for the metadata only. Its first write resets the tracking of fields, as that of a lock does. An acquisition and its release
 * without contention cost at least two of these writes, a hand-over at least one.
 */
import * as Effect from "effect/Effect"
import type { PlainClient } from "./plainClient.ts"

const annotation = "kubelock.bench/raw"

/** The answer writes once. It fails if the object has another writer. */
export const make = (client: PlainClient): Effect.Effect<Effect.Effect<void, unknown>> =>
  Effect.gen(function* () {
    let writes = 0
    let resourceVersion = yield* Effect.promise(client.read)
    return Effect.tryPromise({
      try: async () => {
        writes++
        const annotations = { [annotation]: writes % 2 === 1 ? `write ${writes}` : null }
        const managedFields = writes === 1 ? [{}] : undefined
        resourceVersion = await client.write({ resourceVersion, managedFields, annotations })
      },
      catch: (error) => error
    })
  })

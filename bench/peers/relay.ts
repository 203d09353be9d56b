/**
 * The limit of handing over: raw writes, each of which names one of so many watchers in a label, and the next of which is
 * sent when that one has been told.
 *
 * It is what a lock on an API object cannot do without when it goes from hand to hand, and nothing else: no lock, no
 * decision, and all watchers in one process, whose code is always warm.
 */
import * as Effect from "effect/Effect"
import type { PlainClient } from "./plainClient.ts"

const label = "kubelock.bench/next"

/** Watches as so many; what it answers hands over once. Fails where the object has another writer. */
export const make = (client: PlainClient, watchers: number): Effect.Effect<() => Promise<void>> =>
  Effect.gen(function* () {
    let handOvers = 0
    let resourceVersion = yield* Effect.promise(client.read)
    let told = (_resourceVersion: string) => {}
    yield* Effect.promise(() =>
      Promise.all(
        Array.from({ length: watchers }, (_, index) =>
          client.watch(`${label}=${index}`, resourceVersion, (version) => told(version))
        )
      )
    )
    return () =>
      new Promise<void>((resolve, reject) => {
        handOvers++
        told = (version) => {
          resourceVersion = version
          resolve()
        }
        client
          .write({
            resourceVersion,
            labels: { [label]: String(handOvers % watchers) },
            annotations: { [label]: `hand-over ${handOvers}` }
          })
          .catch(reject)
      })
  })

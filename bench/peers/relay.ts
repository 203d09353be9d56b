/**
 * The limit of handing over: processes in a ring, each of which waits until the object's label names it, and then writes
 * the name of the next.
 *
 * It is what a lock on an API object cannot do without when it goes from process to process, and nothing else: nobody
 * decides anything, and nobody can come, go or fail.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PlainClient } from "./plainClient.ts"
import type { Task } from "./task.ts"

const label = "kubelock.bench/next"

/** Takes a place in the ring. What it answers waits for a turn, and passes it on as the scope closes. */
export const make = (
  client: PlainClient,
  { place, places }: Pick<Task, "place" | "places">
): Effect.Effect<Effect.Effect<void, unknown, Scope.Scope>> =>
  Effect.gen(function* () {
    let turn: Effect.Effect<string, unknown> | undefined =
      place === 0 ? Effect.succeed(yield* Effect.promise(client.read)) : undefined
    let last = ""
    let wake = () => {}
    const tell = (told: Effect.Effect<string, unknown>) => {
      turn = told
      wake()
    }
    const named = (resourceVersion: string) => {
      if (resourceVersion === last) return
      last = resourceVersion
      tell(Effect.succeed(resourceVersion))
    }
    const broken = (error: unknown) => tell(Effect.fail(error))
    yield* Effect.promise(() => client.watch(`${label}=${place}`, named, broken))

    const told = Effect.callback<void>((resume) => {
      wake = () => resume(Effect.void)
      if (turn !== undefined) wake()
    })
    const ours = Effect.flatMap(told, () => {
      const taken = turn!
      turn = undefined
      return taken
    })
    let handOvers = 0
    const passOn = (resourceVersion: string) =>
      Effect.sync(() => {
        const labels = { [label]: String((place + 1) % places) }
        const annotations = { [label]: `hand-over ${handOvers++} of ${place}` }
        client.write({ resourceVersion, labels, annotations }).catch(broken)
      })
    return Effect.asVoid(Effect.acquireRelease(ours, passOn, { interruptible: true }))
  })

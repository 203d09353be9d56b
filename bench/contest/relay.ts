/**
 * The limit of handing over: processes in a ring. Each waits until the object's label names it, and then writes the name
 * of the next.
 *
 * A lock on an API object needs at least this to go from process to process. The first write resets the tracking of fields, as that of
 * a lock does. Nothing is decided here, and no process can come, go or fail.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PlainClient } from "./plainClient.ts"
import type { Task } from "./task.ts"

const label = "kubelock.bench/next"

/** Takes a place in the ring. The answer waits for a turn, and passes it on when the scope closes. */
export const make = (
  client: PlainClient,
  { first: place, total: places }: Pick<Task, "first" | "total">
): Effect.Effect<Effect.Effect<void, unknown, Scope.Scope>> =>
  Effect.gen(function* () {
    let turn: Effect.Effect<string, unknown> | undefined =
      place === 0 ? Effect.succeed(yield* Effect.promise(client.read)) : undefined
    let last = ""
    let wake = () => {}
    const give = (given: Effect.Effect<string, unknown>) => {
      turn = given
      wake()
    }
    const named = (resourceVersion: string) => {
      if (resourceVersion === last) return
      last = resourceVersion
      give(Effect.succeed(resourceVersion))
    }
    const broken = (error: unknown) => give(Effect.fail(error))
    yield* Effect.promise(() => client.watch(`${label}=${place}`, named, broken))

    const given = Effect.callback<void>((resume) => {
      wake = () => resume(Effect.void)
      if (turn !== undefined) wake()
    })
    const ours = Effect.flatMap(given, () => {
      const taken = turn!
      turn = undefined
      return taken
    })
    let handOvers = 0
    const passOn = (resourceVersion: string) =>
      Effect.sync(() => {
        const labels = { [label]: String((place + 1) % places) }
        const managedFields = place === 0 && handOvers === 0 ? [{}] : undefined
        const annotations = { [label]: `hand-over ${handOvers++} of ${place}` }
        client.write({ resourceVersion, managedFields, labels, annotations }).catch(broken)
      })
    return Effect.asVoid(Effect.acquireRelease(ours, passOn, { interruptible: true }))
  })

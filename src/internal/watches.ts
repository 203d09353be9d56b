/**
 * The watches of a process: one for each id that somebody waits for, shared by all who do, and none for any other.
 *
 * A watch outlives the last that used it by a second, so that a process that comes back to a lock in demand again and
 * again need not open it anew each time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StoreError } from "../LockError.ts"
import type { Change, ChangesOptions, ObjectStore } from "../ObjectStore.ts"

/** The next change of an object. Fails once it cannot be watched any more. */
export type Next = Effect.Effect<Change, StoreError>

/** The watches of a process. */
export interface Watches {
  /**
   * Watches an object until the scope closes, beginning with what was told last: all its changes, or only those of which
   * the label tells this process. `undefined` where nobody may watch.
   */
  readonly open: (id: string, what: "all" | "ours") => Effect.Effect<Next | undefined, never, Scope.Scope>
}

// That the lock was handed on says nothing to those who wait.
const handOvers = <E>(changes: Stream.Stream<Change, E>): Stream.Stream<Change, E> =>
  Stream.filter(changes, ({ _tag }) => _tag === "Changed")

/** Makes the watches of a process that is called by `label`. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  label: NonNullable<ChangesOptions["label"]>
): Effect.fn.Return<Watches, never, Scope.Scope> {
  let isForbidden = false

  const watching = (changes: (id: string) => Stream.Stream<Change, StoreError>) =>
    RcMap.make({
      idleTimeToLive: "1 second",
      lookup: (id: string) =>
        Effect.gen(function* () {
          const watch: Watch = {
            news: yield* PubSub.sliding<Exit.Exit<Change, StoreError>>({ capacity: 64, replay: 1 }),
            isBroken: false
          }
          yield* Stream.runForEach(changes(id), (change) => PubSub.publish(watch.news, Exit.succeed(change))).pipe(
            Effect.catch((error) => {
              watch.isBroken = true
              return Effect.andThen(noteForbidden(error), PubSub.publish(watch.news, Exit.fail(error)))
            }),
            Effect.forkScoped
          )
          return watch
        })
    })

  const noteForbidden = (error: StoreError) =>
    Effect.suspend(() => {
      if (isForbidden || error._tag !== "LockForbidden") return Effect.void
      isForbidden = true
      return Effect.logWarning(`Waiting for locks by polling, since they may not be watched: ${error.message}`)
    })

  const all = yield* watching(store.changes)
  const ours = yield* watching((id) => handOvers(store.changes(id, { label })))

  return {
    open: Effect.fnUntraced(function* (id, what) {
      if (isForbidden) return undefined
      const watch = yield* RcMap.get(what === "all" ? all : ours, id)
      if (watch.isBroken) return undefined
      return Effect.flatten(PubSub.take(yield* PubSub.subscribe(watch.news)))
    })
  }
})

interface Watch {
  readonly news: PubSub.PubSub<Exit.Exit<Change, StoreError>>
  isBroken: boolean
}

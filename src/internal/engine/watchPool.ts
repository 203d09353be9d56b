/**
 * The watches of a process: one for each id that somebody waits for, shared by all who do, and none for any other.
 *
 * A watch outlives the last that used it by a second, so that a process that comes back to a lock in demand again and
 * again need not open it anew each time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StoreError } from "../../LockError.ts"
import type { WatchEvent, WatchOptions, ObjectStore } from "../../ObjectStore.ts"
import type { Timers } from "../time/timers.ts"

/** What an object's changes are told by. */
export interface Watch {
  /** What was told last: a change, or why there will be no more. What was told before that matters to nobody. */
  readonly told: () => Latest | undefined
  /** Calls when more is told than what was `known`, at once where it has been. Answers how to listen no more. */
  readonly listen: (known: Latest | undefined, call: () => void) => () => void
}

/** A change of an object, or why it cannot be watched any more. */
export type Latest = Exit.Exit<WatchEvent, StoreError>

/** The watches of a process. */
export interface WatchPool {
  /**
   * Watches an object for whoever listens: all its changes, or only those of which the label tells this process. Nothing
   * where nobody may watch.
   */
  readonly open: (id: string, what: "all" | "ours") => Effect.Effect<Watch | undefined>
}

/** How long a watch goes on that nobody listens to, in milliseconds. */
const idleMillis = 1000

// That the lock was handed on says nothing to those who wait.
const handOvers = <E>(changes: Stream.Stream<WatchEvent, E>): Stream.Stream<WatchEvent, E> =>
  Stream.filter(changes, ({ _tag }) => _tag === "Changed")

/** Makes the watches of a process that is called by `label`. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  label: NonNullable<WatchOptions["label"]>,
  alarms: Timers
): Effect.fn.Return<WatchPool, never, Scope.Scope> {
  let isForbidden = false

  const noteForbidden = (error: StoreError) =>
    Effect.suspend(() => {
      if (isForbidden || error._tag !== "LockForbidden") return Effect.void
      isForbidden = true
      return Effect.logWarning(`Waiting for locks by polling, since they may not be watched: ${error.message}`)
    })

  const fibers = yield* FiberSet.make<void>()

  const watching = (changes: (id: string) => Stream.Stream<WatchEvent, StoreError>) => {
    const watches = new Map<string, Watch & { readonly use: () => void }>()

    const start = Effect.fnUntraced(function* (id: string) {
      const listeners = new Set<() => void>()
      let told: Latest | undefined

      const tell = (next: Latest) =>
        Effect.sync(() => {
          told = next
          Array.from(listeners).forEach((call) => call())
        })

      const fiber = yield* FiberSet.run(
        fibers,
        Stream.runForEach(changes(id), (change) => tell(Exit.succeed(change))).pipe(
          Effect.catch((error) => Effect.andThen(noteForbidden(error), tell(Exit.fail(error))))
        )
      )

      const close = () => {
        watches.delete(id)
        fiber.interruptUnsafe()
      }
      let callOff = () => {}
      // To be called whenever somebody begins or ends to use it.
      const use = () => {
        callOff()
        if (listeners.size === 0) callOff = alarms.schedule(idleMillis, close)
      }

      const watch = {
        use,
        told: () => told,
        listen: (known: Latest | undefined, call: () => void) => {
          listeners.add(call)
          use()
          if (told !== undefined && told !== known) call()
          return () => {
            listeners.delete(call)
            use()
          }
        }
      }
      watches.set(id, watch)
      return watch
    })

    return Effect.fnUntraced(function* (id: string) {
      if (isForbidden) return undefined
      const watch = watches.get(id) ?? (yield* start(id))
      watch.use()
      return watch.told()?._tag === "Failure" ? undefined : watch
    })
  }

  const all = watching(store.watch)
  const ours = watching((id) => handOvers(store.watch(id, { label })))
  return { open: (id, what) => (what === "all" ? all : ours)(id) }
})

/**
 * The watches of a process: one for each id that has waiters, shared by all of them.
 *
 * A watch outlives its last listener by a second, so that a process that comes back to a lock in demand again and again need not
 * open it anew each time. A watch that failed is forgotten after a few seconds, and opened anew if a contender still waits.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StoreError } from "../../LockError.ts"
import type { WatchEvent, WatchOptions, ObjectStore } from "../../ObjectStore.ts"
import type { Timers } from "../time/timers.ts"
import { quiet } from "../tracing.ts"

/** The watch of one object. */
export interface Watch {
  /** The last event. Earlier ones do not matter. */
  readonly latest: () => Latest | undefined
  /** Calls `notify` when there is an event newer than `known`, at once if there already is one. Returns how to stop listening. */
  readonly listen: (known: Latest | undefined, notify: () => void) => () => void
}

/** An event, or why the object cannot be watched any more. */
export type Latest = Exit.Exit<WatchEvent, StoreError>

/** The watches of a process. */
export interface WatchPool {
  /**
   * Watches an object: all its changes, or only the hand-overs to this process. `undefined` if the server does not allow it to
   * watch.
   */
  readonly open: (id: string, on: "Object" | "Turn") => Effect.Effect<Watch | undefined>
  /** Calls `notify` if a watch that waiters opened reports the object as gone. Returns how to stop listening. */
  readonly onGone: (id: string, notify: () => void) => () => void
}

/** How long a watch without listeners goes on, in milliseconds. Our choice. */
export const idleMillis = 1000

/** How long a process opens no watch after one was forbidden, in milliseconds: a role may change. Our choice. */
export const forbiddenMillis = 300_000

/** How long contenders poll after a watch failed, in milliseconds. Our choice. */
export const failedMillis = 5000

// A waiter need not hear that the lock was handed to another process.
const withoutDeletions = <E>(events: Stream.Stream<WatchEvent, E>): Stream.Stream<WatchEvent, E> =>
  Stream.filter(events, ({ _tag }) => _tag === "Changed")

/** Makes the watches of a process. `label` is the label that names the process as the next holder. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  label: NonNullable<WatchOptions["label"]>,
  timers: Timers
): Effect.fn.Return<WatchPool, never, Scope.Scope> {
  let isForbidden = false
  let isSuspect = false
  let hasReported = false

  // A server that has just started forbids for a moment what it allows, so the second refusal counts.
  const noteForbidden = (error: StoreError) =>
    Effect.suspend(() => {
      if (isForbidden || error._tag !== "LockForbidden") return Effect.void
      if (!isSuspect) {
        isSuspect = true
        return Effect.void
      }
      isForbidden = true
      timers.schedule(forbiddenMillis, () => {
        isForbidden = false
      })
      if (hasReported) return Effect.void
      hasReported = true
      return quiet(Effect.logWarning(`Waiters poll, since they may not watch. ${error.message}`))
    })

  const fibers = yield* FiberSet.make<void>()

  const pool = (eventsOf: (id: string) => Stream.Stream<WatchEvent, StoreError>) => {
    const watches = new Map<string, Watch & { readonly touch: () => void }>()

    const start = Effect.fnUntraced(function* (id: string) {
      const listeners = new Set<() => void>()
      let latest: Latest | undefined
      let cancel = () => {}
      const close = () => {
        watches.delete(id)
        fiber.interruptUnsafe()
      }

      const publish = (next: Latest) =>
        Effect.sync(() => {
          latest = next
          if (next._tag === "Success") isSuspect = false
          Array.from(listeners).forEach((notify) => notify())
        })

      const fiber = yield* FiberSet.run(
        fibers,
        Stream.runForEach(eventsOf(id), (event) => publish(Exit.succeed(event))).pipe(
          Effect.catch((error) =>
            Effect.andThen(
              noteForbidden(error),
              Effect.suspend(() => {
                cancel()
                timers.schedule(failedMillis, close)
                return publish(Exit.fail(error))
              })
            )
          )
        )
      )

      const touch = () => {
        cancel()
        if (listeners.size === 0 && latest?._tag !== "Failure") cancel = timers.schedule(idleMillis, close)
      }

      const watch = {
        touch,
        latest: () => latest,
        listen: (known: Latest | undefined, notify: () => void) => {
          listeners.add(notify)
          touch()
          if (latest !== undefined && latest !== known) notify()
          return () => {
            listeners.delete(notify)
            touch()
          }
        }
      }
      watches.set(id, watch)
      return watch
    })

    return Effect.fnUntraced(function* (id: string) {
      if (isForbidden) return undefined
      const watch = watches.get(id) ?? (yield* start(id))
      watch.touch()
      return watch.latest()?._tag === "Failure" ? undefined : watch
    })
  }

  const goneListeners = new Map<string, Set<() => void>>()
  const reportGone = (id: string, { _tag }: WatchEvent) =>
    Effect.sync(() => {
      if (_tag === "Deleted") goneListeners.get(id)?.forEach((notify) => notify())
    })

  const objects = pool((id) => Stream.tap(store.watch(id), (event) => reportGone(id, event)))
  const turns = pool((id) => withoutDeletions(store.watch(id, { label })))
  return {
    open: (id, on) => (on === "Object" ? objects : turns)(id),
    onGone: (id, notify) => {
      const listeners = goneListeners.get(id) ?? new Set()
      goneListeners.set(id, listeners.add(notify))
      return () => {
        listeners.delete(notify)
        if (listeners.size === 0) goneListeners.delete(id)
      }
    }
  }
})

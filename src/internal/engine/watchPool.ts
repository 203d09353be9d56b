/**
 * The watches of a process: one for each id that has waiters, shared by all of them.
 *
 * A watch outlives its last listener by a second, so that a process that comes back to a lock in demand again and again need not
 * open it anew each time. A watch that failed is forgotten after a few seconds, and opened anew if a contender still waits.
 *
 * A watch can be deaf: behind a proxy that buffers it is open and tells nothing. So each answer to a request is compared with what the
 * watch of the object has told. What an answer shows, the watch must tell soon, and it cannot have told a later version before the
 * request was sent. If it fails, it is opened anew, and its waiters look. If no watch of the process tells anything before the next one
 * fails, the process polls for a while.
 *
 * Or it is late: a buffer passes on what it has once more fills it, which may be what the waiter wrote after it had looked by itself.
 * So the process also polls if waiters learned several of the last hand-overs by looking.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type StoreError, Unavailable } from "../../LockError.ts"
import {
  isSelected,
  type ObjectSnapshot,
  type ObjectStore,
  type WatchEvent,
  type WatchOptions
} from "../../ObjectStore.ts"
import type { Answer } from "../protocol/answer.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Timer } from "../time/timerHeap.ts"
import type { Timers } from "../time/timers.ts"
import { quiet } from "../tracing.ts"
import { isOlder } from "../version.ts"

/** The watch of one object. */
export interface Watch {
  /** The last event. Earlier ones do not matter. */
  readonly latest: () => Latest | undefined
  /** Calls `notify` when there is an event newer than `known`, at once if there already is one. Returns how to stop listening. */
  readonly listen: (known: Latest | undefined, notify: () => void) => () => void
}

/** A watch in the pool. `told` is the last version that it told, `check` compares it with what an answer shows. */
interface Pooled extends Watch {
  readonly touch: () => void
  readonly told: () => string | undefined
  readonly check: (toldBefore: string | undefined, answer: Answered) => void
}

/** An event, or why the object cannot be watched any more. */
export type Latest = Exit.Exit<WatchEvent, StoreError>

/** The watches of a process. */
export interface WatchPool {
  /**
   * Watches an object: all its changes, or only the hand-overs to this process. `undefined` if the server does not allow it to
   * watch. A new watch begins with the object as it is, or with what follows on the version `since`: a hand-over that was followed
   * by others is then not missed.
   */
  readonly open: (id: string, on: "Object" | "Turn", since?: string) => Effect.Effect<Watch | undefined>
  /** Makes a request, and compares its answer with what the watches of the object tell. */
  readonly compare: (id: string, request: Effect.Effect<Answer>) => Effect.Effect<Answer>
  /** Tells a lock that is held on an object if a watch that waiters opened reports the object as gone, until it leaves. */
  readonly hold: (id: string, held: HeldOn) => void
  readonly leave: (id: string, held: HeldOn) => void
}

/** A lock that is held on an object. */
export interface HeldOn {
  readonly gone: () => void
}

/** How long a watch without listeners goes on, in milliseconds. Our choice. */
export const idleMillis = 1000

/** How long a process opens no watch after one was forbidden, in milliseconds: a role may change. Our choice. */
export const forbiddenMillis = 300_000

/** How long contenders poll after a watch failed, in milliseconds. Our choice. */
export const failedMillis = 5000

/** How long a watch may take to tell what an answer has shown, in milliseconds, before it counts as deaf. Our choice. */
export const deafAfterMillis = 1000

/** How many of the last hand-overs to the process its waiters may learn by looking before its watches count as deaf. Our choice. */
export const lateHandOvers = 3
export const lastHandOvers = 10

/** How long a process opens no watch after watches were deaf, in milliseconds. Our choice. */
export const deafMillis = 60_000

/**
 * A kind of watch: its events, whether it tells of an object in this state, and whether it tells the state of an object as soon as it is
 * open.
 */
interface Kind {
  readonly eventsOf: (id: string, since: string | undefined) => Stream.Stream<WatchEvent, StoreError>
  readonly tells: (snapshot: ObjectSnapshot) => boolean
  readonly tellsAtOnce: boolean
}

type Answered = Extract<Answer, { readonly snapshot: ObjectSnapshot }>

type Fork = (effect: Effect.Effect<void>) => Fiber.Fiber<void>

const deaf = (object: string): Unavailable =>
  new Unavailable({ object, verb: "watch", detail: "the watch is open and does not tell what happens" })

// A waiter need not hear that the lock was handed to another process.
const withoutDeletions = <E>(events: Stream.Stream<WatchEvent, E>): Stream.Stream<WatchEvent, E> =>
  Stream.filter(events, ({ _tag }) => _tag === "Changed")

/** Makes the watches of a process. `label` is the label that names the process as the next holder. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  label: NonNullable<WatchOptions["label"]>,
  timers: Timers
): Effect.fn.Return<WatchPool, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = () => ClockReading.monotonic(clock)
  // Until when no watch is opened. A timer for that would keep a process alive that has nothing to do any more.
  let forbiddenUntil = Number.NEGATIVE_INFINITY
  let deafUntil = Number.NEGATIVE_INFINITY
  let isSuspect = false
  let hasReported = false
  let hasReportedDeaf = false
  // A watch was deaf, and none has told anything since.
  let hasBeenDeaf = false
  // Whether a waiter learned the last hand-overs by looking, before a watch told them.
  const wereLate: Array<boolean> = []
  const requests = new Map<string, number>()

  // Answers how many of the last hand-overs were late.
  const noteHandOver = (isLate: boolean): number => {
    wereLate.splice(0, wereLate.length - lastHandOvers + 1)
    wereLate.push(isLate)
    return wereLate.filter(Boolean).length
  }

  // A server that has just started forbids for a moment what it allows, so the second refusal counts.
  const noteForbidden = (error: StoreError) =>
    Effect.suspend(() => {
      if (now() < forbiddenUntil || error._tag !== "LockForbidden") return Effect.void
      if (!isSuspect) {
        isSuspect = true
        return Effect.void
      }
      forbiddenUntil = now() + forbiddenMillis
      if (hasReported) return Effect.void
      hasReported = true
      return quiet(Effect.logWarning(`Waiters poll, since they may not watch. ${error.message}`))
    })

  const noteDeaf = Effect.suspend(() => {
    deafUntil = now() + deafMillis
    if (hasReportedDeaf) return Effect.void
    hasReportedDeaf = true
    return quiet(
      Effect.logWarning(
        "Waiters poll, since watches are open and do not tell what happens. Look for a proxy that buffers responses between this process and the API server."
      )
    )
  })

  const fibers = yield* FiberSet.make<void>()
  // A watch belongs to the contender that opens it: to its span, if there is one.
  const forker = FiberSet.runtime(fibers)<never>()

  const pool = ({ eventsOf, tells, tellsAtOnce }: Kind) => {
    const watches = new Map<string, Pooled>()

    const start = (id: string, fork: Fork, since: string | undefined): Pooled => {
      const listeners = new Set<() => void>()
      let latest: Latest | undefined
      // The last version that was told, and the last one that an answer has shown.
      let told: string | undefined
      let seen: string | undefined
      let timer: Timer | undefined
      let acquit: (() => void) | undefined
      let fiber: Fiber.Fiber<void> | undefined

      const cancel = () => timers.cancel(timer)

      const close = () => {
        acquit?.()
        cancel()
        watches.delete(id)
        fiber?.interruptUnsafe()
      }

      const publish = (next: Latest) => {
        latest = next
        acquit?.()
        Array.from(listeners).forEach((notify) => notify())
      }

      const hear = (event: WatchEvent) =>
        Effect.sync(() => {
          isSuspect = false
          hasBeenDeaf = false
          if (event._tag === "Changed") {
            told = event.snapshot.resourceVersion
            // A request may itself have pushed the event out of a buffer.
            const isNews = seen === undefined || isOlder(seen, told)
            if (isNews && !tellsAtOnce && !requests.has(id)) noteHandOver(false)
          }
          publish(Exit.succeed(event))
        })

      const fail = (error: StoreError) => {
        close()
        watches.set(id, watch)
        timer = timers.schedule(failedMillis, { fire: close })
        publish(Exit.fail(error))
      }

      const beDeaf = () => {
        fork(noteDeaf)
        fail(deaf(store.describe(id)))
      }

      const openAnew = (since?: string) => {
        told = since
        fiber?.interruptUnsafe()
        fiber = fork(
          Effect.catch(Stream.runForEach(eventsOf(id, since), hear), (error) =>
            Effect.andThen(
              noteForbidden(error),
              Effect.sync(() => fail(error))
            )
          )
        )
      }

      // The watch owes an event from now on.
      const suspect = () => {
        const overdue = timers.schedule(deafAfterMillis, {
          fire: () => {
            acquit = undefined
            if (hasBeenDeaf) return beDeaf()
            hasBeenDeaf = true
            openAnew()
            publish(Exit.succeed({ _tag: "Deleted" }))
            touch()
          }
        })
        acquit = () => {
          timers.cancel(overdue)
          acquit = undefined
          touch()
        }
      }

      const touch = () => {
        if (latest?._tag === "Failure") return
        cancel()
        if (listeners.size === 0 && acquit === undefined) timer = timers.schedule(idleMillis, { fire: close })
      }

      const watch: Pooled = {
        touch,
        told: () => told,
        check: (toldBefore, { _tag, snapshot }) => {
          const { resourceVersion } = snapshot
          seen = resourceVersion
          if (toldBefore !== undefined && isOlder(resourceVersion, toldBefore)) return openAnew()
          const isTold = told !== undefined && !isOlder(told, resourceVersion)
          if (!tells(snapshot) || isTold || acquit !== undefined || latest?._tag === "Failure") return
          // A label that wakes several was not written for this process.
          const isOurs = _tag === "Found" && !tellsAtOnce && snapshot.labels[label.key] === label.value
          if (isOurs && noteHandOver(true) >= lateHandOvers) return beDeaf()
          suspect()
        },
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
      if (tellsAtOnce) suspect()
      openAnew(since)
      return watch
    }

    return {
      get: (id: string) => watches.get(id),
      open: (id: string, fork: Fork, since: string | undefined) => {
        if (now() < Math.max(forbiddenUntil, deafUntil)) return undefined
        const watch = watches.get(id) ?? start(id, fork, since)
        watch.touch()
        return watch.latest()?._tag === "Failure" ? undefined : watch
      }
    }
  }

  const ended = (id: string) => {
    const others = requests.get(id)! - 1
    if (others === 0) requests.delete(id)
    else requests.set(id, others)
  }

  // Most locks are alone on their objects, and need no set.
  const heldOn = new Map<string, HeldOn | ReadonlySet<HeldOn>>()
  const allOn = (id: string): ReadonlyArray<HeldOn> => {
    const held = heldOn.get(id)
    if (held === undefined) return []
    return held instanceof Set ? Array.from(held) : [held as HeldOn]
  }
  const reportGone = (id: string, { _tag }: WatchEvent) =>
    Effect.sync(() => {
      if (_tag === "Deleted") allOn(id).forEach((held) => held.gone())
    })

  const objects = pool({
    eventsOf: (id) => Stream.tap(store.watch(id), (event) => reportGone(id, event)),
    tells: () => true,
    tellsAtOnce: true
  })
  const turns = pool({
    eventsOf: (id, since) => withoutDeletions(store.watch(id, { label, since, changesOnly: true })),
    tells: ({ labels }) => isSelected(labels, label),
    tellsAtOnce: false
  })
  return {
    open: (id, on, since) => Effect.map(forker, (fork) => (on === "Object" ? objects : turns).open(id, fork, since)),
    compare: (id, request) =>
      Effect.suspend(() => {
        const before = [objects, turns].map((pool) => pool.get(id)?.told())
        requests.set(id, (requests.get(id) ?? 0) + 1)
        return Effect.map(request, (answer) => {
          if (answer._tag === "Found" || answer._tag === "Written") {
            for (const [index, pool] of [objects, turns].entries()) pool.get(id)?.check(before[index], answer)
          }
          return answer
        }).pipe(Effect.ensuring(Effect.sync(() => ended(id))))
      }),
    hold: (id, held) => {
      const others = allOn(id)
      heldOn.set(id, others.length === 0 ? held : new Set([...others, held]))
    },
    leave: (id, held) => {
      const others = allOn(id).filter((other) => other !== held)
      if (others.length === 0) heldOn.delete(id)
      else heldOn.set(id, new Set(others))
    }
  }
})

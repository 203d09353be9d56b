/**
 * Waits for sessions to end. All that wait for one session share a watch of its Lease, and look once it would have expired. The one
 * that finds it expired fences it.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../../LockError.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import * as boundedMap from "../boundedMap.ts"
import type { Latest, WatchPool } from "../engine/watchPool.ts"
import type { Timer } from "../time/timerHeap.ts"
import type { Timers } from "../time/timers.ts"
import { fence, type Fenced } from "./fence.ts"
import * as reporting from "./reporting.ts"
import * as sessionLease from "./sessionLease.ts"

/** The ends of sessions, as this process learns of them. Sessions that have ended stay so, so they are remembered. */
export interface Endings {
  /** Whether this process knows that the session has ended. It makes no request. */
  readonly hasEnded: (reference: sessionLease.SessionReference) => boolean
  /** Calls `notify` once when the session has ended, at once if that is known. Returns how to stop listening. */
  readonly onEnd: (reference: sessionLease.SessionReference, notify: () => void) => () => void
  /** Waits until the session has ended. */
  readonly wait: (reference: sessionLease.SessionReference) => Effect.Effect<void>
  /** Asks at once: fences the session if it has expired. */
  readonly ask: (reference: sessionLease.SessionReference) => Effect.Effect<Fenced, StoreError>
}

/** How long a session is followed after the last one stopped waiting for it, in milliseconds. Our choice. */
export const idleMillis = 10_000

/** After how long a session is looked at again if the API server gave no answer, in milliseconds. Our choice. */
export const retryMillis = 1000

/** After how long a session is looked at in any case, in milliseconds. Our choice. */
export const longestMillis = 60_000

/** How many sessions that have ended a process remembers. One that is forgotten is asked for again. */
export const maxRemembered = 10_000

interface Followed {
  readonly listeners: Set<() => void>
  stop: () => void
  stopping: Timer | undefined
}

/** Makes the endings of the sessions in one namespace. `watches` are of the same store. */
export const make = Effect.fnUntraced(function* (
  leases: ObjectStore["Service"],
  watches: WatchPool,
  timers: Timers
): Effect.fn.Return<Endings, never, Scope.Scope> {
  const ended = boundedMap.make<string, true>(maxRemembered)
  const followed = new Map<string, Followed>()
  const fork = yield* FiberSet.makeRuntime<never>()
  const report = reporting.make("Cannot tell whether other processes live.")

  const hasEnded = (reference: sessionLease.SessionReference) => ended.get(sessionLease.format(reference)) === true

  const ask = (reference: sessionLease.SessionReference) =>
    Effect.tap(fence(leases, reference), ({ _tag }) =>
      Effect.sync(() => {
        if (_tag === "Ended") conclude(sessionLease.format(reference))
      })
    )

  const conclude = (text: string) => {
    ended.set(text, true)
    const listeners = followed.get(text)?.listeners ?? []
    followed.delete(text)
    Array.from(listeners).forEach((notify) => notify())
  }

  // When to look again without news, in milliseconds; at once if nothing is known yet.
  const pause = (known: Fenced | undefined) =>
    Effect.map(leases.now, (now) =>
      known?._tag === "Lives"
        ? Math.min(
            LockProtocol.recheckDelay({ seen: {}, position: 0, canJoin: false, isFull: false, ...known }, now, true),
            longestMillis
          )
        : retryMillis
    )

  const follow = Effect.fnUntraced(function* (reference: sessionLease.SessionReference) {
    const look = Effect.catch(ask(reference), (error) => Effect.as(report(error), undefined))
    let told: Latest | undefined
    let known = yield* look
    while (known?._tag !== "Ended") {
      const watch = yield* watches.open(reference.name, "Object")
      yield* timers.wait(yield* pause(known), (notify) => watch?.listen(told, notify) ?? (() => {}))
      const latest = watch?.latest()
      const news = latest === told ? undefined : latest
      told = latest
      const shown =
        news?._tag === "Success" && news.value._tag === "Changed"
          ? sessionLease.standing(reference, news.value.snapshot, yield* leases.now)
          : undefined
      known = shown?._tag === "Lives" ? shown : yield* look
    }
  })

  const start = (reference: sessionLease.SessionReference): Followed => {
    const text = sessionLease.format(reference)
    const started: Followed = { listeners: new Set(), stop: () => {}, stopping: undefined }
    followed.set(text, started)
    const fiber = fork(Effect.andThen(Effect.yieldNow, follow(reference)))
    started.stop = () => {
      if (followed.get(text) === started) followed.delete(text)
      fiber.interruptUnsafe()
    }
    return started
  }

  const keepOn = ({ stopping }: Followed) => timers.cancel(stopping)

  const onEnd = (reference: sessionLease.SessionReference, notify: () => void) => {
    if (hasEnded(reference)) {
      notify()
      return () => {}
    }
    const one = followed.get(sessionLease.format(reference)) ?? start(reference)
    keepOn(one)
    one.listeners.add(notify)
    return () => {
      one.listeners.delete(notify)
      if (one.listeners.size > 0) return
      keepOn(one)
      one.stopping = timers.schedule(idleMillis, { fire: one.stop })
    }
  }

  return {
    hasEnded,
    onEnd,
    ask,
    wait: (reference) =>
      Effect.callback<void>((resume) => {
        const stop = onEnd(reference, () => resume(Effect.void))
        return Effect.sync(stop)
      })
  }
})

/**
 * Performs a release: the requests that the machine in `protocol/release.ts` commands, again and again if they fail in passing.
 * It releases only what is ours, only while it is ours, and never fails the work that the lock protected.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Lease } from "../../LockRecord.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import * as protocol from "../protocol/release.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Contender } from "./contender.ts"
import * as requests from "./requests.ts"
import { tell } from "./telemetry.ts"
import * as waitBudget from "./waitBudget.ts"

/**
 * How a release ended; no outcome if it failed. `mayQueue`: the waiter that wanted the lock again may stand in the queue. The
 * snapshot of the outcome says whether it does.
 */
export interface Released {
  readonly outcome: protocol.Outcome | undefined
  readonly mayQueue: boolean
}

/** How long a release goes on trying. A single request may take as long as the store gives it. Our choice. */
export const patience = Duration.seconds(5)

/** Releases a lease, by the object as last seen. A failure is logged with the time at which the lock frees itself. */
export const release = (
  contender: Contender,
  lease: Lease,
  seen: ObjectSnapshot,
  requeue: string | undefined
): Effect.Effect<Released> => {
  const self = { ...requestOf(contender, requeue), handsOver: false }
  return perform(
    contender,
    self,
    (now) => protocol.release(self, lease, seen, now),
    (lock, problem) => `Could not release ${lock}. It expires at ${lease.expiry}. ${problem}`
  )
}

/** Hands a lock that is free in this snapshot to the first waiter, unless another contender is faster. */
export const handOver = (
  contender: Contender,
  free: ObjectSnapshot,
  requeue: string | undefined
): Effect.Effect<Released> => {
  const self = { ...requestOf(contender, requeue), handsOver: true }
  return perform(
    contender,
    self,
    (now) => protocol.handOver(self, free, now),
    (lock, problem) =>
      `Could not hand over ${lock}. It is free, but its waiters may not hear of it for ${Duration.format(contender.policy.ttl)}. ${problem}`
  )
}

/**
 * Withdraws an acquisition that may stand in the queue, or may have the lock, without knowing. A write that was cut off gets a
 * moment to arrive: a reading that comes before it would miss it.
 */
export const withdraw = (contender: Contender, { writing }: { readonly writing: boolean }): Effect.Effect<void> => {
  const self = { ...requestOf(contender, undefined), handsOver: true }
  return perform(
    contender,
    self,
    () => protocol.withdraw,
    (lock, problem) =>
      `Could not withdraw from ${lock}. If a request without an answer took it, it expires within ${Duration.format(contender.policy.ttl)}. ${problem}`
  ).pipe(Effect.delay(writing ? cutOffDelay : 0), Effect.asVoid)
}

/** The release of a contender. `requeue` is the holder ID of the waiter of the same process that wants the lock again. */
export const requestOf = ({ holderId, kind, sharedWithDex }: Contender, requeue: string | undefined) => ({
  kind,
  holderId,
  requeue,
  sharedWithDex
})

const perform = (
  contender: Contender,
  self: protocol.Release,
  begin: (now: Parameters<typeof protocol.step>[3]) => protocol.Step,
  failure: (lock: string, problem: string) => string
): Effect.Effect<Released> =>
  Effect.gen(function* () {
    const { engine, id, object } = contender
    const { store } = engine
    const startedAt = yield* ClockReading.now
    const budget = waitBudget.make(retries)
    let mayQueue = false
    let [state, command] = begin(yield* requests.now(store))

    const fail = (problem: string) =>
      Effect.as(tell(contender, "Warn", failure(`lock "${id}" (${object})`, problem)), {
        outcome: undefined,
        mayQueue
      })

    const advance = (event: protocol.Event) =>
      Effect.map(requests.now(store), (now) => {
        ;[state, command] = protocol.step(self, state, event, now)
      })

    // Ends with the release, or at the first failure that may pass.
    const tryOnce = Effect.gen(function* () {
      for (;;) {
        switch (command._tag) {
          case "Done":
            return { outcome: command.outcome, mayQueue }
          case "Fail":
            return yield* fail(command.problem)
          case "ReadLater":
            return command.problem
          case "Read":
            yield* advance(yield* requests.read(store, id))
            break
          case "Write":
            mayQueue ||= command.requeues
            yield* advance(yield* requests.write(store, id, command.write))
        }
      }
    })

    const tryOnAndOn = Effect.gen(function* () {
      for (;;) {
        yield* advance({ _tag: "Elapsed" })
        const released = yield* tryOnce
        if (typeof released !== "string") return released
        const left = yield* budget(released)
        yield* Effect.sleep(Duration.millis(Option.getOrElse(left, () => 0)))
      }
    })

    const released = yield* tryOnce
    if (typeof released !== "string") return released
    const left = Duration.toMillis(patience) - ClockReading.elapsed(startedAt, yield* ClockReading.now).max
    return left <= 0
      ? yield* fail(released)
      : yield* Effect.timeoutOrElse(tryOnAndOn, { duration: left, orElse: () => fail(released) })
  })

const retries = Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("250 millis")]).pipe(Schedule.jittered)

/** How long a withdrawal waits for a write that was cut off. Our choice. */
export const cutOffDelay = Duration.millis(50)

/** From wanting a lock to having it: one attempt after the other, and the waits between them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as LockError from "../../LockError.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { WatchEvent, ObjectSnapshot } from "../../ObjectStore.ts"
import {
  type Attempt,
  attempt,
  attemptAsTold,
  contend,
  decide,
  type PermanentError,
  seen,
  sending,
  standing
} from "./attempt.ts"
import * as patience from "./waitBudget.ts"
import * as ClockReading from "../time/clockReading.ts"
import { span } from "./telemetry.ts"
import { glance, pauseBefore, visit } from "../protocol/fairness.ts"
import type { Grant, Wish } from "./wish.ts"

// Others were met.
type Met = Extract<Attempt, { readonly _tag: "Held" | "RaceLost" }>

/** What ends a wait. */
export type WaitError = PermanentError | LockError.Timeout | LockError.Unavailable

/**
 * Tries until it succeeds, or until the policy's schedule ends. Beside Dex it leaves others their gap first, where it is
 * time.
 */
export const acquire = Effect.fnUntraced(function* (wish: Wish): Effect.fn.Return<Grant, WaitError> {
  const pause =
    wish.besideDex && !wish.mayQueue ? pauseBefore(wish.memory.recall(), (yield* ClockReading.now).monotonic) : 0
  if (pause > 0) yield* Effect.sleep(Duration.millis(pause))
  const outcome = yield* attempt(wish)
  return outcome._tag === "Granted" ? outcome.grant : yield* span("wait", wish)(contest(wish, outcome))
})

const contest = Effect.fnUntraced(function* (wish: Wish, first: Attempt): Effect.fn.Return<Grant, WaitError> {
  for (let outcome = first; ;) {
    switch (outcome._tag) {
      case "Granted":
        return outcome.grant
      case "Held":
        outcome = yield* outcome.canJoin ? approach(wish, outcome) : waitFor(wish, outcome)
        break
      case "RaceLost":
        outcome = yield* approach(wish, outcome)
        break
      case "Unavailable":
        yield* pauseAfter(wish, outcome.error)
        outcome = yield* attempt(wish)
    }
  }
})

// For one step of the schedule, or as long as the server asks for.
const pauseAfter = Effect.fnUntraced(function* (
  wish: Wish,
  error: LockError.Unavailable
): Effect.fn.Return<void, LockError.Unavailable> {
  const left = yield* wish.patience(error)
  if (Option.isNone(left)) return yield* error
  yield* Effect.sleep(Duration.max(Duration.millis(left.value), error.retryAfter ?? Duration.zero))
})

// Joins the queue, but not together with all who came at the same time: a server takes far longer for many writes to one
// object at once than for one after the other.
const approach = Effect.fnUntraced(function* (wish: Wish, outcome: Met): Effect.fn.Return<Attempt, WaitError> {
  if (outcome._tag === "RaceLost" || wish.took > slowAnswer) yield* stayAway(wish, outcome)
  return yield* join(wish)
})

// For a little by chance, or to the end of the schedule.
const stayAway = Effect.fnUntraced(function* (wish: Wish, outcome: Met): Effect.fn.Return<void, LockError.Timeout> {
  let delay = yield* Random.nextBetween(0, spread(wish))
  do {
    const left = yield* wish.patience(outcome, delay)
    if (Option.isNone(left)) return yield* timeout(wish, seen(outcome))
    const part = Math.min(delay, Math.max(1, left.value))
    yield* Effect.sleep(Duration.millis(part))
    delay -= part
  } while (delay > 0)
})

// Over how many milliseconds those are spread who want to write. How long the server took to answer tells how many they
// are. Who may stand in the queue does not stay away for long: its turn may come.
const spread = ({ mayQueue, took }: Wish): number => Math.max(20, Math.min(mayQueue ? 100 : 1000, 8 * took))

// An answer that takes longer, in milliseconds, is one of many at once.
const slowAnswer = 20

// Arrives in the queue, without asking who has the lock: if only it is somebody with a name. Nothing is written to an
// object that Dex has locked.
const join = Effect.fnUntraced(function* (wish: Wish): Effect.fn.Return<Attempt, WaitError> {
  const { annotation: key } = wish.policy
  const before = wish.mayQueue
  wish.mayQueue = true
  const arrival = wish.store.compareAndSwap(wish.id, {
    expect: { annotations: { [LockRecord.holderKey(key)]: true } },
    annotations: LockQueue.joinPatch(key, wish.holder, wish.found ?? nothingFound)
  })
  const answer = yield* sending(
    wish,
    Effect.catchTag(arrival, "LockNotFound", () => Effect.succeedNone)
  )
  if (answer._tag === "Failure") {
    const error = answer.failure
    return error._tag === "LockUnavailable" ? { _tag: "Unavailable", error } : yield* error
  }
  if (Option.isSome(answer.success)) return yield* contend(wish, answer.success.value)
  wish.mayQueue = before
  yield* stayAway(wish, { _tag: "RaceLost" })
  return yield* attempt(wish)
})

// The version of an object that was not there.
const nothingFound = "0"

/**
 * Waits until there is something to be done. In the queue that is news that the lock was handed over; where one and the
 * same holder keeps the lock, or one without a name has it, it is whatever happens to the object. What is not told is
 * looked for when the lock would have expired.
 */
const waitFor = Effect.fnUntraced(function* (
  wish: Wish,
  standing: LockProtocol.WaitState
): Effect.fn.Return<Attempt, WaitError> {
  const { expiry, holder } = standing.seen
  const { monotonic: began } = yield* ClockReading.now
  if (expiry !== undefined && wish.incumbent?.holder !== holder) wish.incumbent = { holder, since: began }
  const isQueued = standing.position !== undefined
  const isToldAll = !isQueued || began - (wish.incumbent?.since ?? began) >= LockProtocol.stableHolderAfter
  const due = began + LockProtocol.recheckDelay(standing, yield* wish.store.now, isToldAll)
  const isFull = !isQueued && holder !== undefined
  let watch = isFull ? undefined : yield* wish.watches.open(wish.id, isToldAll ? "all" : "ours")
  for (;;) {
    const left = yield* wish.patience(standing, watch === undefined ? 0 : patience.ahead)
    if (Option.isNone(left)) return yield* timeout(wish, standing.seen)
    if (watch === undefined) {
      yield* Effect.sleep(Duration.millis(left.value))
      return yield* attempt(wish)
    }
    const asleep = due - (yield* ClockReading.now).monotonic
    if (asleep <= 0) return yield* attempt(wish)
    const { listen, told } = watch
    yield* wish.alarms.wait(Math.ceil(Math.min(left.value, asleep)), (call) => listen(wish.heeded, call))
    const news = told()
    if (news === undefined || news === wish.heeded) continue
    wish.heeded = news
    if (news._tag === "Failure") watch = undefined
    else {
      const outcome = yield* heed(wish, news.value, standing)
      if (outcome !== undefined) return outcome
    }
  }
})

// What a watch tells may be older than what is known. A lock that is free is left so for a moment, for who released it to
// hand it on, or for Dex.
const heed = Effect.fnUntraced(function* (
  wish: Wish,
  change: WatchEvent,
  before: LockProtocol.WaitState
): Effect.fn.Return<Attempt | undefined, PermanentError> {
  if (change._tag === "Deleted") return yield* attempt(wish)
  const { snapshot: metadata } = change
  if (!isNewer(metadata, wish.known)) return undefined
  wish.known = metadata.resourceVersion
  const started = yield* ClockReading.now
  const decision = yield* decide(wish, metadata, true)
  if (isGap(before) && isLeftFree(wish, metadata, decision)) {
    const hasCome = decision._tag === "Wait" && decision.seen.expiry !== undefined
    return hasCome && before.position !== undefined ? prolonged(before) : undefined
  }
  if (decision._tag === "Wait") return isSame(decision, before) ? undefined : standing(wish, decision)
  return yield* attemptAsTold(wish, metadata, started, decision)
})

// Versions grow: `LockQueue` and fencing tokens rely on it, too.
const isNewer = ({ resourceVersion }: ObjectSnapshot, known: string | undefined): boolean =>
  known === undefined || !(Number(resourceVersion) <= Number(known))

const isSame = (a: LockProtocol.WaitState, b: LockProtocol.WaitState): boolean =>
  a.position === b.position && Equal.equals(a.seen, b.seen)

// The lock is left free to the end of the gap, however often a Dex takes and releases it there. Where one came the gap is
// longer: there may be more of them.
const isGap = ({ seen }: LockProtocol.WaitState): boolean => seen.expiry === undefined

const isLeftFree = ({ policy }: Wish, { annotations }: ObjectSnapshot, decision: LockProtocol.Decision): boolean =>
  decision._tag === "Wait" ? decision.seen.holder === undefined : !(policy.annotation in annotations)

const prolonged = (standing: LockProtocol.WaitState): Attempt => ({
  ...standing,
  _tag: "Held",
  until: standing.until + visit - glance,
  position: undefined
})

/** The end of a wait. */
export const timeout = (wish: Wish, seen: Partial<LockProtocol.HolderInfo>): Effect.Effect<never, LockError.Timeout> =>
  Effect.flatMap(ClockReading.now, (now) =>
    Effect.fail(
      new LockError.Timeout({
        id: wish.id,
        object: wish.store.describe(wish.id),
        attempts: wish.attempts,
        waited: Duration.millis(Math.round(ClockReading.elapsed(wish.began, now).max)),
        ...seen
      })
    )
  )

/**
 * The contenders of one process. For each id they queue, first come, first served, and one of them at a time speaks to the API
 * server. When its hold ends, the lock may be handed on to the next without a request, for as long as the fairness budget of the
 * process lasts. (The idea is lock cohorting: Dice, Marathe, Shavit 2012.)
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as LockError from "../../LockError.ts"
import type * as LockProtocol from "../../LockProtocol.ts"
import * as boundedMap from "../boundedMap.ts"
import { timeout } from "../protocol/acquisition.ts"
import type { Start } from "../protocol/acquisitionState.ts"
import * as fairness from "../protocol/fairness.ts"
import { rejoinTime } from "../protocol/rejoining.ts"
import type { CutOff, Outcome } from "../protocol/release.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Acquired, Restore, Withdraw } from "./acquire.ts"
import type { Contender } from "./contender.ts"
import { startHold } from "./heldLease.ts"
import type { HeldLease, Holding, Released } from "./holding.ts"
import { handOver, withdraw } from "./release.ts"
import { span } from "./telemetry.ts"
import * as waitBudget from "./waitBudget.ts"

/** Gets the lock, or permits, from the API server. */
export type Seek<E> = (
  contender: Contender,
  start: Start,
  withdraw: Withdraw,
  restore: Restore
) => Effect.Effect<Acquired, E>

/** What a contender sees that waits for another contender of its process: the lease that this process holds, if it does. */
export interface SeenLocally extends Partial<LockProtocol.HolderInfo> {
  readonly thisProcess: "Holds" | "Waits"
}

/** The contenders of one process, for all ids. */
export interface LocalQueue {
  /**
   * Waits until the contender may proceed, and gets the lock with `seek` unless it is handed on. Call it in an uninterruptible
   * region: `restore` makes the wait and `seek` interruptible, and nothing in between.
   */
  readonly acquire: <E>(
    contender: Contender,
    start: Start,
    seek: Seek<E>,
    restore: Restore
  ) => Effect.Effect<Holding, E | LockError.Timeout>
  /** The same without a wait: fails with `busy` if another contender of the process has the lock or is about to get it. */
  readonly acquireIfIdle: <E>(
    contender: Contender,
    start: Start,
    seek: Seek<E>,
    restore: Restore,
    busy: (seen: SeenLocally) => Effect.Effect<never, E>
  ) => Effect.Effect<Holding, E>
  /**
   * Hands the lock on to the next contender of the process, or releases it. When it ends the release has been written, unless
   * another contender of the process waits for the lock, or this one releases in the background.
   */
  readonly leave: (contender: Contender, holding: Holding) => Effect.Effect<void>
}

/** A contender that waits. `granted` is done once it may proceed: with the lock, or to get it with `seek`. */
interface Waiter {
  readonly contender: Contender
  start: Start
  granted: { readonly holding: Holding | undefined } | undefined
  notify: () => void
}

/**
 * The state of one id. It exists while a contender wants or has the lock. `waiters` is made for the first one. `keepUntil`: the waiters
 * that were taken out of the object's queue have time to join again until then (milliseconds on the monotonic clock). `cutOff`: a join
 * of the holder that got no answer, and may arrive when the hold has ended.
 */
interface Entry {
  waiters: Set<Waiter> | undefined
  budget: fairness.Budget | undefined
  holding: Holding | undefined
  keepUntil: number
  cutOff: CutOff | undefined
}

/** How many ids a process remembers at most after their release. Our choice. */
export const maxRemembered = 16_384

/** How often a lock is handed on within a process before it is released. Our choice. */
export const maxLocalHandOffs = 10_000

/** Makes the contenders of a process. `detach` starts work for which only the end of the layer waits. */
export const make = (detach: (effect: Effect.Effect<void>) => Effect.Effect<void>): LocalQueue => {
  const entries = new Map<string, Entry>()
  const spentBudgets = boundedMap.make<string, fairness.SpentBudget>(maxRemembered)
  // When this process met a Dex last (milliseconds on the monotonic clock).
  const metDexAt = boundedMap.make<string, number>(maxRemembered)
  // The versions in which a lock of this process is free. Each serves one acquisition.
  const freeVersions = boundedMap.make<string, string>(maxRemembered)

  const open = (id: string): Entry => {
    const entry: Entry = { waiters: undefined, budget: undefined, holding: undefined, keepUntil: 0, cutOff: undefined }
    entries.set(id, entry)
    return entry
  }

  const grant = (waiter: Waiter, holding: Holding | undefined) => {
    waiter.granted = { holding }
    waiter.notify()
  }

  // Lets the next waiter proceed. Without a waiter the id is forgotten.
  const grantNext = (id: string, entry: Entry) =>
    Effect.sync(() => {
      entry.holding = undefined
      const first = firstOf(entry)
      if (first === undefined) {
        entries.delete(id)
        return
      }
      entry.waiters!.delete(first)
      grant(first, undefined)
    })

  // A defect in a release must not keep the id from the next contender.
  const freeing = (id: string, entry: Entry, release: Effect.Effect<Released>) =>
    Effect.onError(release, () => grantNext(id, entry))

  const withdrawing = (contender: Contender, cutOff?: CutOff, spent?: number) =>
    detach(withdraw(contender, cutOff, spent))

  const pauseForDex = ({ id, settings }: Contender, { queued }: Start) =>
    settings.sharedWithDex && !queued
      ? Effect.flatMap(ClockReading.now, ({ monotonic }) => {
          const pause = fairness.pauseForDex(spentBudgets.get(id), monotonic)
          return pause > 0 ? Effect.sleep(pause) : Effect.void
        })
      : Effect.void

  const seekLock = Effect.fnUntraced(function* <E>(
    contender: Contender,
    start: Start,
    entry: Entry,
    seek: Seek<E>,
    restore: Restore,
    pause: Effect.Effect<void>
  ): Effect.fn.Return<Holding, E> {
    const { id } = contender
    const seeking = Effect.andThen(
      Effect.onError(restore(pause), () => (start.queued ? withdrawing(contender) : Effect.void)),
      Effect.suspend(() => {
        const freeVersion = start.snapshot === undefined ? freeVersions.get(id) : undefined
        freeVersions.delete(id)
        return seek(contender, { ...start, freeVersion }, (cutOff) => withdrawing(contender, cutOff), restore)
      })
    )
    const acquired = yield* Effect.onError(seeking, () => grantNext(id, entry))
    const now = yield* ClockReading.now
    const { monotonic } = now
    const { contended, cutOff, grant, metDex } = acquired
    const { sharedWithDex } = contender.settings
    if (metDex && sharedWithDex) metDexAt.set(id, monotonic)
    entry.budget = fairness.nextBudget(spentBudgets.get(id), monotonic, { contended, sharedWithDex })
    entry.keepUntil = monotonic + rejoinTime(grant, ClockReading.elapsed(grant.issuedAt, now).max)
    entry.cutOff = cutOff
    entry.holding = holdingOf(yield* startHold(contender, grant), 0)
    return entry.holding
  })

  const remember = (id: string, budget: fairness.Budget, outcome: Outcome) =>
    Effect.map(ClockReading.now, ({ monotonic }) => {
      const isLeftFree = outcome._tag === "Passed" && outcome.isLeftFree
      if (outcome._tag === "Freed") freeVersions.set(id, outcome.snapshot.resourceVersion)
      if (isLeftFree || fairness.mayDexWait(metDexAt.get(id), monotonic)) {
        spentBudgets.set(id, fairness.leftFree(budget, monotonic))
      } else if (outcome._tag === "Freed") {
        spentBudgets.set(id, { ...budget, releasedAt: monotonic })
      }
    })

  // Other processes wait, or the lock is lost. The release is not sent at once: a contender of this process that wants the lock again right
  // away is then in the local queue, and gets a place in the object's queue with the same request, unless a Dex may wait. The contender
  // that leaves is such a one only if it does not wait for the release.
  const handOverToOthers = Effect.fnUntraced(function* (
    { lease }: Holding,
    entry: Entry,
    pause: number,
    send: (requeue: string | undefined) => Effect.Effect<Released>
  ) {
    const { id } = lease.contender
    yield* pause > 0 ? Effect.sleep(pause) : Effect.yieldNow
    const again = firstOf(entry)
    const sentAt = yield* ClockReading.now
    const requeue = fairness.mayDexWait(metDexAt.get(id), sentAt.monotonic) ? undefined : again?.contender.holderId
    const sent = yield* freeing(id, entry, send(requeue))
    // The known waiters have left, and another one joined meanwhile.
    const isAwaited = sent.outcome?._tag === "Awaited"
    const { mayQueue, outcome } = isAwaited
      ? yield* freeing(id, entry, handOver(lease.contender, sent.outcome, requeue))
      : sent
    const latency = ClockReading.elapsed(sentAt, yield* ClockReading.now).max
    if (again !== undefined && (mayQueue || sent.mayQueue)) {
      again.start = { queued: true, snapshot: outcome?.requeued, latency }
      if (!entry.waiters!.has(again)) yield* withdrawing(again.contender, undefined, latency)
    }
    yield* afterRelease(lease.contender, entry, outcome, latency)
  })

  // `spent` is how long the release took, in milliseconds.
  const afterRelease = Effect.fnUntraced(function* (
    holder: Contender,
    entry: Entry,
    outcome: Released["outcome"],
    spent: number
  ) {
    if (entry.budget !== undefined && outcome !== undefined) yield* remember(holder.id, entry.budget, outcome)
    const { cutOff } = entry
    yield* grantNext(holder.id, entry)
    if (cutOff !== undefined) yield* withdrawing(holder, cutOff, spent)
  })

  const leave = Effect.fnUntraced(function* ({ releaseInBackground }: Contender, holding: Holding) {
    const { lease, localHandOffs } = holding
    const { id } = lease.contender
    const entry = entries.get(id)!
    const leftAt = yield* ClockReading.now
    const { monotonic } = leftAt
    // Nothing may come between: one that gives up does not wait any more.
    const first = firstOf(entry)
    if (first !== undefined && canTake(first.contender, holding) && fairness.hasBudget(entry.budget!, monotonic)) {
      entry.waiters!.delete(first)
      entry.holding = holdingOf(lease, localHandOffs + 1)
      grant(first, entry.holding)
      return
    }
    // Nobody is told any more that this process holds it.
    if (lease.isLost()) entry.holding = undefined
    const release = (requeue: string | undefined) => lease.release(requeue)
    const pause = lease.isAwaited() || !lease.isValid() ? 0 : entry.keepUntil - monotonic
    if (pause > 0) return yield* detach(handOverToOthers(holding, entry, pause, release))
    const awaitUnlessWanted = (handOver: Effect.Effect<void>) =>
      releaseInBackground || lease.isLost() || firstOf(entry) !== undefined ? detach(handOver) : handOver
    if (lease.isAwaited() || lease.isLost()) {
      return yield* awaitUnlessWanted(handOverToOthers(holding, entry, 0, release))
    }
    const { outcome } = yield* freeing(id, entry, release(undefined))
    if (outcome?._tag !== "Awaited") {
      const spent = ClockReading.elapsed(leftAt, yield* ClockReading.now).max
      return yield* afterRelease(lease.contender, entry, outcome, spent)
    }
    yield* awaitUnlessWanted(
      handOverToOthers(holding, entry, 0, (requeue) => handOver(lease.contender, outcome, requeue))
    )
  })

  // Returns the lock if it is handed on, or else where to start to get it.
  const waitToProceed = (
    entry: Entry,
    contender: Contender,
    start: Start,
    restore: Restore
  ): Effect.Effect<{ readonly holding: Holding | undefined; readonly start: Start }, LockError.Timeout> =>
    Effect.suspend(() => {
      const waiter: Waiter = { contender, start, granted: undefined, notify: () => {} }
      const waiters = (entry.waiters ??= new Set())
      waiters.add(waiter)
      return Effect.map(
        Effect.onError(restore(span("wait", contender)(wait(entry, waiter))), () => {
          waiters.delete(waiter)
          // It was granted at the moment at which it gave up. The next contender gets it.
          if (waiter.granted === undefined) return Effect.void
          const { holding } = waiter.granted
          if (holding !== undefined) return leave(contender, holding)
          const next = grantNext(contender.id, entry)
          return waiter.start.queued ? Effect.andThen(withdrawing(contender), next) : next
        }),
        (holding) => ({ holding, start: waiter.start })
      )
    })

  return {
    acquire: (contender, start, seek, restore) =>
      Effect.suspend(() => {
        const entry = entries.get(contender.id)
        return entry === undefined
          ? seekLock(contender, start, open(contender.id), seek, restore, pauseForDex(contender, start))
          : Effect.flatMap(waitToProceed(entry, contender, start, restore), ({ holding, start }) =>
              holding === undefined
                ? seekLock(contender, start, entry, seek, restore, pauseForDex(contender, start))
                : Effect.succeed(holding)
            )
      }),
    acquireIfIdle: (contender, start, seek, restore, busy) =>
      Effect.suspend(() => {
        const entry = entries.get(contender.id)
        return entry === undefined
          ? seekLock(contender, start, open(contender.id), seek, restore, Effect.void)
          : busy(seenOf(entry.holding?.lease))
      }),
    leave
  }
}

const firstOf = ({ waiters }: Entry): Waiter | undefined => waiters?.values().next().value

/** The lock in the hands of a contender, after so many hand-offs within the process. */
export const holdingOf = (lease: HeldLease, localHandOffs: number): Holding => ({
  lease,
  localHandOffs,
  fencingToken: (BigInt(lease.acquired.resourceVersion) << 20n) + BigInt(localHandOffs)
})

// A waiter whose policy asks for a different lease gets its own.
const canTake = ({ policy }: Contender, { lease, localHandOffs }: Holding): boolean =>
  lease.isValid() && localHandOffs < maxLocalHandOffs && isSameLease(policy, lease.contender.policy)

/** Whether two policies ask for the same lease, which contenders of one process can then hand on. */
export const isSameLease = (a: Contender["policy"], b: Contender["policy"]): boolean =>
  a.renewEvery !== false &&
  b.renewEvery !== false &&
  (a === b || (Equal.equals(a.ttl, b.ttl) && Equal.equals(a.renewEvery, b.renewEvery)))

/** What a contender sees of the lease that its process holds, if it does. */
export const seenOf = (lease: HeldLease | undefined): SeenLocally => {
  if (lease === undefined) return { thisProcess: "Waits" }
  const { expiry, holderId } = lease.lease()
  return { thisProcess: "Holds", expiry, holder: holderId }
}

const wait = Effect.fnUntraced(function* (
  entry: Entry,
  waiter: Waiter
): Effect.fn.Return<Holding | undefined, LockError.Timeout> {
  const { contender } = waiter
  for (;;) {
    const left = yield* contender.waitBudget.left(undefined, waitBudget.ahead)
    if (Option.isNone(left)) return yield* timeout(contender, yield* ClockReading.now, 0, seenOf(entry.holding?.lease))
    yield* contender.engine.timers.wait(left.value, (notify) => {
      waiter.notify = notify
      if (waiter.granted !== undefined) notify()
      return () => {}
    })
    if (waiter.granted !== undefined) return waiter.granted.holding
  }
})

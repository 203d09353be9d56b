/**
 * The contenders of one process for permits. For each lock they queue, first come, first served. One of them asks the API server, for
 * all that wait: so a process has few leases. Permits that one gives back may go to the next without a request, for as long as the
 * fairness budget of the lease lasts.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type * as LockError from "../../LockError.ts"
import { type Asked, recheckAfter } from "../../LockProtocol.ts"
import { timeout } from "../protocol/acquisition.ts"
import type { Start } from "../protocol/acquisitionState.ts"
import * as fairness from "../protocol/fairness.ts"
import type { Outcome } from "../protocol/release.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Acquired, Restore, Withdraw } from "./acquire.ts"
import type { Contender } from "./contender.ts"
import { startHold } from "./heldLease.ts"
import type { HeldLease, Holding } from "./holding.ts"
import * as lineMemory from "./lineMemory.ts"
import { isSameLease, maxLocalHandOffs, seenOf, type Seek, type SeenLocally } from "./localQueue.ts"
import { withdraw } from "./release.ts"
import { span } from "./telemetry.ts"
import * as waitBudget from "./waitBudget.ts"

/**
 * How long a reader that leaves in the background gives each of those that came in with it and before it, in milliseconds, and how many
 * of them it reckons with at most. An API server is slow at many writes to one object at once: sixteen take three times as long as one
 * after the other. Our choice.
 */
export const leavesApart = { millis: 4, atMost: 15 }

/** How long a contender waits for others of its process before it asks the API server as well, in milliseconds. Our choice. */
export const patience = fairness.budgetLength.first

/** The contenders of one process for permits. */
export interface PermitPool {
  /**
   * Waits until the contender has its permits: from another contender of the process, or with `seek`. Call it in an uninterruptible
   * region: `restore` makes the wait and `seek` interruptible, and nothing in between.
   */
  readonly acquire: <E>(
    contender: Contender,
    start: Start,
    seek: Seek<E>,
    restore: Restore
  ) => Effect.Effect<Holding, E | LockError.Timeout>
  /** The same without a wait: fails with `busy` if other contenders of the process came first. */
  readonly acquireIfFree: <E>(
    contender: Contender,
    start: Start,
    seek: Seek<E>,
    restore: Restore,
    busy: (seen: SeenLocally) => Effect.Effect<never, E>
  ) => Effect.Effect<Holding, E>
  /** Gives the permits of a contender to the next one of the process, or back to the API server. */
  readonly leave: (contender: Contender, holding: Holding) => Effect.Effect<void>
  /** Gives back all permits but one. They are free when it ends. */
  readonly downgrade: (holding: Holding) => Effect.Effect<void>
  /** Takes all permits, if nobody else has or wants any. Answers the fencing token then. */
  readonly tryUpgrade: (holding: Holding) => Effect.Effect<bigint | undefined, LockError.StoreError>
}

/** What a waiter is told: it has permits, or it must seek them. */
interface Granted {
  readonly holding: Holding | undefined
}

/** A contender that waits. */
interface Waiter {
  contender: Contender
  start: Start
  granted: Granted | undefined
  notify: () => void
}

type Sent = Pick<lineMemory.Released, "age" | "sentAt">

/**
 * A lease of this process.
 *
 * - `cutOff`: a join that got no answer, and may arrive when the lease is gone.
 * - `version`: that in which it was seen to have its permits. Later ones may have been another's meanwhile.
 * - `granted`: how many permits it had when one was taken last.
 * - `used`: how many permits are in the hands of contenders. `ceiling`: how many can be while others are given back.
 * - `leavesAfter`: how long its release waits for those of others that came in with the same write, in milliseconds.
 * - `isClosing`: what contenders give back goes to the API server.
 * - `looking`: ends when it is known whether others wait. Until then nothing is handed on.
 */
interface Hold {
  readonly lease: HeldLease
  readonly cutOff: Acquired["cutOff"]
  readonly alone: Semaphore.Semaphore
  version: string
  granted: number
  used: number
  ceiling: number
  handOffs: number
  budget: fairness.Budget
  readonly leavesAfter: number
  isClosing: boolean
  looking: Deferred.Deferred<void> | undefined
  follower: Fiber.Fiber<void> | undefined
}

/**
 * The state of one lock. It exists while a contender wants or has permits. `seeking` counts those that ask the API server. `leaving` are
 * the leases that are about to be released: a contender that comes then waits, since the release can put it into the line.
 */
interface Entry {
  readonly key: string
  readonly waiters: Set<Waiter>
  readonly holds: Set<Hold>
  readonly leaving: Set<Hold>
  seeking: number
}

/** Makes the contenders of a process. `detach` starts work for which only the end of the layer waits. */
export const make = (detach: (effect: Effect.Effect<void>) => Effect.Effect<void>): PermitPool => {
  const entries = new Map<string, Entry>()
  const holdOf = new WeakMap<HeldLease, readonly [Entry, Hold]>()
  const left = new WeakSet<Holding>()
  const memory = lineMemory.make()

  const open = ({ id, kind }: Contender): Entry => {
    // A semaphore with another limit is for the API server to refuse.
    const key = `${kind.permits!.mark} ${id}`
    let entry = entries.get(key)
    if (entry === undefined) {
      entry = { key, waiters: new Set(), holds: new Set(), leaving: new Set(), seeking: 0 }
      entries.set(key, entry)
    }
    return entry
  }

  const forgetIfIdle = (entry: Entry) => {
    const { holds, key, leaving, seeking, waiters } = entry
    const isIdle = waiters.size === 0 && holds.size === 0 && leaving.size === 0 && seeking === 0
    if (isIdle && entries.get(key) === entry) entries.delete(key)
  }

  const tell = (entry: Entry, waiter: Waiter, granted: Granted) => {
    entry.waiters.delete(waiter)
    waiter.granted = granted
    waiter.notify()
  }

  const takeFrom = (hold: Hold, { asks }: Contender): Holding => {
    const { granted } = hold.lease.permits()
    if (granted > hold.granted) hold.version = hold.lease.seen().resourceVersion
    hold.granted = granted
    hold.used += asks!.needs
    return { lease: hold.lease, localHandOffs: hold.handOffs, permits: asks!.needs, fencingToken: nextToken(hold) }
  }

  const nextToken = (hold: Hold): bigint => (BigInt(hold.version) << 20n) + BigInt(hold.handOffs++)

  const canUse = (hold: Hold, { policy }: Contender): boolean =>
    !hold.isClosing &&
    hold.handOffs < maxLocalHandOffs &&
    hold.lease.isValid() &&
    isSameLease(policy, hold.lease.contender.policy)

  const hasRoom = (hold: Hold, contender: Contender): boolean =>
    canUse(hold, contender) &&
    Math.min(roomIn(hold.lease, contender), hold.ceiling) - hold.used >= contender.asks!.needs

  // A lease with room, although it may not be known yet whether others wait.
  const leaseFor = ({ holds }: Entry, contender: Contender): Hold | undefined =>
    Array.from(holds).find((hold) => hasRoom(hold, contender))

  // How many permits of a lease its contenders have or wait for.
  const wantedOf = ({ waiters }: Entry, hold: Hold): number => {
    const { asked } = hold.lease.permits()
    if (sharesPermits(hold.lease.contender)) return hold.used < asked ? Math.min(1, hold.used) : asked
    let wanted = hold.used
    for (const { contender } of waiters) if (canUse(hold, contender)) wanted += contender.asks!.needs
    return Math.min(asked, wanted)
  }

  // Gives the permits that the process has to its waiters, and lets one ask for what is missing.
  const serve = (entry: Entry): Effect.Effect<void> => {
    const serving = Effect.sync(() => {
      for (const waiter of entry.waiters) {
        const { contender } = waiter
        const hold = leaseFor(entry, contender)
        if (hold?.looking !== undefined) return
        if (hold !== undefined) {
          tell(entry, waiter, { holding: takeFrom(hold, contender) })
          continue
        }
        if (entry.seeking > 0 || entry.leaving.size > 0 || isFull(entry, contender)) return
        entry.seeking++
        tell(entry, waiter, { holding: undefined })
      }
      forgetIfIdle(entry)
    })
    return Effect.suspend(() =>
      entry.waiters.size > 0 && entry.holds.size > 0 ? Effect.andThen(checkBudgets(entry), serving) : serving
    )
  }

  // A process asks for what all its waiters need, up to the limit.
  const askFor = (entry: Entry, contender: Contender): Asked => {
    const { needs } = contender.asks!
    if (sharesPermits(contender)) return { permits: needs, needs }
    let permits = needs
    for (const { contender: other } of entry.waiters) {
      if (other !== contender && isSameLease(other.policy, contender.policy)) permits += other.asks!.needs
    }
    return { permits: Math.max(needs, Math.min(permits, limitOf(contender) - askedIn(entry))), needs }
  }

  const withdrawing = (contender: Contender, cutOff?: Parameters<Withdraw>[0], spent?: number) =>
    detach(withdraw(contender, cutOff, spent))

  const seekPermits = Effect.fnUntraced(function* <E>(
    contender: Contender,
    start: Start,
    entry: Entry,
    seek: Seek<E>,
    restore: Restore,
    waits: boolean
  ): Effect.fn.Return<Holding, E> {
    const { id } = contender
    const { monotonic: startedAt } = yield* ClockReading.now
    const ended = Effect.suspend(() => {
      entry.seeking--
      return serve(entry)
    })
    const acquired = yield* Effect.onError(
      Effect.suspend(() => {
        const { freeVersion, isInUse } = memory.recall(entry.key, startedAt)
        const isNew = start.snapshot === undefined && !start.queued
        // One that only tries joins no line.
        const known = isNew ? { ...start, freeVersion, isInUse: isInUse && waits } : start
        return seek(contender, known, (cutOff) => withdrawing(contender, cutOff), restore)
      }),
      () => ended
    )
    const { monotonic } = yield* ClockReading.now
    const { contended, cutOff, grant, hasWaited } = acquired
    const lease = yield* startHold(contender, grant, () => Array.from(entry.holds, ({ lease }) => lease))
    const hold: Hold = {
      lease,
      cutOff,
      alone: Semaphore.makeUnsafe(1),
      version: grant.snapshot.resourceVersion,
      granted: lease.permits().granted,
      used: 0,
      ceiling: Number.POSITIVE_INFINITY,
      handOffs: 0,
      budget: memory.nextBudget(id, monotonic, contended),
      leavesAfter: hasWaited ? leavesAfter(lease) : 0,
      isClosing: false,
      looking: undefined,
      follower: undefined
    }
    entry.holds.add(hold)
    holdOf.set(hold.lease, [entry, hold])
    const holding = takeFrom(hold, contender)
    entry.seeking--
    yield* serve(entry)
    if (isPartial(hold.lease)) hold.follower = yield* Effect.forkIn(follow(entry, hold), contender.engine.scope)
    if (hasSpare(entry, hold)) yield* giveBackLater(entry, hold)
    return holding
  })

  // A lease that holds fewer permits than it has gets the others when they fit.
  const follow = Effect.fnUntraced(function* (entry: Entry, { lease }: Hold) {
    const { engine, id } = lease.contender
    const watch = yield* engine.watches.open(id, "Turn", lease.acquired.resourceVersion)
    if (watch === undefined) return
    let known: ReturnType<(typeof watch)["latest"]>
    while (lease.isValid() && isPartial(lease)) {
      // A renewal may show it as well.
      const told = Effect.callback<void>((resume) => {
        const stop = watch.listen(known, () => resume(Effect.void))
        return Effect.sync(stop)
      })
      yield* Effect.raceFirst(told, Effect.sleep(recheckAfter))
      known = watch.latest()
      if (known?._tag === "Success" && known.value._tag === "Changed") yield* lease.learn(known.value.snapshot)
      if (known?._tag === "Failure") return
      yield* serve(entry)
    }
  })

  const remember = (entry: Entry, { budget, lease }: Hold, sent: Sent, outcome: Outcome | undefined) =>
    Effect.map(ClockReading.now, ({ monotonic }) => {
      if (outcome === undefined) return
      memory.note(entry.key, { ...sent, answeredAt: monotonic, outcome })
      if (outcome._tag === "Freed") memory.spend(lease.contender.id, budget, monotonic)
    })

  // A reader that leaves lets nobody in if others stay, so what it found the last time says nothing.
  const paceOf = ({ key }: Entry, { lease }: Hold, { age }: Sent) =>
    sharesPermits(lease.contender) ? { passed: 0, isHurried: true } : memory.paceOf(key, age)

  // Nobody uses it, nor waits until it is known whether others wait.
  const isUnused = ({ waiters }: Entry, hold: Hold): boolean =>
    hold.used === 0 &&
    (hold.looking === undefined || !Array.from(waiters).some((waiter) => canUse(hold, waiter.contender)))

  const hasSpare = (entry: Entry, hold: Hold): boolean => {
    const { asked } = hold.lease.permits()
    return hold.used === 0 ? isUnused(entry, hold) : hold.used < asked && wantedOf(entry, hold) < asked
  }

  // Releases a lease that nobody uses. A contender of this process that waits gets its place in the line with the same write.
  const release = Effect.fnUntraced(function* (entry: Entry, hold: Hold) {
    const { lease } = hold
    if (hold.follower !== undefined) yield* Fiber.interrupt(hold.follower)
    const [again] = entry.seeking === 0 && !lease.isLost() ? entry.waiters : []
    if (again !== undefined) {
      entry.seeking++
      again.contender = { ...again.contender, asks: askFor(entry, again.contender) }
    }
    const sentAt = yield* ClockReading.now
    const timing: Sent = { sentAt: sentAt.monotonic, age: sentAt.monotonic - lease.seenAt() }
    const sent = yield* Effect.onError(
      lease.release(again?.contender.holderId, {
        again: again && {
          holderId: again.contender.holderId,
          permits: again.contender.asks!.permits,
          ttl: again.contender.settings.ttl
        },
        ...paceOf(entry, hold, timing)
      }),
      () =>
        Effect.suspend(() => {
          if (again !== undefined) entry.seeking--
          entry.leaving.delete(hold)
          return serve(entry)
        })
    )
    yield* remember(entry, hold, timing, sent.outcome)
    entry.leaving.delete(hold)
    const latency = ClockReading.elapsed(sentAt, yield* ClockReading.now).max
    if (hold.cutOff !== undefined) yield* withdrawing(lease.contender, hold.cutOff, latency)
    if (again !== undefined) {
      if (sent.mayQueue) again.start = { queued: true, snapshot: sent.outcome?.requeued, latency }
      if (entry.waiters.has(again)) tell(entry, again, { holding: undefined })
      else {
        entry.seeking--
        if (sent.mayQueue) yield* withdrawing(again.contender, undefined, latency)
      }
    }
    yield* serve(entry)
    forgetIfIdle(entry)
  })

  const giveBack = Effect.fnUntraced(function* (entry: Entry, hold: Hold) {
    yield* serve(entry)
    if (!entry.holds.has(hold)) return
    if (hold.used === 0) {
      if (!isUnused(entry, hold)) return
      // From now on nobody takes from it.
      entry.holds.delete(hold)
      return yield* release(entry, hold)
    }
    entry.leaving.delete(hold)
    // Those that came since permits were given back have to wait.
    const wanted = Math.min(wantedOf(entry, hold), hold.ceiling)
    if (wanted >= hold.lease.permits().asked || hold.lease.isLost()) return
    hold.ceiling = wanted
    const sentAt = (yield* ClockReading.now).monotonic
    const timing: Sent = { sentAt, age: sentAt - hold.lease.seenAt() }
    const { outcome } = yield* hold.lease.lower({ keeps: wanted, ...paceOf(entry, hold, timing) })
    // If it is not known whether the write was applied, the permits do not count as given back, nor as there.
    if (outcome !== undefined) hold.ceiling = Number.POSITIVE_INFINITY
    else yield* later(hold, settle(entry, hold))
    yield* remember(entry, hold, timing, outcome)
    yield* serve(entry)
  })

  const settle = (entry: Entry, hold: Hold): Effect.Effect<void> => hold.alone.withPermit(giveBack(entry, hold))

  const later = ({ lease: { contender } }: Hold, effect: Effect.Effect<void>) =>
    Effect.asVoid(Effect.forkIn(Effect.delay(effect, recheckAfter), contender.engine.scope))

  const giveBackAfter = (pause: Effect.Effect<void>, entry: Entry, hold: Hold) =>
    detach(Effect.andThen(pause, settle(entry, hold)))

  const giveBackLater = (entry: Entry, hold: Hold) => giveBackAfter(Effect.yieldNow, entry, hold)

  // What was kept for a waiter that does not wait any more.
  const giveBackAll = Effect.fnUntraced(function* (entry: Entry) {
    for (const hold of entry.holds) if (hold.used > 0 && hasSpare(entry, hold)) yield* giveBackLater(entry, hold)
  })

  // A budget that is over is followed by another one if nobody else waits. The server must be asked.
  const look = Effect.fnUntraced(function* (entry: Entry, hold: Hold, looking: Deferred.Deferred<void>) {
    yield* hold.lease.look
    const { monotonic } = yield* ClockReading.now
    hold.isClosing = hold.lease.isAwaited() || !hold.lease.isValid()
    const { id } = hold.lease.contender
    if (!hold.isClosing) {
      memory.spend(id, hold.budget, monotonic)
      hold.budget = memory.nextBudget(id, monotonic, false)
    }
    hold.looking = undefined
    Deferred.doneUnsafe(looking, Exit.void)
    yield* settle(entry, hold)
  })

  // After an upgrade without an answer, which may have been applied all the same. Any version after the one that was known shows it.
  const lookAgain = (entry: Entry, hold: Hold, known: string): Effect.Effect<void> =>
    Effect.gen(function* () {
      const { lease } = hold
      yield* lease.look
      const isKnown = lease.isLost() || lease.seen().resourceVersion !== known
      yield* settle(entry, hold)
      if (!isKnown && entry.holds.has(hold)) yield* later(hold, lookAgain(entry, hold, known))
    })

  // Before permits go to another contender of the process.
  const checkBudgets = Effect.fnUntraced(function* (entry: Entry) {
    const { monotonic } = yield* ClockReading.now
    for (const hold of entry.holds) {
      if (hold.isClosing || hold.looking !== undefined || fairness.hasBudget(hold.budget, monotonic)) continue
      if (hold.lease.isAwaited() || hold.lease.contender.engine.closing.hasBegun()) hold.isClosing = true
      else {
        hold.looking = Deferred.makeUnsafe()
        yield* detach(look(entry, hold, hold.looking))
      }
    }
  })

  const leave = Effect.fnUntraced(function* ({ releaseInBackground }: Contender, holding: Holding) {
    const { lease, permits = 1 } = holding
    const [entry, hold] = holdOf.get(lease)!
    left.add(holding)
    hold.used -= permits
    yield* serve(entry)
    if (!hasSpare(entry, hold)) return
    // A contender of this process that comes back at once must not pass those of others.
    hold.ceiling = Math.min(hold.ceiling, wantedOf(entry, hold))
    if (hold.used === 0) {
      hold.isClosing = true
      entry.leaving.add(hold)
    }
    if (releaseInBackground && isShared(lease)) {
      const { leavesAfter } = hold
      const hurries = leavesAfter === 0 || Array.from(entry.waiters).some(({ contender }) => isWriter(contender))
      const pause = hurries ? Effect.yieldNow : lease.contender.engine.closing.sleep(leavesAfter)
      return yield* giveBackAfter(pause, entry, hold)
    }
    return yield* (lease.isLost() || entry.waiters.size > 0 ? giveBackLater : settle)(entry, hold)
  })

  // The process has as many permits as there are, or nearly so, and its contenders hand them on. If that takes too long for the first
  // waiter, it asks the API server all the same, so that contenders of other processes do not pass it.
  const becomeImpatient = Effect.fnUntraced(function* (entry: Entry, waiter: Waiter) {
    const [first] = entry.waiters
    if (first !== waiter || entry.seeking > 0) return
    entry.seeking++
    tell(entry, waiter, { holding: undefined })
    yield* giveBackAll(entry)
  })

  const wait = Effect.fnUntraced(function* (entry: Entry, waiter: Waiter): Effect.fn.Return<void, LockError.Timeout> {
    const { contender } = waiter
    const impatientAt = contender.startedAt.monotonic + patience
    while (waiter.granted === undefined) {
      const left = yield* contender.waitBudget.left(undefined, waitBudget.ahead)
      if (Option.isNone(left)) return yield* timeout(contender, yield* ClockReading.now, 0, seenIn(entry))
      const { monotonic } = yield* ClockReading.now
      if (monotonic >= impatientAt) yield* becomeImpatient(entry, waiter)
      // In whole milliseconds: a timer of a few nanoseconds fires before the clock has moved.
      const patient = Math.ceil(impatientAt - monotonic)
      const asleep = patient > 0 ? Math.min(left.value, patient) : left.value
      yield* contender.engine.timers.wait(asleep, (notify) => {
        waiter.notify = notify
        if (waiter.granted !== undefined) notify()
        return () => {}
      })
    }
  })

  const downgrade = (holding: Holding) =>
    Effect.suspend(() => {
      const [entry, hold] = holdOf.get(holding.lease)!
      hold.used -= holding.permits! - 1
      holding.permits = 1
      return settle(entry, hold)
    }).pipe(Effect.uninterruptible)

  const tryUpgrade = (holding: Holding) =>
    Effect.suspend(() => {
      const { lease } = holding
      const [entry, hold] = holdOf.get(lease)!
      const limit = limitOf(lease.contender)
      // By what is there once nothing else writes: others may have come meanwhile.
      const raising = Effect.suspend(() => {
        if (hold.used > 1 || hold.isClosing) return Effect.undefined
        if (entry.waiters.size > 0 || entry.seeking > 0) return Effect.undefined
        hold.ceiling = 1
        return lease.raise(limit).pipe(
          Effect.map((hasRaised) => {
            // A contender that left meanwhile gives the lease back as it is.
            const isRaised = hasRaised && !left.has(holding)
            if (isRaised) {
              hold.version = lease.seen().resourceVersion
              hold.used = limit
              holding.permits = limit
            }
            return isRaised ? nextToken(hold) : undefined
          }),
          Effect.ensuring(
            Effect.sync(() => {
              hold.ceiling = Number.POSITIVE_INFINITY
            })
          )
        )
      })
      // What is given back next must know of the raised permits.
      return hold.alone.withPermit(raising).pipe(
        Effect.onError(() => Effect.suspend(() => detach(lookAgain(entry, hold, lease.seen().resourceVersion)))),
        Effect.tap(() => serve(entry)),
        // Another reader may have taken the place of one that left.
        Effect.tap(() => (hasSpare(entry, hold) ? giveBackLater(entry, hold) : Effect.void))
      )
    }).pipe(Effect.uninterruptible)

  // Returns the permits if they are handed on, or else where to start to get them.
  const waitToProceed = (
    entry: Entry,
    contender: Contender,
    start: Start,
    restore: Restore
  ): Effect.Effect<Waiter, LockError.Timeout> =>
    Effect.suspend(() => {
      const waiter: Waiter = { contender, start, granted: undefined, notify: () => {} }
      entry.waiters.add(waiter)
      // It joins with the release of its process. Readers must not pass it because that gives way to the releases of others.
      const hurrying = isWriter(contender)
        ? Effect.forEach(entry.leaving, (hold) => giveBackLater(entry, hold), { discard: true })
        : Effect.void
      const waiting = Effect.onError(restore(span("wait", contender)(wait(entry, waiter))), () => {
        entry.waiters.delete(waiter)
        // It was granted at the moment at which it gave up.
        if (waiter.granted === undefined) return Effect.andThen(serve(entry), giveBackAll(entry))
        if (waiter.granted.holding !== undefined) return leave(contender, waiter.granted.holding)
        entry.seeking--
        return waiter.start.queued ? Effect.andThen(withdrawing(waiter.contender), serve(entry)) : serve(entry)
      })
      return serve(entry).pipe(Effect.andThen(hurrying), Effect.andThen(waiting), Effect.as(waiter))
    })

  const acquireIfFree: PermitPool["acquireIfFree"] = (contender, start, seek, restore, busy) =>
    Effect.suspend(() => {
      const entry = open(contender)
      const taken = Effect.suspend(() => {
        if (entry.waiters.size > 0) return busy({ thisProcess: "Waits" })
        const hold = leaseFor(entry, contender)
        if (hold?.looking !== undefined) {
          const known = restore(Deferred.await(hold.looking))
          return Effect.andThen(known, acquireIfFree(contender, start, seek, restore, busy))
        }
        if (hold !== undefined) return Effect.succeed(takeFrom(hold, contender))
        if (isFull(entry, contender)) return busy(seenIn(entry))
        entry.seeking++
        return seekPermits(contender, start, entry, seek, restore, false)
      })
      return leaseFor(entry, contender) === undefined ? taken : Effect.andThen(checkBudgets(entry), taken)
    })

  return {
    acquire: (contender, start, seek, restore) =>
      Effect.suspend(() => {
        const entry = open(contender)
        return Effect.flatMap(waitToProceed(entry, contender, start, restore), (waiter) => {
          const { granted, start } = waiter
          if (granted?.holding !== undefined) return Effect.succeed(granted.holding)
          if (start.queued) return seekPermits(waiter.contender, start, entry, seek, restore, true)
          // Contenders that came at the same time ask together.
          return Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() => {
              const asking = { ...contender, asks: askFor(entry, contender) }
              return seekPermits(asking, start, entry, seek, restore, true)
            })
          )
        })
      }),
    acquireIfFree,
    leave,
    downgrade,
    tryUpgrade
  }
}

const limitOf = ({ kind }: Contender): number => kind.permits!.limit

const sharesPermits = ({ kind }: Contender): boolean => kind.permits!.shares

const isWriter = (contender: Contender): boolean => sharesPermits(contender) && contender.asks!.needs > 1

// The lease of a reader has room for all readers of its process, and for no writer.
const roomIn = (lease: HeldLease, { asks }: Contender): number => {
  const { asked, granted } = lease.permits()
  if (!sharesPermits(lease.contender) || asked > 1) return granted
  return asks!.needs === 1 ? Number.POSITIVE_INFINITY : 0
}

// Readers that one write let in leave together if they stay for equally long.
const leavesAfter = (lease: HeldLease): number => {
  const { acquired, contender } = lease
  if (!sharesPermits(contender)) return 0
  const { leases } = contender.kind.decode(acquired.annotations)
  const before = leases.findIndex(({ holderId }) => holderId === contender.holderId)
  return Math.max(0, Math.min(before, leavesApart.atMost)) * leavesApart.millis
}

const isPartial = (lease: HeldLease): boolean => {
  const { asked, granted } = lease.permits()
  return granted < asked
}

// Whether others have or want permits, as the object was last seen.
const isShared = (lease: HeldLease): boolean => lease.contender.kind.decode(lease.seen().annotations).leases.length > 1

const askedIn = ({ holds }: Entry): number =>
  Array.from(holds).reduce((sum, { lease }) => sum + (lease.isLost() ? 0 : lease.permits().asked), 0)

const seenIn = ({ holds }: Entry): SeenLocally => {
  const [first] = holds
  return seenOf(first?.lease)
}

// Whether the leases of the process leave too few permits for another one.
const isFull = (entry: Entry, contender: Contender): boolean =>
  askedIn(entry) + contender.asks!.needs > limitOf(contender)

/**
 * The contenders of one process: for each id they queue, first come first served, and one of them at a time speaks to the
 * API server. When its hold ends the lock may be passed on to the next without any request, for as long as the tenure of
 * the process lasts.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as LockError from "../../LockError.ts"
import type * as LockProtocol from "../../LockProtocol.ts"
import { timeout } from "./acquire.ts"
import { hold } from "./hold.ts"
import * as patience from "./waitBudget.ts"
import { abandon, passOn } from "./release.ts"
import * as ClockReading from "../time/clockReading.ts"
import { span } from "./telemetry.ts"
import * as tenure from "../protocol/fairness.ts"
import type { Holding, Turn } from "./turn.ts"
import type { Grant, Memory, Wish } from "./wish.ts"

/** Who waits within the process. `called` once it is its move: with the lock in hand, or to go and get it. */
interface Waiter {
  readonly wish: Wish
  /** Wakes it. */
  wake: () => void
  called: { readonly holding: Holding | undefined } | undefined
}

/** Makes an effect interruptible again, as `Effect.uninterruptibleMask` gives it. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What happens to one id in the process. It is there while somebody wants or has the lock. */
interface Cohort {
  readonly waiting: Set<Waiter>
  holding: Holding | undefined
}

/** The contenders of one process, for all ids. */
export interface Cohorts {
  /**
   * Waits for the wish's move, and then goes and gets the lock with `seek`, unless it is passed on. To be called where it
   * cannot be interrupted: `restore` lets that happen to the wait and to `seek`, and to nothing in between.
   */
  readonly acquire: <E>(
    wish: Wish,
    seek: Effect.Effect<Grant, E>,
    restore: Restore
  ) => Effect.Effect<Holding, E | LockError.Timeout>
  /** The same without a wait: fails with `busy` where somebody in the process has the lock, or is about to get it. */
  readonly acquireIfIdle: <E>(
    wish: Wish,
    seek: Effect.Effect<Grant, E>,
    restore: Restore,
    busy: (seen: Partial<LockProtocol.HolderInfo>) => Effect.Effect<never, E>
  ) => Effect.Effect<Holding, E>
  /** Gives the lock on: to the next in the process, or back. */
  readonly leave: (holding: Holding) => Effect.Effect<void>
  /** What the process remembers of a lock. */
  readonly memoryOf: (id: string) => Memory
}

/** Makes the contenders of a process. `detach` starts what nobody waits for, but the end of the process. */
export const make = (detach: (effect: Effect.Effect<void>) => Effect.Effect<void>): Cohorts => {
  const cohorts = new Map<string, Cohort>()
  const tenures = new Map<string, tenure.Tenure>()
  const running = new Map<string, Pick<tenure.Tenure, "length" | "since">>()

  const begin = Effect.fnUntraced(function* (wish: Wish, grant: Grant): Effect.fn.Return<Holding> {
    running.set(wish.id, tenure.next(tenures.get(wish.id), (yield* ClockReading.now).monotonic, wish))
    return yield* hold(wish, grant)
  })

  const call = (waiter: Waiter, holding: Holding | undefined) => {
    waiter.called = { holding }
    waiter.wake()
  }

  // Whose move it is next. Without anybody the id is forgotten.
  const callNext = (id: string, cohort: Cohort) =>
    Effect.sync(() => {
      cohort.holding = undefined
      const [first] = cohort.waiting
      if (first === undefined) {
        cohorts.delete(id)
        running.delete(id)
        return
      }
      cohort.waiting.delete(first)
      call(first, undefined)
    })

  // What a wish leaves behind that ends without the lock: a write of it may have been applied.
  const giveUp = (wish: Wish) => (wish.mayHold || wish.mayQueue ? detach(abandon(wish)) : Effect.void)

  // Others wait. Nobody waits for the answer, and it is not sent at once: so whoever wants the lock again right away is
  // there before, and gets a place in the queue with the same request.
  const handOver = Effect.fnUntraced(function* (
    id: string,
    cohort: Cohort,
    send: (requeue: Wish | undefined) => Effect.Effect<void>
  ) {
    yield* Effect.yieldNow
    const [again] = cohort.waiting
    yield* send(again?.wish)
    if (again !== undefined && !cohort.waiting.has(again)) yield* giveUp(again.wish)
    yield* callNext(id, cohort)
  })

  const leave = Effect.fnUntraced(function* (holding: Holding) {
    const { turn } = holding
    const { id } = turn.wish
    const cohort = cohorts.get(id)!
    const [first] = cohort.waiting
    const { monotonic: now } = yield* ClockReading.now
    if (first !== undefined && canTake(first.wish, turn) && tenure.mayGoOn(running.get(id)!, now)) {
      cohort.waiting.delete(first)
      turn.passes++
      call(first, holding)
      return
    }
    if (turn.isAwaited()) {
      return yield* detach(
        handOver(id, cohort, (requeue) => {
          turn.requeue = requeue
          return holding.end
        })
      )
    }
    yield* holding.end
    const free = turn.leftFree
    if (free === undefined) return yield* callNext(id, cohort)
    yield* detach(handOver(id, cohort, (requeue) => passOn(turn.wish, free, requeue)))
  })

  const waitFor = (
    cohort: Cohort,
    wish: Wish,
    restore: Restore
  ): Effect.Effect<Holding | undefined, LockError.Timeout> =>
    Effect.suspend(() => {
      const waiter: Waiter = { wish, wake: () => {}, called: undefined }
      cohort.waiting.add(waiter)
      return Effect.onError(restore(span("wait", wish)(patiently(cohort, waiter))), () => {
        cohort.waiting.delete(waiter)
        // It was called in the very moment in which it gave up: on to the next.
        if (waiter.called === undefined) return Effect.void
        const { holding } = waiter.called
        return holding === undefined ? callNext(wish.id, cohort) : leave(holding)
      })
    })

  const seekWith = Effect.fnUntraced(function* <E>(
    wish: Wish,
    cohort: Cohort,
    seek: Effect.Effect<Grant, E>,
    restore: Restore
  ): Effect.fn.Return<Holding, E> {
    const grant = yield* Effect.onError(restore(seek), () => Effect.andThen(giveUp(wish), callNext(wish.id, cohort)))
    cohort.holding = yield* begin(wish, grant)
    return cohort.holding
  })

  const open = (id: string): Cohort => {
    const cohort: Cohort = { waiting: new Set(), holding: undefined }
    cohorts.set(id, cohort)
    return cohort
  }

  return {
    acquire: (wish, seek, restore) =>
      Effect.suspend(() => {
        const cohort = cohorts.get(wish.id)
        return cohort === undefined
          ? seekWith(wish, open(wish.id), seek, restore)
          : Effect.flatMap(waitFor(cohort, wish, restore), (passed) =>
              passed === undefined ? seekWith(wish, cohort, seek, restore) : Effect.succeed(passed)
            )
      }),
    acquireIfIdle: (wish, seek, restore, busy) =>
      Effect.suspend(() => {
        const cohort = cohorts.get(wish.id)
        return cohort === undefined ? seekWith(wish, open(wish.id), seek, restore) : busy(seenOf(cohort))
      }),
    leave,
    memoryOf: (id) => ({
      recall: () => tenures.get(id),
      forget: () => {
        const known = tenures.get(id)
        if (known !== undefined) tenures.set(id, { ...known, resourceVersion: undefined })
      },
      remember: ({ resourceVersion }) =>
        Effect.map(ClockReading.now, ({ monotonic: last }) => {
          const { length, since } =
            running.get(id) ?? tenure.next(undefined, last, { besideDex: false, contended: false })
          tenures.delete(id)
          tenures.set(id, { resourceVersion, since, last, length })
          for (const oldest of tenures.keys()) {
            if (tenures.size <= maxRemembered) return
            tenures.delete(oldest)
          }
        })
    })
  }
}

// Of how many ids at most a process remembers its tenure.
const maxRemembered = 16_384

// A waiter by whose policy the turn would have been another one gets a turn of its own.
const canTake = ({ policy }: Wish, { isValid, passes, wish }: Turn): boolean =>
  isValid() && passes < maxPasses && isSameLease(policy, wish.policy)

const isSameLease = (a: Wish["policy"], b: Wish["policy"]): boolean =>
  a.renewEvery !== false &&
  b.renewEvery !== false &&
  Equal.equals(a.ttl, b.ttl) &&
  Equal.equals(a.renewEvery, b.renewEvery)

const maxPasses = 10_000

const seenOf = ({ holding }: Cohort): Partial<LockProtocol.HolderInfo> => {
  if (holding === undefined) return {}
  const { expiry, holderId } = holding.turn.lease()
  return { expiry, holder: holderId }
}

const patiently = Effect.fnUntraced(function* (cohort: Cohort, waiter: Waiter) {
  const { wish } = waiter
  for (;;) {
    const left = yield* wish.patience(undefined, patience.ahead)
    if (Option.isNone(left)) return yield* timeout(wish, seenOf(cohort))
    yield* wish.alarms.wait(left.value, (call) => {
      waiter.wake = call
      if (waiter.called !== undefined) call()
      return () => {}
    })
    if (waiter.called !== undefined) return waiter.called.holding
  }
})

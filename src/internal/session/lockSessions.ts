/**
 * The sessions of a layer of locks: the one under which it holds them, and those of others, wherever their Leases are.
 *
 * It opens a session when the first lock is acquired, and another one when that is lost. Nobody waits for that: locks that are acquired
 * meanwhile have leases of their own, and come under the session when they are renewed.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Scope from "effect/Scope"
import type * as LockError from "../../LockError.ts"
import type { LockPolicy } from "../../LockPolicy.ts"
import { sessionLeaseTtl } from "../../LockProtocol.ts"
import { type ObjectSnapshot, ObjectStore, type OpenSession, type SessionLeases } from "../../ObjectStore.ts"
import * as boundedMap from "../boundedMap.ts"
import type * as engine from "../engine/sessions.ts"
import type { Loss } from "../protocol/holding.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as answers from "./answers.ts"
import * as listening from "./listening.ts"
import * as reporting from "./reporting.ts"
import * as session from "./session.ts"
import * as sessionLease from "./sessionLease.ts"

/** The options of the sessions of a layer, with the times of its policy. */
export interface Options {
  readonly identity: string | undefined
  readonly policy: LockPolicy
}

/** After how long a session is opened again that could not be opened, in milliseconds. Our choice. */
export const retryAfter = { unavailable: 1000, refused: 300_000 }

/**
 * After how long another lock under the session is looked at, in milliseconds: each after one renewal interval, if they are few. Our
 * choice.
 */
export const lookEvery = 250

/**
 * After how long the leases of all locks under the session are looked through for those of which half has passed, in milliseconds: they
 * have no timers of their own. Our choice.
 */
export const renewalsEvery = sessionLeaseTtl / 24

/** After how long a session that is not relied on any more, and not told to be lost yet, is looked at again, in milliseconds. Our choice. */
const untilTold = 50

/** How much of a session others have broken is remembered: a lock may be acquired after it was broken. Our choice. */
export const maxRemembered = 1000

/** `held` has first what was looked at longest ago. */
interface Open extends OpenSession {
  readonly reference: sessionLease.SessionReference
  readonly held: Map<string, engine.HeldUnder>
  readonly broken: boundedMap.BoundedMap<string, true>
}

/** Makes the sessions of a layer. */
export const make = Effect.fnUntraced(function* (
  { leases, namespace: home, open: openElsewhere }: SessionLeases,
  { identity, policy }: Options
): Effect.fn.Return<engine.Sessions, never, Scope.Scope> {
  const { renewDeadline, renewEvery, ttl } = policy
  const times = { ttl, renewDeadline, renewEvery: renewEvery === false ? Duration.divideUnsafe(ttl, 3) : renewEvery }
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const made = new Map<string, session.Sessions>()
  const making = new Map<string, Effect.Effect<session.Sessions>>()
  let own: Open | undefined
  let opening: Fiber.Fiber<void> | undefined
  let notBefore = Number.NEGATIVE_INFINITY
  const report = reporting.make("Each lock is renewed by itself, since this process can have no session.")

  const fork = yield* FiberSet.makeRuntime<never>()

  const end = (open: Open, reason: LockError.Lost["reason"]) => {
    if (own === open) own = undefined
    for (const held of Array.from(open.held.values())) held.lose({ reason, seen: {}, withSession: true })
    open.held.clear()
  }

  // Before the session relies on this answer, unless a thread of its own renews it. Others wait until what they broke is off the Lease.
  const onAnswer = (store: ObjectStore["Service"]) => (name: string, answer: ObjectSnapshot) => {
    const ids = sessionLease.brokenOn(answer)
    if (ids.length === 0 || own === undefined || !sessionLease.isOf(own.reference, answer)) return
    for (const holderId of ids) {
      own.broken.set(holderId, true)
      own.held.get(holderId)?.lose(broken)
      own.held.delete(holderId)
    }
    fork(Effect.ignore(store.compareAndSwap(name, sessionLease.clearing(answer))))
  }

  // One after the other, so that a slow server is not asked faster than it answers.
  const looking = ({ held }: Open) =>
    Effect.gen(function* () {
      yield* Effect.sleep(Math.max(lookEvery, Duration.toMillis(times.renewEvery) / Math.max(1, held.size)))
      for (const [holderId, one] of held) {
        held.delete(holderId)
        held.set(holderId, one)
        return yield* one.lookAgain
      }
    }).pipe(Effect.forever)

  const renewing = ({ held }: Open) =>
    Effect.gen(function* () {
      yield* Effect.sleep(renewalsEvery)
      for (const one of held.values()) one.renewIfDue()
    }).pipe(Effect.forever)

  const inNamespace = Effect.fnUntraced(function* (namespace: string) {
    let one = making.get(namespace)
    if (one === undefined) {
      const store = leases(namespace)
      one = yield* Effect.cached(
        Effect.tap(
          session.make({ namespace, identity, ...times }).pipe(
            Effect.provideService(
              ObjectStore,
              answers.heard(store, (name, answer) => Effect.sync(() => onAnswer(store)(name, answer)))
            ),
            Scope.provide(scope)
          ),
          (sessions) => Effect.sync(() => made.set(namespace, sessions))
        )
      )
      making.set(namespace, one)
    }
    return yield* one
  })

  const openHere = Effect.gen(function* () {
    const { open } = yield* inNamespace(home)
    const { isValid, lost, reference } = yield* open
    return { session: sessionLease.format(reference), isValid, lost: Effect.mapError(lost, ({ reason }) => reason) }
  })

  const toOpen = openElsewhere === undefined ? openHere : openElsewhere({ identity, ...times }, onAnswer(leases(home)))

  const openOne = Effect.gen(function* () {
    const within = yield* Scope.fork(scope)
    const opened = yield* Effect.result(Scope.provide(toOpen, within))
    if (opened._tag === "Failure") {
      const error = opened.failure
      notBefore =
        ClockReading.monotonic(clock) + retryAfter[error._tag === "LockUnavailable" ? "unavailable" : "refused"]
      yield* Scope.close(within, Exit.void)
      return yield* report(error)
    }
    const open: Open = {
      ...opened.success,
      reference: sessionLease.parse(opened.success.session)!,
      held: new Map(),
      broken: boundedMap.make(maxRemembered)
    }
    own = open
    yield* Scope.addFinalizer(
      within,
      Effect.sync(() => end(open, "Released"))
    )
    yield* Effect.forkIn(
      Effect.catch(open.lost, (reason) => {
        end(open, reason)
        return Scope.close(within, Exit.void)
      }),
      scope
    )
    yield* Effect.forkIn(Effect.interruptible(looking(open)), within)
    yield* Effect.forkIn(Effect.interruptible(renewing(open)), within)
  }).pipe(Effect.uninterruptible)

  const isOpening = () => opening !== undefined && opening.pollUnsafe() === undefined

  const current = () => {
    if (own?.isValid() === true) return own.session
    if (own === undefined && !isOpening() && ClockReading.monotonic(clock) >= notBefore) opening = fork(openOne)
    return undefined
  }

  const opened: Effect.Effect<void> = Effect.suspend(() => {
    current()
    if (own?.isValid() === false) return Effect.andThen(Effect.sleep(untilTold), opened)
    return opening === undefined ? Effect.void : Effect.asVoid(Fiber.await(opening))
  })

  return {
    current,
    hasEnded: (text) => {
      const reference = sessionLease.parse(text)
      return reference !== undefined && made.get(reference.namespace)?.hasEnded(reference) === true
    },
    onEnd: (text, notify) => {
      const reference = sessionLease.parse(text)
      if (reference === undefined) return () => {}
      const sessions = made.get(reference.namespace)
      if (sessions !== undefined) return sessions.onEnd(reference, notify)
      return listening.onceMade(fork, inNamespace(reference.namespace), (sessions) => sessions.onEnd(reference, notify))
    },
    isValid: (text) => own?.session === text && own.isValid(),
    hold: (text, held) => {
      const open = own
      if (open?.session !== text || open.broken.get(held.holderId) === true) {
        return held.lose(open?.session === text ? broken : { reason: "Expired", seen: {}, withSession: true })
      }
      open.held.set(held.holderId, held)
    },
    leave: (text, { holderId }) => {
      if (own?.session === text) own.held.delete(holderId)
    },
    opened: openElsewhere === undefined ? undefined : opened
  }
})

// It stays on the object until the one that breaks it goes on, or this process releases it.
const broken: Loss = { reason: "Removed", seen: {}, mayRemain: true }

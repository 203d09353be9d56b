/** How a process acquires each kind of lock that it can contend for. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as ElectionTiming from "../../src/ElectionTiming.ts"
import type { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import type * as Resource from "../../src/Resource.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SessionThread from "../../src/SessionThread.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import type * as Dice from "../simulation/dice.ts"
import type { Held } from "./contending.ts"
import * as settings from "./settings.ts"

/**
 * What is acquired, and by whom. `resource` is that of the locked object; that of an election is a Lease. Times are in milliseconds.
 * `dice` decide how many permits are taken, and who reads or writes: `takesAll` is the share of acquisitions that take all.
 * `thread`: a thread of its own renews the session.
 */
export interface Options {
  readonly kind: settings.HeldKind
  readonly id: string
  readonly identity: string
  readonly resource: Resource.Resource
  readonly dice: Dice.Dice
  readonly ttl: number
  readonly requestTimeout: number
  readonly patience: number
  readonly takesAll?: number | undefined
  readonly thread?: boolean | undefined
}

/** What is common to all kinds. */
export type Common = Pick<Options, "identity" | "patience" | "requestTimeout" | "resource" | "ttl">

const policyOf = ({ patience, ttl }: Common, session: boolean) =>
  LockPolicy.make({ ttl: Duration.millis(ttl), session, waitSchedule: waitSchedule(patience) })

const storeOf = ({ requestTimeout, resource }: Common) =>
  ObjectStoreKubernetes.make({ resource, namespace: "dex", requestTimeout })

/** The looks of a process that waits for so long. */
export const waitSchedule = (patience: number) =>
  Schedule.spaced(Duration.millis(settings.pollInterval)).pipe(Schedule.upTo({ duration: patience }))

/** Makes the lock of a process, over the client in context. */
export const makeLock = (options: Common) =>
  Effect.flatMap(storeOf(options), (store) =>
    Lock.make({ policy: policyOf(options, false), identity: options.identity }).pipe(
      Effect.provideService(ObjectStore, store)
    )
  )

/** Waits for the lock, and holds it until the scope closes. */
export type Acquire = Effect.Effect<Held, Lock.AcquireError, Scope.Scope>

/** Makes it, over the client in context. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Acquire, LockError.InvalidName, KubernetesClient | Scope.Scope> {
  const { dice, id, identity, kind, thread = false, ttl } = options
  const own = { policy: policyOf(options, kind === "session"), identity }
  const store = yield* storeOf(options)
  const onStore = Effect.provideService(ObjectStore, store)
  const takesAll = () => dice.chance(options.takesAll ?? settings.takesAll)
  switch (kind) {
    case "lock":
      return (yield* onStore(Lock.make(own))).scoped(id)
    case "session": {
      const made = thread ? yield* Effect.orDie(onStore(SessionThread.make())) : store
      const { scoped } = yield* Lock.make(own).pipe(Effect.provideService(ObjectStore, made))
      return Effect.flatMap(scoped(`${id}-before`), (before) => Effect.map(scoped(id), (held) => both(before, held)))
    }
    case "semaphore": {
      const { take } = yield* onStore(Semaphore.make(own))
      const limit = settings.limits.semaphore
      return Effect.suspend(() => take(id, { limit, permits: takesAll() ? limit : 1 }))
    }
    case "shared": {
      const { exclusive, shared } = yield* onStore(SharedLock.make(own))
      const write = Effect.map(exclusive(id), (held): Held => ({ ...held, permits: settings.limits.shared }))
      return Effect.suspend((): Acquire => (takesAll() ? write : shared(id)))
    }
    case "election": {
      const timing = ElectionTiming.make({
        leaseDuration: ttl,
        renewDeadline: settings.renewDeadlineOf(ttl),
        retryPeriod: ttl / 3
      })
      const context = yield* Layer.build(LeaderElection.layer({ identity, namespace: "dex", timing }))
      const { scoped } = Context.get(context, LeaderElection.LeaderElection)
      return Effect.map(scoped(id), (term): Held => ({ ...term, holderId: term.identity }))
    }
  }
})

// Of two locks under one session, the one that was acquired last is told of. Whoever waits for it has the other one already.
const both = (before: Held, { fencingToken, guard, holderId, isValid, lost }: Held): Held => ({
  holderId,
  fencingToken,
  isValid: Effect.zipWith(before.isValid, isValid, (one, other) => one && other),
  lost: Effect.raceFirst(before.lost, lost),
  guard: (effect) => before.guard(guard(effect))
})

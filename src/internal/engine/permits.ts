/** What semaphores and shared locks do in the same way: take, look at and break what stands in a line. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Permit } from "../../Held.ts"
import * as LockError from "../../LockError.ts"
import * as LockKind from "../../LockKind.ts"
import * as LockPolicy from "../../LockPolicy.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as PermitProtocol from "../../PermitProtocol.ts"
import * as PermitRecord from "../../PermitRecord.ts"
import type { Permits } from "../../PermitRecord.ts"
import type { Failure, Start } from "../protocol/acquisitionState.ts"
import * as rules from "../protocol/rules.ts"
import { acquire, type Restore, tryAcquire, type TryFailure } from "./acquire.ts"
import type { Contender } from "./contender.ts"
import type { Holding } from "./holding.ts"
import { take } from "./lockHandle.ts"
import * as permitPool from "./permitPool.ts"
import * as process from "./process.ts"
import * as sessions from "./sessions.ts"

/** The options of a layer. `wanted` is the kind of lock that it is for, by its name and by its permits. */
export interface Options {
  readonly policy: LockPolicy.LockPolicy
  readonly identity: string | undefined
  readonly idInMetrics: boolean | undefined
  readonly wanted: { readonly name: string; readonly is: (permits: Permits) => boolean }
}

/** What taking one contender's permits is: of which lock, how many, and how. */
export interface Taking extends process.AcquireOptions {
  readonly of: Permits
  readonly amount: number
}

/** The lines of one annotation, on the objects of a store. */
export interface Lines {
  readonly take: (id: string, taking: Taking) => Effect.Effect<Taken, Failure, Scope.Scope>
  readonly tryTake: (id: string, taking: Taking) => Effect.Effect<Taken, TryFailure, Scope.Scope>
  readonly inspect: (
    id: string
  ) => Effect.Effect<Inspected, LockError.Mismatch | LockError.Malformed | LockError.StoreError>
  readonly break: (
    id: string,
    holderId: string
  ) => Effect.Effect<boolean, LockError.Conflict | LockError.Mismatch | LockError.Malformed | LockError.StoreError>
}

/**
 * What was taken. `downgrade` keeps one permit. `tryUpgrade` takes all permits if nobody else has or wants any; its answer is the fencing
 * token then.
 */
export interface Taken {
  readonly permit: Permit
  readonly downgrade: Effect.Effect<void, LockError.Lost>
  readonly tryUpgrade: Effect.Effect<Option.Option<bigint>, LockError.Lost | LockError.StoreError>
}

/** What is in a line. `permits` are absent if there is none. */
export interface Inspected extends PermitProtocol.Line {
  readonly permits: Permits | undefined
}

/** The annotation of a policy. Never Dex's by default, since Dex would not understand the record. */
export const keyOf = ({ annotation = LockPolicy.neutralAnnotation }: LockPolicy.LockPolicy): string => annotation

/** Makes the lines over a store. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  { wanted, ...options }: Options
): Effect.fn.Return<Lines, never, Scope.Scope> {
  const key = keyOf(options.policy)
  const problem = PermitRecord.problemOf(key)
  if (problem !== undefined) throw new RangeError(problem)
  const { broke, detach, hold } = yield* process.make(store, {
    ...options,
    key,
    several: PermitProtocol.several,
    sessions: sessions.none
  })
  const pool = permitPool.make(detach)

  const holdPermits = <E extends LockError.LockError>(
    id: string,
    taking: Taking,
    acquisition: (contender: Contender, start: Start, restore: Restore) => Effect.Effect<Holding, E>
  ): Effect.Effect<Taken, E, Scope.Scope> => {
    const { amount, of } = taking
    const asks = { permits: amount, needs: amount }
    return hold(id, LockKind.withPermits(key, of), asks, taking, acquisition, (contender, holding) =>
      Effect.map(
        take(contender, holding, pool.leave),
        ({ fencingToken, guard, holderId, id, isValid, lost, snapshot }) => ({
          permit: { id, holderId, fencingToken, isValid, lost, snapshot, guard, permits: amount },
          downgrade: guard(pool.downgrade(holding)),
          tryUpgrade: guard(Effect.map(pool.tryUpgrade(holding), Option.fromUndefinedOr))
        })
      )
    )
  }

  // The kind of lock on an object; `undefined` if nothing is locked.
  const kindOf = Effect.fnUntraced(function* (id: string, { annotations }: ObjectSnapshot) {
    const { [key]: value = "" } = annotations
    const permits = PermitRecord.permitsOf(value)
    const kind = LockKind.withPermits(key, permits ?? PermitRecord.shared) as PermitProtocol.PermitKind
    const isInUse = permits !== undefined && PermitRecord.isInUse(key, annotations)
    if (isInUse && wanted.is(permits)) return kind
    const record = kind.decode(annotations)
    const other = isInUse ? { key, value } : record._tag === "Malformed" ? record : undefined
    if (other === undefined) return undefined
    return yield* rules.unreadable({ id, object: store.describe(id), wanted: wanted.name }, other)
  })

  const breakOnce = Effect.fnUntraced(function* (id: string, holderId: string) {
    const found = yield* store.read(id)
    const kind = yield* kindOf(id, found)
    const write = kind && PermitProtocol.planBreak(kind, found, holderId)
    if (kind === undefined || write === undefined) return false
    const answer = yield* store.compareAndSwap(id, write)
    if (Option.isNone(answer)) {
      return yield* new LockError.Conflict({
        id,
        object: store.describe(id),
        reason: "RaceLost",
        ...rules.whatOf(kind)
      })
    }
    yield* broke(id, kind)
    return true
  })

  return {
    take: (id, taking) =>
      holdPermits(id, taking, (contender, start, restore) => pool.acquire(contender, start, acquire, restore)),
    tryTake: (id, taking) =>
      holdPermits(id, taking, (contender, start, restore) =>
        pool.acquireIfFree(contender, start, tryAcquire, restore, (seen) => {
          const object = store.describe(id)
          return Effect.fail(
            new LockError.Conflict({ id, object, reason: "Held", ...rules.whatOf(contender.kind), ...seen })
          )
        })
      ),
    inspect: (id) =>
      Effect.matchEffect(store.read(id), {
        onSuccess: (found): Effect.Effect<Inspected, LockError.Mismatch | LockError.Malformed> =>
          Effect.flatMap(kindOf(id, found), (kind) =>
            Effect.map(store.now, (now) => ({
              permits: kind?.permits,
              ...(kind === undefined ? PermitProtocol.emptyLine : PermitProtocol.inspect(kind, found, now))
            }))
          ),
        onFailure: (error): Effect.Effect<Inspected, LockError.StoreError> =>
          error._tag === "LockNotFound" && error.missing === "object" && store.createIfMissing
            ? Effect.succeed({ permits: undefined, ...PermitProtocol.emptyLine })
            : Effect.fail(error)
      }),
    break: (id, holderId) =>
      Effect.retry(breakOnce(id, holderId), { while: (error) => error._tag === "LockConflict", times: 5 })
  }
})

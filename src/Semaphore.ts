/**
 * A distributed semaphore, kept as annotations on a Kubernetes object: at most so many at once, in all processes together.
 *
 * It has the shape of Effect's own `Semaphore`, and the engine of `Lock`: leases that are renewed, a loss that interrupts, one
 * place in the line for each contender, first come, first served.
 *
 * **Details**
 *
 * - `withPermits` runs an effect with permits, and interrupts it if they are lost. `withPermitsIfAvailable` does not wait.
 * - `take` has permits until the scope closes. `takeIfAvailable` does not wait.
 * - `of` binds an id and its limit: what it gives has the methods of Effect's own `Semaphore`.
 * - `inspect` and `break` are for operators.
 *
 * A contender never passes another one that waits. One that asks for more permits than are free holds back those behind it. A
 * release lets in as many as fit, with one write.
 *
 * The contenders of one process ask together and have one lease. They hand their permits on without a request, but not for long, so that
 * other processes get their turn.
 *
 * **Gotchas**
 *
 * - All contenders for an id must give the same limit. Otherwise, and if the id is that of a lock, they fail with `LockMismatch`
 *   for as long as it is in use.
 * - Permits are advisory, and holders do not exclude each other. Use `Permit.fencingToken` if the protected resource can check it.
 * - A fiber that has permits and takes more of the same semaphore may wait for itself, or for another fiber that does the same.
 * - A contender that waits renews its place, with one request for each third of the TTL.
 * - A limit or a number of permits that cannot be is a mistake in the program: a defect (`RangeError`), not an error. It never waits.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Permit } from "./Held.ts"
import type * as permits from "./internal/engine/permits.ts"
import { guardedBy } from "./internal/guarded.ts"
import * as permitLines from "./internal/permitLines.ts"
import type { AcquireError, AcquireOptions, Options, TryError } from "./Lock.ts"
import type * as LockError from "./LockError.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as ObjectStoreMemory from "./ObjectStoreMemory.ts"
import type { Line } from "./PermitProtocol.ts"
import * as PermitRecord from "./PermitRecord.ts"

/** What a contender asks for. */
export interface TakeOptions extends AcquireOptions {
  /** How many permits there are in all. The same for all contenders. */
  readonly limit: number
  /** How many of them it takes; 1 by default. */
  readonly permits?: number | undefined
}

/** Service tag of semaphores. Its operations are also functions of this module. */
export class Semaphore extends Context.Service<
  Semaphore,
  {
    readonly take: (id: string, options: TakeOptions) => Effect.Effect<Permit, AcquireError, Scope.Scope>
    readonly takeIfAvailable: (id: string, options: TakeOptions) => Effect.Effect<Permit, TryError, Scope.Scope>
    readonly inspect: (id: string) => Effect.Effect<Inspection, InspectError>
    readonly break: (id: string, holderId: string) => Effect.Effect<boolean, LockError.Conflict | InspectError>
  }
>()("kubelock/Semaphore") {}

/** What looking at a semaphore can fail with. */
export type InspectError = LockError.Mismatch | LockError.Malformed | LockError.StoreError

/** The holders of permits and the waiters, in order. */
export interface Inspection extends Line {
  /** How many permits there are in all; `undefined` if nobody has or wants any. */
  readonly limit: number | undefined
}

/**
 * Waits for permits, and has them until the scope closes.
 *
 * Fails as `Lock.scoped` does, and with `LockMismatch` if the id is another kind of lock or a semaphore with another limit, as long as
 * that is in use. Dies with a `RangeError` if the limit is no whole number from 1 to 999,999,999, or `permits` no whole number from 1 to
 * the limit.
 */
export const take = (id: string, options: TakeOptions): Effect.Effect<Permit, AcquireError, Semaphore | Scope.Scope> =>
  Effect.flatMap(Semaphore, (semaphore) => semaphore.take(id, options))

/** Takes permits if they are free and nobody waits for any. Otherwise fails with `LockConflict`. Dies as `take` does. */
export const takeIfAvailable = (
  id: string,
  options: TakeOptions
): Effect.Effect<Permit, TryError, Semaphore | Scope.Scope> =>
  Effect.flatMap(Semaphore, (semaphore) => semaphore.takeIfAvailable(id, options))

/** What runs with permits: an effect, or a function that makes it from the permits. */
export type Guarded<A, E, R> = Effect.Effect<A, E, R> | ((permit: Permit) => Effect.Effect<A, E, R>)

/**
 * Runs an effect with permits: waits as `take` does, and gives them back when the effect ends.
 *
 * The effect may be a function of `Permit`, for example to send the fencing token with a write. If the permits are lost meanwhile, it
 * interrupts the effect and fails with `LockLost`.
 */
export const withPermits =
  (id: string, options: TakeOptions) =>
  <A, E, R>(use: Guarded<A, E, R>): Effect.Effect<A, E | AcquireError | LockError.Lost, R | Semaphore> =>
    guardedBy(take(id, options), use)

/** What running with permits can fail with if they are not waited for. */
export type IfAvailableError = LockError.Lost | LockError.Malformed | LockError.Mismatch | LockError.StoreError

/**
 * Runs an effect with permits if they can be had at once, as `takeIfAvailable` does. Otherwise the effect does not run, and the result is
 * `None`.
 */
export const withPermitsIfAvailable =
  (id: string, options: TakeOptions) =>
  <A, E, R>(use: Guarded<A, E, R>): Effect.Effect<Option.Option<A>, E | IfAvailableError, R | Semaphore> =>
    Effect.scopedWith((scope) =>
      Effect.matchEffect(Scope.provide(takeIfAvailable(id, options), scope), {
        onFailure: (error) => (error._tag === "LockConflict" ? Effect.succeedNone : Effect.fail(error)),
        onSuccess: (held) => Effect.asSome(guardedBy(Effect.succeed(held), use))
      })
    )

/**
 * A semaphore as Effect's own module has it, with its id and limit given once.
 *
 * Code that has a `Semaphore` of one process and uses these methods goes on as it is. What is new is that they can
 * fail.
 */
export interface Bound {
  /** `withPermits` of this module, for so many permits. */
  readonly withPermits: (
    permits: number
  ) => <A, E, R>(use: Guarded<A, E, R>) => Effect.Effect<A, E | AcquireError | LockError.Lost, R>
  /** The same for one permit. */
  readonly withPermit: <A, E, R>(use: Guarded<A, E, R>) => Effect.Effect<A, E | AcquireError | LockError.Lost, R>
  /** `withPermitsIfAvailable` of this module, for so many permits. */
  readonly withPermitsIfAvailable: (
    permits: number
  ) => <A, E, R>(use: Guarded<A, E, R>) => Effect.Effect<Option.Option<A>, E | IfAvailableError, R>
  /** `take` of this module. It succeeds with the permit. */
  readonly takeScoped: (permits: number) => Effect.Effect<Permit, AcquireError, Scope.Scope>
}

/**
 * A semaphore with the methods of Effect's own. It makes no request. Dies with a `RangeError` if the limit cannot be, and so does each
 * method if its number of permits cannot be.
 */
export const of = (
  id: string,
  options: Omit<TakeOptions, "permits" | "snapshot">
): Effect.Effect<Bound, never, Semaphore> =>
  Effect.map(Semaphore, (semaphore) => {
    takingOf(id, options)
    const withSome = (permits: number) => {
      const run = withPermits(id, { ...options, permits })
      return <A, E, R>(use: Guarded<A, E, R>) => Effect.provideService(run(use), Semaphore, semaphore)
    }
    return {
      withPermits: withSome,
      withPermit: withSome(1),
      withPermitsIfAvailable: (permits) => (use) =>
        Effect.provideService(withPermitsIfAvailable(id, { ...options, permits })(use), Semaphore, semaphore),
      takeScoped: (permits) => semaphore.take(id, { ...options, permits })
    }
  })

/** Tells who has permits and who waits for them. It only reads. */
export const inspect = (id: string): Effect.Effect<Inspection, InspectError, Semaphore> =>
  Effect.flatMap(Semaphore, (semaphore) => semaphore.inspect(id))

const breakPermits = (
  id: string,
  holderId: string
): Effect.Effect<boolean, LockError.Conflict | InspectError, Semaphore> =>
  Effect.flatMap(Semaphore, (semaphore) => semaphore.break(id, holderId))

export {
  /**
   * Takes the permits of a holder or the place of a waiter away, by the holder ID that `inspect` tells, and returns whether it was
   * there: an operator's last resort. Those that fit then get the permits.
   *
   * The holder notices at its next renewal and stops. Fails with `LockConflict` if the object keeps changing.
   */
  breakPermits as break
}

/** Makes semaphores over the store in context. When the scope closes, releases that are under way end first. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Semaphore["Service"], never, ObjectStore | Scope.Scope> {
  const lines = yield* permitLines.make(
    yield* ObjectStore,
    { name: "a semaphore", is: ({ shares }) => !shares },
    options
  )
  return Semaphore.of({
    take: (id, options) =>
      Effect.map(
        Effect.suspend(() => lines.take(id, takingOf(id, options))),
        permitOf
      ),
    takeIfAvailable: (id, options) =>
      Effect.map(
        Effect.suspend(() => lines.tryTake(id, takingOf(id, options))),
        permitOf
      ),
    inspect: (id) =>
      Effect.map(lines.inspect(id), ({ holders, permits, waiters }) => ({ limit: permits?.limit, holders, waiters })),
    break: lines.break
  })
})

const permitOf = ({ permit }: permits.Taken): Permit => permit

const takingOf = (id: string, { limit, permits = 1, ...options }: TakeOptions): permits.Taking => {
  const semaphore = `semaphore ${JSON.stringify(id)}`
  if (!isFrom1To(PermitRecord.largestLimit, limit)) {
    throw new RangeError(
      `The limit of ${semaphore} is ${shown(limit)}. Give a whole number from 1 to ${PermitRecord.largestLimit}, the same in all processes.`
    )
  }
  if (!isFrom1To(limit, permits)) {
    throw new RangeError(
      `A contender asks for ${shown(permits)} permits of ${semaphore}. Ask for a whole number from 1 to its limit, which is ${limit}.`
    )
  }
  return { ...options, of: PermitRecord.semaphore(limit), amount: permits }
}

const isFrom1To = (most: number, value: number): boolean => Number.isInteger(value) && value >= 1 && value <= most

// A number that came from configuration may be text.
const shown = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : String(value))

/** Semaphores as a layer over a store. */
export const layer = (options: Options = {}): Layer.Layer<Semaphore, never, ObjectStore> =>
  Layer.effect(Semaphore, make(options))

/** Semaphores over a store in this process: for tests. */
export const layerMemory = (options: Options & ObjectStoreMemory.Options = {}): Layer.Layer<Semaphore> =>
  layer(options).pipe(Layer.provide(ObjectStoreMemory.layer(options)))

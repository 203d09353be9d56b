/**
 * A distributed lock that readers share, or one writer has, kept as annotations on a Kubernetes object.
 *
 * It is the engine of `Lock`, and the line of `Semaphore`: a reader takes one of very many permits, a writer takes all.
 *
 * **Details**
 *
 * - `shared` and `exclusive` wait for the lock and hold it until the scope closes. `tryShared` and `tryExclusive` try once.
 * - `withShared` and `withExclusive` run an effect under it, and interrupt the effect if the lock is lost.
 * - `Exclusive.downgrade` makes a writer a reader, without a gap. `Shared.tryUpgrade` makes a reader a writer if nobody else holds the
 *   lock or waits for it.
 * - `inspect` and `break` are for operators.
 *
 * First come, first served: a writer that waits holds back the readers behind it, and readers next to each other enter together, with
 * one write. The readers of one process share one lease, and new ones join them without a request, but not for long if a writer waits
 * elsewhere.
 *
 * **Gotchas**
 *
 * - `tryUpgrade` never waits, so two readers that want to write cannot wait for each other. A reader that must write, and may not
 *   upgrade, leaves and comes back as a writer.
 * - A fiber that holds the lock and asks for it again may wait for itself, or for another fiber that does the same.
 * - An id that is a `Lock` or a `Semaphore` fails with `LockMismatch` for as long as it is in use.
 * - A contender that waits renews its place, with one request for each third of the TTL.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Held } from "./Held.ts"
import type * as permits from "./internal/engine/permits.ts"
import { guardedBy } from "./internal/guarded.ts"
import * as permitLines from "./internal/permitLines.ts"
import type { AcquireError, AcquireOptions, Options, TryError } from "./Lock.ts"
import type * as LockError from "./LockError.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as ObjectStoreMemory from "./ObjectStoreMemory.ts"
import type * as PermitProtocol from "./PermitProtocol.ts"
import * as PermitRecord from "./PermitRecord.ts"

/**
 * What readers and writers have: what `Held` has, but for the commit and for what gives it away.
 *
 * The `fencingToken` of a writer is greater than that of every holder before, and that of a reader greater than that of every writer
 * before. So let the protected resource reject writes with a smaller token than the last it has seen, and it never sees an old writer.
 */
export interface Holder extends Omit<Held, "commitAndRelease" | "give"> {}

/** The lock of a reader. */
export interface Shared extends Holder {
  /**
   * Makes it the lock of a writer, if nobody else holds it or waits for it: `None` if somebody does. It never waits.
   * What it returns has a fencing token of its own, and ends with the same scope.
   */
  readonly tryUpgrade: Effect.Effect<Option.Option<Exclusive>, LockError.Lost | LockError.StoreError>
}

/** The lock of a writer. */
export interface Exclusive extends Holder {
  /** Makes it the lock of a reader. Nobody writes between. Readers that wait enter. */
  readonly downgrade: Effect.Effect<void, LockError.Lost>
}

/** What looking at a shared lock can fail with. */
export type InspectError = LockError.Mismatch | LockError.Malformed | LockError.StoreError

/** The holders of the lock and the waiters. */
export interface Inspection {
  /** Those that are inside, in order. */
  readonly holders: ReadonlyArray<InLine>
  /** Those that wait, in order. */
  readonly waiters: ReadonlyArray<InLine>
}

/** A contender, as others see it. */
export interface InLine {
  /** Its holder ID. */
  readonly holder: string
  /** Whether it reads or writes. */
  readonly mode: "shared" | "exclusive"
  /** When its lease expires (RFC 3339), as written. */
  readonly expiry: string
  /** Whether that is past: then it is most likely gone. */
  readonly isExpired: boolean
}

/** Service tag of shared locks. Its operations are also functions of this module. */
export class SharedLock extends Context.Service<
  SharedLock,
  {
    readonly shared: (id: string, options?: AcquireOptions) => Effect.Effect<Shared, AcquireError, Scope.Scope>
    readonly exclusive: (id: string, options?: AcquireOptions) => Effect.Effect<Exclusive, AcquireError, Scope.Scope>
    readonly tryShared: (id: string, options?: AcquireOptions) => Effect.Effect<Shared, TryError, Scope.Scope>
    readonly tryExclusive: (id: string, options?: AcquireOptions) => Effect.Effect<Exclusive, TryError, Scope.Scope>
    readonly inspect: (id: string) => Effect.Effect<Inspection, InspectError>
    readonly break: (id: string, holderId: string) => Effect.Effect<boolean, LockError.Conflict | InspectError>
  }
>()("kubelock/SharedLock") {}

/** Waits for the lock as a reader, and holds it until the scope closes. Fails as `Lock.scoped` does. */
export const shared = (
  id: string,
  options?: AcquireOptions
): Effect.Effect<Shared, AcquireError, SharedLock | Scope.Scope> =>
  Effect.flatMap(SharedLock, (lock) => lock.shared(id, options))

/** Waits for the lock as a writer, and holds it until the scope closes. Fails as `Lock.scoped` does. */
export const exclusive = (
  id: string,
  options?: AcquireOptions
): Effect.Effect<Exclusive, AcquireError, SharedLock | Scope.Scope> =>
  Effect.flatMap(SharedLock, (lock) => lock.exclusive(id, options))

/** Tries once as a reader. Fails with `LockConflict` if a writer has the lock, or anybody waits for it. */
export const tryShared = (
  id: string,
  options?: AcquireOptions
): Effect.Effect<Shared, TryError, SharedLock | Scope.Scope> =>
  Effect.flatMap(SharedLock, (lock) => lock.tryShared(id, options))

/** Tries once as a writer. Fails with `LockConflict` if anybody has the lock, or waits for it. */
export const tryExclusive = (
  id: string,
  options?: AcquireOptions
): Effect.Effect<Exclusive, TryError, SharedLock | Scope.Scope> =>
  Effect.flatMap(SharedLock, (lock) => lock.tryExclusive(id, options))

/** Runs an effect as a reader. If the lock is lost meanwhile, it interrupts the effect and fails with `LockLost`. */
export const withShared =
  (id: string, options?: AcquireOptions) =>
  <A, E, R>(
    use: Effect.Effect<A, E, R> | ((held: Shared) => Effect.Effect<A, E, R>)
  ): Effect.Effect<A, E | AcquireError | LockError.Lost, R | SharedLock> =>
    guardedBy(shared(id, options), use)

/** Runs an effect as the writer. If the lock is lost meanwhile, it interrupts the effect and fails with `LockLost`. */
export const withExclusive =
  (id: string, options?: AcquireOptions) =>
  <A, E, R>(
    use: Effect.Effect<A, E, R> | ((held: Exclusive) => Effect.Effect<A, E, R>)
  ): Effect.Effect<A, E | AcquireError | LockError.Lost, R | SharedLock> =>
    guardedBy(exclusive(id, options), use)

/** Tells who holds the lock and who waits for it. It only reads. */
export const inspect = (id: string): Effect.Effect<Inspection, InspectError, SharedLock> =>
  Effect.flatMap(SharedLock, (lock) => lock.inspect(id))

const breakLock = (
  id: string,
  holderId: string
): Effect.Effect<boolean, LockError.Conflict | InspectError, SharedLock> =>
  Effect.flatMap(SharedLock, (lock) => lock.break(id, holderId))

export {
  /**
   * Takes the lock of one holder or the place of a waiter away, by the holder ID that `inspect` tells, and returns whether it was there:
   * an operator's last resort.
   *
   * The holder notices at its next renewal and stops. Fails with `LockConflict` if the object keeps changing.
   */
  breakLock as break
}

const one = PermitRecord.shared.words["shared"]!
const all = PermitRecord.shared.words["exclusive"]!

/** Makes shared locks over the store in context. When the scope closes, releases that are under way end first. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<SharedLock["Service"], never, ObjectStore | Scope.Scope> {
  const lines = yield* permitLines.make(
    yield* ObjectStore,
    { name: "a shared lock", is: ({ shares }) => shares },
    options
  )
  return SharedLock.of({
    shared: (id, options) => Effect.map(lines.take(id, takingOf(one, options)), sharedOf),
    exclusive: (id, options) => Effect.map(lines.take(id, takingOf(all, options)), (taken) => exclusiveOf(taken)),
    tryShared: (id, options) => Effect.map(lines.tryTake(id, takingOf(one, options)), sharedOf),
    tryExclusive: (id, options) => Effect.map(lines.tryTake(id, takingOf(all, options)), (taken) => exclusiveOf(taken)),
    inspect: (id) =>
      Effect.map(lines.inspect(id), ({ holders, waiters }) => ({
        holders: holders.map(inLine),
        waiters: waiters.map(inLine)
      })),
    break: lines.break
  })
})

const takingOf = (amount: number, options: AcquireOptions = {}): permits.Taking => ({
  ...options,
  of: PermitRecord.shared,
  amount
})

const exclusiveOf = ({ downgrade, permit }: permits.Taken, fencingToken: bigint = permit.fencingToken): Exclusive => ({
  ...permit,
  fencingToken,
  downgrade
})

const sharedOf = (taken: permits.Taken): Shared => ({
  ...taken.permit,
  tryUpgrade: Effect.map(
    taken.tryUpgrade,
    Option.map((fencingToken) => exclusiveOf(taken, fencingToken))
  )
})

const inLine = ({ expiry, holder, isExpired, permits }: PermitProtocol.InLine): InLine => ({
  holder,
  mode: permits === one ? "shared" : "exclusive",
  expiry,
  isExpired
})

/** Shared locks as a layer over a store. */
export const layer = (options: Options = {}): Layer.Layer<SharedLock, never, ObjectStore> =>
  Layer.effect(SharedLock, make(options))

/** Shared locks over a store in this process: for tests. */
export const layerMemory = (options: Options & ObjectStoreMemory.Options = {}): Layer.Layer<SharedLock> =>
  layer(options).pipe(Layer.provide(ObjectStoreMemory.layer(options)))

/**
 * A distributed lock, kept as an annotation on a Kubernetes object.
 *
 * The API server is the lock server: a lock's id is an object's name, and a write is a compare-and-swap. The protocol is Dex's
 * (`LockRecord`, `LockProtocol`), so kubelock and Dex can contend for the same objects.
 *
 * **Details**
 *
 * - `scoped` waits for the lock and releases it when the scope closes, whatever closes it.
 * - `tryScoped` tries once.
 * - `scopedAll` waits for several locks, all or none.
 * - `withLock` runs an effect under the lock, and interrupts it if the lock is lost. `tryWithLock` tries once.
 * - `adopt` takes a lock over that its holder gave away (`Held.give`). `renewGiven` and `releaseGiven` do without a holder that lives.
 * - `inspect` and `break` are for operators. `removeIdle` is for them, and for ids that are many and short-lived.
 *
 * A held lock is renewed until it is released, and its loss is never silent: see `Held`. The contenders of one process queue
 * locally. The lock is handed on among them without a request, but not for long, so that other processes get their turn.
 *
 * **Gotchas**
 *
 * - The lock is not reentrant: a contender that asks for an id that its process holds waits like any other.
 * - A lock is advisory. Use `Held.fencingToken` if the protected resource can check it.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Handle } from "./Handle.ts"
import type { Held } from "./Held.ts"
import { acquireAll } from "./internal/acquireAll.ts"
import * as besideElections from "./internal/election/besideElections.ts"
import { acquire, type Restore, tryAcquire } from "./internal/engine/acquire.ts"
import type { Contender } from "./internal/engine/contender.ts"
import * as givenLock from "./internal/engine/givenLock.ts"
import type { Holding } from "./internal/engine/holding.ts"
import * as localQueue from "./internal/engine/localQueue.ts"
import { take } from "./internal/engine/lockHandle.ts"
import * as process from "./internal/engine/process.ts"
import * as requests from "./internal/engine/requests.ts"
import type { Start } from "./internal/protocol/acquisitionState.ts"
import * as rules from "./internal/protocol/rules.ts"
import { guardedBy } from "./internal/guarded.ts"
import * as layerSessions from "./internal/session/layerSessions.ts"
import * as settings from "./internal/settings.ts"
import * as LockError from "./LockError.ts"
import * as LockKind from "./LockKind.ts"
import * as LockPolicy from "./LockPolicy.ts"
import type { LockState } from "./LockProtocol.ts"
import * as LockProtocol from "./LockProtocol.ts"
import { idKey, type ObjectSnapshot, ObjectStore, type ServerTime } from "./ObjectStore.ts"
import * as ObjectStoreMemory from "./ObjectStoreMemory.ts"

/** What one acquisition may set differently from its layer. */
export interface AcquireOptions extends LockPolicy.Overrides {
  /** Whether to create a missing object, in place of what the store says. */
  readonly createIfMissing?: boolean | undefined
  /** The object as the caller has just read it. It saves the lock a read of its own. */
  readonly snapshot?: ObjectSnapshot | undefined
  /**
   * Whether the scope closes without waiting for the release if other processes wait for the lock. Off by default:
   * once the scope has closed, the lock is released, also if the process exits at that moment, unless another fiber
   * of the process waits for it. On, a loop that wants the lock again at once saves one request of each round,
   * because the request that hands the lock over also puts it in the queue. The layer waits for releases under way
   * when it closes. Of permits and shared locks: if others have or want any.
   */
  readonly releaseInBackground?: boolean | undefined
  /**
   * What the attribute `kind` of the metrics says instead of the kind of lock, as `Once` says `once`. Use few of
   * them.
   */
  readonly countedAs?: string | undefined
}

/** What a single attempt may set differently, too. */
export interface TryOptions extends AcquireOptions {
  /**
   * The holders to which it leaves the lock although their leases have expired. It fails with `LockConflict` then. A
   * holder that was cut off can still write and release by `Held.commitAndRelease`, as long as nobody takes the lock
   * over.
   */
  readonly spares?: ((holder: LockProtocol.HolderInfo) => boolean) | undefined
}

/** The state of a lock, and its id if that is not the name of its object (see `AnyId`). */
export type Inspection = LockState & { readonly id?: string }

/** What waiting for a lock can fail with. */
export type AcquireError = LockError.Timeout | LockError.Malformed | LockError.Mismatch | LockError.StoreError

/** What a single attempt can fail with. */
export type TryError = LockError.Conflict | LockError.Malformed | LockError.Mismatch | LockError.StoreError

/** What using a handle can fail with. */
export type HandleError = LockError.Stale | LockError.Conflict | LockError.StoreError

/** The part of a handle that says which hold it is. */
export type Which = Pick<Handle, "id" | "holderId">

/** What looking at a lock can fail with. */
export type InspectError = LockError.Mismatch | LockError.StoreError

/**
 * Service tag of the lock.
 *
 * Its operations are also functions of this module, which is how they are meant to be used: `Lock.scoped(id)`. `annotation` is that
 * of its policy, and `now` the time on the clock that expiries are judged by, without a request.
 */
export class Lock extends Context.Service<
  Lock,
  {
    readonly scoped: (id: string, options?: AcquireOptions) => Effect.Effect<Held, AcquireError, Scope.Scope>
    readonly tryScoped: (id: string, options?: TryOptions) => Effect.Effect<Held, TryError, Scope.Scope>
    readonly adopt: (handle: Which, options?: AcquireOptions) => Effect.Effect<Held, HandleError, Scope.Scope>
    readonly renewGiven: (handle: Which, ttl: Duration.Input) => Effect.Effect<void, HandleError>
    readonly releaseGiven: (handle: Which) => Effect.Effect<void, HandleError>
    readonly inspect: (id: string) => Effect.Effect<Inspection, InspectError>
    readonly annotation: string
    readonly now: Effect.Effect<ServerTime>
    readonly break: (id: string) => Effect.Effect<LockState, LockError.Conflict | InspectError>
    readonly removeIdle: (id: string) => Effect.Effect<Removal, LockError.StoreError>
  }
>()("kubelock/Lock") {}

/**
 * What became of an object that `removeIdle` was asked to delete.
 *
 * - `Removed`: it is deleted.
 * - `Missing`: there was none.
 * - `InUse`: somebody holds the lock or waits for it, or the object changed meanwhile.
 * - `Foreign`: a lock did not make it, or it carries something else: content, or an annotation that is not the lock's.
 */
export type Removal = "Removed" | "Missing" | "InUse" | "Foreign"

/** The options of a layer of locks. */
export interface Options {
  /** `LockPolicy.standard` by default. */
  readonly policy?: LockPolicy.LockPolicy | undefined
  /**
   * How this process is called in the annotations and in the errors of others; `HOSTNAME` or `kubelock` by default.
   * The lock adds what makes it unique. (client-go's term.)
   */
  readonly identity?: string | undefined
  /** Whether metrics have the lock's id as an attribute. Off by default, since ids can be many. */
  readonly idInMetrics?: boolean | undefined
}

/**
 * Waits for the lock, and holds it until the scope closes.
 *
 * Fails with `LockTimeout` at the end of the wait schedule, with `LockMalformed` and `LockMismatch` at once, and with the store's errors; with `LockUnavailable`
 * only at the end of the schedule, and with what a server answers while it starts (a verb that is not allowed, a resource that
 * is not served) only after three seconds. An interruption withdraws the acquisition: nothing of it stays on the object.
 */
export const scoped = (id: string, options?: AcquireOptions): Effect.Effect<Held, AcquireError, Lock | Scope.Scope> =>
  Effect.flatMap(Lock, (lock) => lock.scoped(id, options))

/** Tries once for the lock, and holds it until the scope closes. Fails with `LockConflict` if another holder has it. */
export const tryScoped = (id: string, options?: TryOptions): Effect.Effect<Held, TryError, Lock | Scope.Scope> =>
  Effect.flatMap(Lock, (lock) => lock.tryScoped(id, options))

/**
 * Waits for several locks, and holds them until the scope closes: all of them, or none.
 *
 * It acquires them one after the other in the order of their names, the same in all processes, so that no two processes wait for
 * each other. The answer follows the order of `ids`. An id named twice is locked once. Each has the whole wait schedule to itself.
 * All are valid when it succeeds: if one is lost while it waits for another, it fails with `LockLost`.
 */
export const scopedAll = <const Ids extends ReadonlyArray<string>>(
  ids: Ids,
  options?: AcquireOptions
): Effect.Effect<{ readonly [Index in keyof Ids]: Held }, AcquireError | LockError.Lost, Lock | Scope.Scope> =>
  Effect.map(
    acquireAll([...new Set(ids)].map((id) => ({ order: id, acquire: scoped(id, options) }))),
    (helds) => ids.map((id) => helds.get(id)!) as { readonly [Index in keyof Ids]: Held }
  )

/** What runs under a lock: an effect, or a function that makes it from the lock that it holds. */
export type Guarded<A, E, R> = Effect.Effect<A, E, R> | ((held: Held) => Effect.Effect<A, E, R>)

/**
 * Runs an effect under the lock: waits as `scoped` does, and releases when the effect ends.
 *
 * The effect may be a function of `Held`, for example to send the fencing token with a write. If the lock is lost meanwhile, it
 * interrupts the effect and fails with `LockLost`.
 */
export const withLock =
  (id: string, options?: AcquireOptions) =>
  <A, E, R>(use: Guarded<A, E, R>): Effect.Effect<A, E | AcquireError | LockError.Lost, R | Lock> =>
    guardedBy(scoped(id, options), use)

/**
 * Runs an effect under the lock if it can be had at once, as `tryScoped` does: fails with `LockConflict` if another holder has it,
 * and then the effect does not run. Otherwise like `withLock`.
 */
export const tryWithLock =
  (id: string, options?: AcquireOptions) =>
  <A, E, R>(use: Guarded<A, E, R>): Effect.Effect<A, E | TryError | LockError.Lost, R | Lock> =>
    guardedBy(tryScoped(id, options), use)

/**
 * Takes a lock over that its holder gave away (`Held.give`), and holds it until the scope closes. It does not wait.
 *
 * The lock gets a new holder ID and a greater fencing token. So exactly one of those wins that adopt by the same handle. The others fail
 * with `LockStale`, as does every use of a handle whose hold is over. A lock whose lease has run out can be adopted as long as nobody took
 * it over. It must be adopted under the annotation under which it was held.
 *
 * Fails with `LockConflict` if the object keeps changing for ten seconds, and with `LockUnavailable` if the API server cannot be reached
 * for so long. Nobody holds the lock then if the adoption was written all the same, and neither after an interruption.
 */
export const adopt = (handle: Which, options?: AcquireOptions): Effect.Effect<Held, HandleError, Lock | Scope.Scope> =>
  Effect.flatMap(Lock, (lock) => lock.adopt(handle, options))

/**
 * Makes a lock that was given away last for at least `ttl` from now on (1 second to 1 day; dies with a `RangeError` otherwise). It never
 * shortens it. The handle stays good. For pipelines whose steps are processes of their own: while none of them holds the lock, nothing
 * notices its loss. Fails as `adopt` does.
 */
export const renewGiven = (handle: Which, ttl: Duration.Input): Effect.Effect<void, HandleError, Lock> =>
  Effect.flatMap(Lock, (lock) => lock.renewGiven(handle, ttl))

/** Releases a lock that was given away, and no other hold of it. The next one that waits gets it. Fails as `adopt` does. */
export const releaseGiven = (handle: Which): Effect.Effect<void, HandleError, Lock> =>
  Effect.flatMap(Lock, (lock) => lock.releaseGiven(handle))

/**
 * Tells the state of a lock: free, held, expired or malformed, with the holder if it is known. It only reads. Fails with `LockMismatch` if
 * the id is that of a semaphore or a shared lock.
 */
export const inspect = (id: string): Effect.Effect<Inspection, InspectError, Lock> =>
  Effect.flatMap(Lock, (lock) => lock.inspect(id))

const breakLock = (id: string): Effect.Effect<LockState, LockError.Conflict | InspectError, Lock> =>
  Effect.flatMap(Lock, (lock) => lock.break(id))

export {
  /**
   * Removes the lock of any holder, and returns the state that it was in: an operator's last resort. If others wait for it, the
   * first of them gets it.
   *
   * A kubelock holder notices at its next renewal and stops. A Dex holder does not. From one that holds the lock under a session
   * (`LockPolicy`) it is taken only once that holder knows: within a third of its TTL, or once its session has expired. Fails with
   * `LockConflict` if the object keeps changing, with `LockMismatch` if the id is that of a semaphore or a shared lock, and with
   * `LockUnavailable` if such a holder renews its session and does not let go.
   */
  breakLock as break
}

/**
 * Deletes the object of a lock that nobody holds or waits for, and tells what became of it.
 *
 * Only an object that a lock made (label `app.kubernetes.io/managed-by: kubelock`) is deleted, only if nothing but the lock is
 * on it, and only in the version that was judged: an acquisition that comes between wins. The next acquisition makes the object
 * again, and fencing tokens go on growing. Needs the RBAC verb `delete`.
 */
export const removeIdle = (id: string): Effect.Effect<Removal, LockError.StoreError, Lock> =>
  Effect.flatMap(Lock, (lock) => lock.removeIdle(id))

/** Makes the lock over the store in context. When the scope closes, hand-overs and withdrawals that are under way end first. */
export const make = (options: Options = {}): Effect.Effect<Lock["Service"], never, ObjectStore | Scope.Scope> =>
  Effect.flatMap(ObjectStore, (store) => makeOf(LockKind.of(options.policy ?? LockPolicy.standard, store), options))

/** Makes locks of a kind, as `make` does. */
export const makeOf = Effect.fnUntraced(function* (
  kind: LockKind.LockKind,
  options: Options = {}
): Effect.fn.Return<Lock["Service"], never, ObjectStore | Scope.Scope> {
  const policy = options.policy ?? LockPolicy.standard
  const given = yield* ObjectStore
  const store = yield* besideElections.make(given, kind)
  const isDexs = (policy.sharedWithDex ?? store.sharedWithDex) || kind.key === LockPolicy.dexAnnotation
  const sessions = yield* layerSessions.make(given, {
    opens: policy.session && policy.renewEvery !== false && !isDexs,
    identity: options.identity,
    policy
  })
  const { broke, detach, hold, sharedWithDex } = yield* process.make(store, {
    key: kind.key,
    policy,
    identity: options.identity,
    idInMetrics: options.idInMetrics,
    sessions
  })
  const contenders = localQueue.make(detach)
  const on: givenLock.On = { store, kind, sharedWithDex }

  const holdLock = <E extends LockError.LockError>(
    id: string,
    options: TryOptions | undefined,
    acquisition: (contender: Contender, start: Start, restore: Restore) => Effect.Effect<Holding, E>
  ) =>
    hold(id, kind, undefined, options, acquisition, (contender, holding) => take(contender, holding, contenders.leave))

  const conflict = (
    id: string,
    reason: LockError.Conflict["reason"],
    seen: Partial<localQueue.SeenLocally> = {}
  ): Effect.Effect<never, LockError.Conflict> =>
    Effect.fail(new LockError.Conflict({ id, object: store.describe(id), reason, ...seen }))

  const stateOf = Effect.fnUntraced(function* (
    id: string,
    { annotations }: ObjectSnapshot
  ): Effect.fn.Return<LockState, LockError.Mismatch> {
    const state = LockProtocol.lockState(kind.decode(annotations), yield* store.now, sessions)
    if (state._tag !== "Malformed") return state
    const error = rules.unreadable({ id, object: store.describe(id), wanted: rules.nameOf(kind) }, state)
    return error._tag === "LockMismatch" ? yield* error : state
  })

  const inspect = (id: string) =>
    Effect.matchEffect(store.read(id), {
      onSuccess: (found): Effect.Effect<Inspection, LockError.Mismatch> => {
        const kept = found.annotations[idKey]
        return Effect.map(stateOf(id, found), (state) => (kept === undefined ? state : { ...state, id: kept }))
      },
      onFailure: (error): Effect.Effect<Inspection, LockError.StoreError> =>
        error._tag === "LockNotFound" && error.missing === "object" && store.createIfMissing
          ? Effect.succeed({ _tag: "Free" })
          : Effect.fail(error)
    })

  const removeOnce = Effect.fnUntraced(function* (id: string): Effect.fn.Return<Removal, LockError.StoreError> {
    const found = yield* store.read(id)
    const usage = rules.usageOf(found, kind, yield* requests.knownTime(store, id), sharedWithDex)
    if (usage !== "Idle") return usage
    switch (yield* store.remove(id, found)) {
      case "Removed":
        return "Removed"
      case "Changed":
        return "InUse"
      case "HasContent":
        return "Foreign"
    }
  })

  const breakOnce = Effect.fnUntraced(function* (id: string) {
    const found = yield* store.read(id)
    const state = yield* stateOf(id, found)
    if (state._tag === "Free") return state
    const left = yield* layerSessions.letGo(store, kind, id, found)
    if (left !== undefined) {
      const answer = yield* store.compareAndSwap(id, {
        expect: { resourceVersion: left.resourceVersion },
        ...LockProtocol.planBreak(left, yield* requests.knownTime(store, id), { kind, sharedWithDex })
      })
      if (Option.isNone(answer)) return yield* conflict(id, "RaceLost")
    }
    yield* broke(id, kind)
    return state
  })

  return Lock.of({
    scoped: (id, options) =>
      holdLock(id, options, (contender, start, restore) => contenders.acquire(contender, start, acquire, restore)),
    tryScoped: (id, options) =>
      holdLock(id, options, (contender, start, restore) =>
        contenders.acquireIfIdle(contender, start, tryAcquire, restore, (seen) => conflict(id, "Held", seen))
      ),
    adopt: ({ holderId, id }, options) =>
      hold(
        id,
        kind,
        undefined,
        options,
        (contender, _, restore) => givenLock.adopt(contender, holderId, detach, restore),
        (contender, holding) => take(contender, holding, givenLock.leave)
      ),
    renewGiven: (handle, ttl) =>
      Effect.suspend(() => givenLock.renew(on, handle, Duration.toMillis(LockPolicy.fixedTtl(ttl)))),
    releaseGiven: (handle) => givenLock.release(on, handle),
    inspect,
    removeIdle: (id) =>
      Effect.catchTags(removeOnce(id), {
        LockNotFound: (error) => (error.missing === "object" ? Effect.succeed<Removal>("Missing") : Effect.fail(error)),
        LockOccupied: () => Effect.succeed<Removal>("Foreign")
      }),
    annotation: kind.key,
    now: store.now,
    break: (id) => Effect.retry(breakOnce(id), { while: (error) => error._tag === "LockConflict", times: 5 })
  })
})

/** The lock as a layer over a store. */
export const layer = (options: Options = {}): Layer.Layer<Lock, never, ObjectStore> => Layer.effect(Lock, make(options))

/**
 * The lock over a store, from configuration: its policy (`LockPolicy.config`), and its identity (`KUBELOCK_IDENTITY`, by default
 * that of the options).
 */
export const layerConfig = (
  options: Omit<Options, "policy"> = {}
): Layer.Layer<Lock, Config.ConfigError, ObjectStore> =>
  Layer.effect(
    Lock,
    Effect.flatMap(Effect.all([LockPolicy.config, settings.text("IDENTITY")]), ([policy, identity]) =>
      make({ ...options, policy, identity: Option.getOrUndefined(identity) ?? options.identity })
    )
  )

/** The lock over a store in this process: for tests, and for locks within one process. */
export const layerMemory = (options: Options & ObjectStoreMemory.Options = {}): Layer.Layer<Lock> =>
  layer(options).pipe(Layer.provide(ObjectStoreMemory.layer(options)))

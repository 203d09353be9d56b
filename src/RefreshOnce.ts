/**
 * A value that many processes share and that must be refreshed by one of them: a rotating refresh token, a session, a
 * signing key.
 *
 * The value is stored in an object of the cluster. `get` gives every caller, in this process and in all others, the
 * same fresh value. A process that finds the value stale acquires the lock of the object, reads the value again,
 * refreshes it, then writes it and releases the lock in one request.
 *
 * **Details**
 *
 * - A fresh value costs no request: the process caches it until `isFresh` says that it is stale. A rotation costs two
 *   requests in the process that refreshes. A process that waits for it opens a watch, which brings the value. Without the right to
 *   watch it polls.
 * - All callers of a process share one flight per id, and its errors. Each caller can be interrupted alone. While the
 *   flight waits for the lock, it ends with its last caller. Once it has called the upstream, it survives its last
 *   caller by `grace`, because an answer that is not written is a lost token. Once the upstream has answered, nothing
 *   stops the write.
 * - `refresh` runs at most once per flight. Losing the lock does not interrupt it. Its result is written if no other
 *   process took the lock over; otherwise `RefreshNotWritten` reports it. The API server itself rejects the write
 *   of a holder whose lock was taken over.
 * - Before the upstream is asked, the process makes as sure as can be that the answer can be written, by a dry run if its last
 *   write to the object did not go well, or if there was none. Otherwise it fails with `RefreshError.NotWritable`.
 * - An answer that still cannot be written is kept: the process hands it out, and goes on trying to write it. No value is sent
 *   upstream that this process knows to be spent.
 * - The lock is renewed for as long as the upstream takes. Limit that time with a timeout in `refresh`.
 *
 * **Gotchas**
 *
 * - If a process dies between the answer of the upstream and the write, the answer is lost. The next `refresh` gets the
 *   old value, and its caller gets the upstream's response to that.
 * - Other processes hear nothing of `invalidate` and `replace`: they hand out the value that they have cached until `isFresh` says
 *   no, or until it is rejected there as well.
 * - A value that is not fresh when it arrives is handed out all the same, and refreshed by the next caller.
 * - Do not log the value. Make its secret parts `Redacted`. This module stores the value in the object, and puts no
 *   part of it anywhere else.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type * as deps from "./internal/refresh/deps.ts"
import { inSpan } from "./internal/tracing.ts"
import type { KubernetesClient } from "./KubernetesClient.ts"
import * as Lock from "./Lock.ts"
import type * as LockError from "./LockError.ts"
import * as LockKind from "./LockKind.ts"
import * as LockPolicy from "./LockPolicy.ts"
import { type Content, type FieldPath, ObjectStore } from "./ObjectStore.ts"
import * as ObjectStoreKubernetes from "./ObjectStoreKubernetes.ts"
import * as Resource from "./Resource.ts"

/**
 * The shared values of one kind, by the name of the object that stores each.
 *
 * `get` and `invalidate` fail with the error of `refresh`, and all with `Failure`.
 */
export interface RefreshOnce<A, E = never> {
  /** The fresh value. Refreshes it if it is stale. */
  readonly get: (id: string) => Effect.Effect<A, E | Failure>
  /**
   * Rejects a value that the upstream no longer accepts. Succeeds with a different fresh value: the stored one if
   * another process has refreshed it already, otherwise a refreshed one.
   */
  readonly invalidate: (id: string, value: A) => Effect.Effect<A, E | Failure>
  /**
   * Stores a value that comes from elsewhere, for example from a new login. It waits for the lock, and overwrites
   * whatever is stored, also a value that cannot be read.
   */
  readonly replace: (id: string, value: A) => Effect.Effect<void, Failure>
}

/** The errors of getting a value, other than those of the upstream: of the lock, of the store, and `RefreshError`. */
export type Failure = deps.Failure

/** Where values are stored: as base64 of JSON in one field of an object. */
export interface Location {
  /** The kind of the objects. */
  readonly resource: Resource.Resource
  /** The names of the fields that lead to the value. All other fields stay as they are. */
  readonly path: FieldPath
  /** Whether a missing object is created. */
  readonly createIfMissing: boolean
}

/**
 * A key in the `data` of a Secret. A missing Secret is created. An existing Secret keeps its other keys. Throws a `RangeError` if
 * Kubernetes does not accept the key.
 */
export const inSecret = (key: string): Location => {
  if (!/^(?!\.\.)[-._a-zA-Z0-9]{1,253}$/.test(key) || key === ".") {
    throw new RangeError(
      `RefreshOnce.inSecret: a key of a Secret has 1 to 253 letters, digits, "-", "_" and ".", is not ".", and does not begin with "..", but this one is ${JSON.stringify(key)}`
    )
  }
  return { resource: Resource.secret, path: ["data", key], createIfMissing: true }
}

/**
 * The data of the upstream connector in a RefreshToken of Dex. Dex creates the object, and the lock is the one Dex
 * uses.
 */
export const inRefreshToken: Location = {
  resource: Resource.refreshToken,
  path: ["connectorData"],
  createIfMissing: false
}

/**
 * The default policy of the lock: Dex's, with a different wait schedule. A process that waits for a value gives up after 30 seconds.
 * Without a watch it reads the value again after 10 ms, then at doubling intervals of at most 100 ms (our choice).
 */
export const defaultPolicy: LockPolicy.LockPolicy = LockPolicy.make({
  waitSchedule: Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("100 millis")]).pipe(
    Schedule.upTo({ duration: "30 seconds" })
  )
})

/** The context of a refresh: the name of the object (`id`), and the fencing token of the lock (`fencingToken`). */
export type RefreshContext = deps.RefreshContext

/**
 * The definition of a shared value.
 *
 * `policy` (the default is `defaultPolicy`), `identity` and `idInMetrics` are those of the lock.
 */
export interface Options<A, E, R> extends Lock.Options {
  /**
   * The type of the value. It is stored as JSON (`Schema.toCodecJson`), so `Schema.Redacted` and dates work as they
   * are.
   */
  readonly schema: Schema.Codec<A, unknown>
  /** Whether the value can still be used. Leave a margin for the clocks of other machines and for the use itself. */
  readonly isFresh: (value: A) => Effect.Effect<boolean>
  /**
   * Calls the upstream. It gets the stored value, or nothing if none is stored yet. It runs with the services that
   * `make` was given, not with those of the caller; spans are the caller's.
   */
  readonly refresh: (current: Option.Option<A>, context: RefreshContext) => Effect.Effect<A, E, R>
  /** Where the value is stored. The default is the key `value` of a Secret. */
  readonly location?: Location | undefined
  /**
   * For how long no process asks the upstream again after this error of `refresh`. By default there is no pause. Name
   * one for an error after which the upstream may have acted (a time-out, a lost connection), if the upstream takes
   * the second use of a value for theft; and for an upstream that says when to come back. The lock is kept for so
   * long. The callers of that refresh do not wait for it: they get the error at once. Those that come later wait, as
   * the policy says, and so does `replace`.
   */
  readonly pauseAfter?: ((error: E) => Duration.Input) | undefined
  /**
   * How long a refresh may continue after its last caller has left, or after the scope has begun to close. The
   * default is 10 seconds.
   */
  readonly grace?: Duration.Input | undefined
  /**
   * For how long a process leaves the lock to another one whose lease has expired, before it takes the lock over and
   * asks the upstream itself. The default is 15 seconds. The other process may have spent the stored value, and be
   * cut off from the API server: it writes what it got once it is back. Counted from when this process sees the lease
   * expired, so an API server that nobody reaches does not shorten it. It is what a crash costs on top of the lease.
   * Zero is what Dex does.
   */
  readonly takeoverGrace?: Duration.Input | undefined
  /** The largest number of ids that this process caches. The default is 1000. */
  readonly capacity?: number | undefined
}

/** How long a refresh goes on without callers by default. Our choice. */
export const defaultGrace: Duration.Duration = Duration.seconds(10)

/**
 * How long a lock whose lease has expired is left to its holder by default: for two attempts to write, each with a time-out of 5 seconds.
 * And a caller whose wait begins with a crash still gets a value within the 30 seconds of `defaultPolicy`. Our choice.
 */
export const defaultTakeoverGrace: Duration.Duration = Duration.seconds(15)

/** How many values a process remembers by default. Our choice. */
export const defaultCapacity = 1000

/**
 * Makes a shared value on the cluster of the client, in `namespace` (the default is that of the kubeconfig).
 *
 * Fails with `LockInvalidName` if the namespace is not a valid name. When the scope closes, a running refresh has the grace
 * to finish, and an answer of the upstream is still written.
 */
export const make = Effect.fnUntraced(function* <A, E, R>(
  options: Options<A, E, R> & Pick<ObjectStoreKubernetes.Options, "namespace" | "requestTimeout" | "clock">
): Effect.fn.Return<RefreshOnce<A, E>, LockError.InvalidName, R | KubernetesClient | Scope.Scope> {
  const { clock, namespace, requestTimeout } = options
  const { resource } = options.location ?? inSecret(defaultKey)
  const store = yield* ObjectStoreKubernetes.make({ resource, namespace, requestTimeout, clock, content: true })
  return yield* Effect.provideService(makeFromStore(options), ObjectStore, store)
})

/**
 * Makes a shared value on the `ObjectStore` of the context, for example that of a test. The store must include the
 * content of objects.
 */
export const makeFromStore = Effect.fnUntraced(function* <A, E, R>(
  options: Options<A, E, R>
): Effect.fn.Return<RefreshOnce<A, E>, never, R | ObjectStore | Scope.Scope> {
  // What only a shared value needs is loaded with the first one.
  const { knowledge, replace, rotation, sightings, SingleFlight, unwritten, ValueLocation, valueWatch } =
    yield* Effect.promise(() => import("./internal/refresh/operations.ts"))
  const { createIfMissing, path, resource } = options.location ?? inSecret(defaultKey)
  const store = yield* ObjectStore
  const policy = options.policy ?? defaultPolicy
  const services = Context.omit(Tracer.Tracer, Tracer.ParentSpan)(yield* Effect.context<R>()) as Context.Context<R>
  const isSame = Schema.toEquivalence(options.schema)
  // Those that wait for a value go by the expiry of the lock, and a refresh is short.
  const lock = yield* Lock.make({ ...options, policy: { ...policy, session: false } })
  // The scope closes in reverse: flights end, background work ends, what is left is written, and then the lock closes.
  yield* Effect.addFinalizer(() => Effect.suspend(() => unwritten.writeLast(self)))
  const location = ValueLocation.make(path, options.schema)
  const self: deps.Deps<A, E> = {
    store,
    lock,
    kind: LockKind.of(policy, store),
    policy,
    createIfMissing,
    path,
    location,
    isImmutable: immutability(resource, path),
    isFresh: options.isFresh,
    isSame,
    refresh: (current, context) =>
      Effect.updateContext(options.refresh(current, context), (caller: Context.Context<never>) =>
        Context.merge(caller, services)
      ),
    pauseAfter: options.pauseAfter ?? (() => 0),
    knowledge: knowledge.make(options.capacity ?? defaultCapacity, isSame, location.digest),
    sightings: sightings.make(options.capacity ?? defaultCapacity),
    watches: valueWatch.make(store),
    takeoverGrace: Duration.toMillis(Duration.fromInputUnsafe(options.takeoverGrace ?? defaultTakeoverGrace)),
    rewrites: yield* FiberMap.make<string>(),
    holds: new Map(),
    pauses: yield* FiberSet.make(),
    counted: { unwritten: 0 }
  }
  const known = self.knowledge

  const { join } = yield* SingleFlight.make<A, E | Failure>(
    (id, flight) =>
      inSpan("kubelock.refresh", { attributes: { "kubelock.id": id } }, () =>
        Effect.ensuring(Effect.scoped(rotation.obtain(self, id, flight)), unwritten.countUnwritten(self))
      ),
    Duration.fromInputUnsafe(options.grace ?? defaultGrace)
  )

  const freshFromCache = (id: string) =>
    Effect.suspend(() => {
      const cached = known.get(id)
      if (cached === undefined || cached.isRejected) return Effect.succeed(Option.none<A>())
      return Effect.map(options.isFresh(cached.newest), (fresh) => {
        if (!fresh) return Option.none<A>()
        known.touch(id)
        return Option.some(cached.newest)
      })
    })

  // A flight that had its answer before the rejection may answer the rejected value, or an older one. Then another flight is
  // needed. What has replaced the rejected value is newer.
  const invalidate = (id: string, rejected: A): Effect.Effect<A, E | Failure> =>
    Effect.suspend(() => {
      known.reject(id, rejected)
      return known.isSpent(id, rejected) ? freshFromCache(id) : Effect.succeed(Option.none<A>())
    }).pipe(
      Effect.flatMap(
        Option.match({
          onNone: () =>
            Effect.flatMap(join(id, [rejected]), ({ rejectedInTime, value }) =>
              rejectedInTime ? Effect.succeed(value) : invalidate(id, rejected)
            ),
          onSome: Effect.succeed
        })
      )
    )

  return {
    get: (id) =>
      Effect.flatMap(
        freshFromCache(id),
        Option.match({
          onNone: () => Effect.map(join(id, []), ({ value }) => value),
          onSome: Effect.succeed
        })
      ),
    invalidate,
    replace: (id, value) => Effect.ensuring(replace(self, id, value), unwritten.countUnwritten(self))
  }
})

// A Secret or a ConfigMap can say that its data never changes. Its metadata still do, so its lock works.
const immutability =
  ({ group, plural }: Resource.Resource, [field]: FieldPath) =>
  (content: Content): boolean =>
    group === "" &&
    (plural === "secrets" || plural === "configmaps") &&
    (field === "data" || field === "binaryData") &&
    content["immutable"] === true

const defaultKey = "value"

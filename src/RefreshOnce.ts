/**
 * A value that many share and that must be refreshed once: a rotating refresh token, a session, a signing key.
 *
 * The value lives in an object of the cluster. `get` gives every caller, in this process and in all others, the same
 * fresh value; who finds it stale takes the object's lock, looks again, refreshes, and writes and releases in one
 * request.
 *
 * **Details**
 *
 * - A fresh value costs no request: it is remembered in the process until `isFresh` says no. A rotation costs the one who
 *   refreshes two, and each other process a look.
 * - Callers of one process share one flight per id, its errors included, and can be interrupted one by one. A flight that
 *   still waits for the lock ends with its last caller. Once the upstream was asked the flight goes on without callers
 *   for a grace, for an answer that nobody writes is a token lost; once the upstream has answered, nothing stops the
 *   writing.
 * - `refresh` runs at most once in a flight, and is not interrupted when the lock is lost: its answer is written if nobody
 *   took over, and else reported (`RefreshError.NotWritten`). The API server itself refuses the writing of a holder
 *   that was overtaken.
 * - The lock is renewed while the upstream takes its time. Bound it with a time-out in `refresh`.
 *
 * **Gotchas**
 *
 * - A process that dies between the upstream's answer and the writing takes the answer with it. The next `refresh` gets the
 *   old value; what the upstream says to that is what its caller gets to see.
 * - Do not log the value: make its secret parts `Redacted`. This module puts no part of it anywhere but into the object.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as flights from "./internal/refresh/singleFlight.ts"
import * as rotation from "./internal/refresh/rotation.ts"
import * as refreshValue from "./internal/refresh/location.ts"
import type { KubernetesClient } from "./KubernetesClient.ts"
import * as Lock from "./Lock.ts"
import type * as LockError from "./LockError.ts"
import * as LockPolicy from "./LockPolicy.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as ObjectStoreKubernetes from "./ObjectStoreKubernetes.ts"
import * as Resource from "./Resource.ts"

/**
 * A shared value by the name of its object.
 *
 * - `get`: the fresh value, refreshed if need be.
 * - `invalidate`: for a caller whom the upstream told that this value is no good. Answers a fresh value that is another:
 *   the stored one if somebody refreshed already, else a refreshed one.
 */
export interface RefreshOnce<A, E = never> {
  readonly get: (id: string) => Effect.Effect<A, E | Failure>
  readonly invalidate: (id: string, value: A) => Effect.Effect<A, E | Failure>
}

/** What getting a value can fail with, beside the upstream's error: the lock, the store, and the value's own. */
export type Failure = rotation.Failure

/**
 * Where values live: base64 of JSON in one field of an object, by the names on the way to it.
 *
 * All other fields are left alone. `createIfMissing` says whether an object that is not there is made.
 */
export interface Location {
  readonly resource: Resource.Resource
  readonly path: refreshValue.Path
  readonly createIfMissing: boolean
}

/** A key of a Secret's `data`. A missing Secret is made; an existing one keeps its other keys. */
export const inSecret = (key: string): Location => ({
  resource: Resource.secret,
  path: ["data", key],
  createIfMissing: true
})

/** The upstream connector's data in Dex's RefreshToken, which Dex makes. Locked as Dex locks it. */
export const inRefreshToken: Location = {
  resource: Resource.refreshToken,
  path: ["connectorData"],
  createIfMissing: false
}

/**
 * The policy of the lock by default: Dex's, except that who waits for a value looks again after 10 milliseconds, then less
 * often, at least every 100 milliseconds, and gives up after 30 seconds.
 */
export const defaultPolicy: LockPolicy.LockPolicy = LockPolicy.make({
  waitSchedule: Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("100 millis")]).pipe(
    Schedule.upTo({ duration: "30 seconds" })
  )
})

/** Under what a refresh runs: for which id (`id`), and with which fencing token of the lock (`fencingToken`). */
export type RefreshContext = rotation.RefreshContext

/**
 * What makes up a shared value.
 *
 * - `schema`: its type, stored as JSON (`Schema.toCodecJson`), so that `Schema.Redacted` and dates need no more.
 * - `isFresh`: whether it still serves. Leave a margin for the clocks of others and for the use of the value.
 * - `refresh`: asks the upstream. It gets the stored value, or nothing where none was stored yet.
 * - `place`: the key `value` of a Secret by default.
 * - `grace`: how long a refresh may go on after its last caller left or the scope began to close, 10 seconds by default.
 * - `capacity`: how many ids at most are remembered in this process, 1000 by default.
 *
 * `policy` (`defaultPolicy` by default), `holder` and `idInMetrics` are those of the lock.
 */
export interface Options<A, E, R> extends Lock.Options {
  readonly schema: Schema.Codec<A, unknown>
  readonly isFresh: (value: A) => Effect.Effect<boolean>
  readonly refresh: (current: Option.Option<A>, context: RefreshContext) => Effect.Effect<A, E, R>
  readonly location?: Location | undefined
  readonly grace?: Duration.Input | undefined
  readonly capacity?: number | undefined
}

/**
 * Makes a shared value on the cluster that the client talks to, in `namespace` (the kubeconfig's by default).
 *
 * Fails where the namespace is not a name. When the scope closes, refreshes that are under way have the grace to finish,
 * and what the upstream answered is still written.
 */
export const make = Effect.fnUntraced(function* <A, E, R>(
  options: Options<A, E, R> & Pick<ObjectStoreKubernetes.Options, "namespace" | "requestTimeout" | "clock">
): Effect.fn.Return<RefreshOnce<A, E>, LockError.InvalidName, R | KubernetesClient | Scope.Scope> {
  const { clock, namespace, requestTimeout } = options
  const { resource } = options.location ?? inSecret(defaultKey)
  const store = yield* ObjectStoreKubernetes.make({ resource, namespace, requestTimeout, clock, content: true })
  return yield* Effect.provideService(makeFromStore(options), ObjectStore, store)
})

/** Makes a shared value over the store in context, which must bring along the objects' content: for tests, say. */
export const makeFromStore = Effect.fnUntraced(function* <A, E, R>(
  options: Options<A, E, R>
): Effect.fn.Return<RefreshOnce<A, E>, never, R | ObjectStore | Scope.Scope> {
  const { path, createIfMissing } = options.location ?? inSecret(defaultKey)
  const policy = options.policy ?? defaultPolicy
  const capacity = options.capacity ?? 1000
  const made = yield* Effect.context<R>()
  const isSame = Schema.toEquivalence(options.schema)
  const parts: rotation.Deps<A, E> = {
    store: yield* ObjectStore,
    lock: yield* Lock.make({ ...options, policy }),
    policy,
    createIfMissing,
    path,
    value: refreshValue.make(path, options.schema),
    isFresh: options.isFresh,
    isSame,
    refresh: (current, context) =>
      Effect.updateContext(options.refresh(current, context), (caller: Context.Context<never>) =>
        Context.merge(made, caller)
      )
  }

  const remembered = new Map<string, Memory<A>>()
  const remember = (id: string, memory: Memory<A>) => {
    remembered.delete(id)
    remembered.set(id, memory)
    for (const oldest of remembered.keys()) {
      if (remembered.size <= capacity) return
      remembered.delete(oldest)
    }
  }

  const { join } = yield* flights.make<A, E | Failure>(
    (id, flight) =>
      Effect.withSpan(
        Effect.map(rotation.obtain(parts, id, flight, remembered.get(id)?.hadLock === true), ({ hadLock, value }) => {
          remember(id, { value: Option.some(value), hadLock })
          return value
        }),
        "kubelock.refresh",
        { captureStackTrace: false, attributes: { "kubelock.id": id } }
      ),
    Duration.fromInputUnsafe(options.grace ?? "10 seconds")
  )

  // Answers nothing where nothing is remembered that still serves.
  const recall = (id: string) =>
    Effect.suspend(() => {
      const memory = remembered.get(id)
      if (memory === undefined || Option.isNone(memory.value)) return Effect.succeed(Option.none<A>())
      const { value } = memory
      return Effect.map(options.isFresh(value.value), (fresh) => {
        if (!fresh) return Option.none<A>()
        if (remembered.get(id) === memory) remember(id, memory)
        return value
      })
    })

  const joinWith = (id: string, spent: A): Effect.Effect<A, E | Failure> =>
    Effect.flatMap(join(id, [spent]), ({ heard, value }) =>
      heard || !isSame(value, spent) ? Effect.succeed(value) : joinWith(id, spent)
    )

  const forget = (id: string, spent: A) =>
    Effect.sync(() => {
      const memory = remembered.get(id)
      if (memory !== undefined && Option.exists(memory.value, (value) => isSame(value, spent))) {
        remembered.set(id, { ...memory, value: Option.none() })
      }
    })

  return {
    get: (id) =>
      Effect.flatMap(
        recall(id),
        Option.match({
          onNone: () => Effect.map(join(id, []), ({ value }) => value),
          onSome: Effect.succeed
        })
      ),
    invalidate: (id, spent) =>
      Effect.andThen(
        forget(id, spent),
        Effect.flatMap(recall(id), Option.match({ onNone: () => joinWith(id, spent), onSome: Effect.succeed }))
      )
  }
})

interface Memory<A> {
  readonly value: Option.Option<A>
  readonly hadLock: boolean
}

const defaultKey = "value"

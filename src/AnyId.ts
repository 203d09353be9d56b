/**
 * Ids of any form: `account/42`, an e-mail address, a URL.
 *
 * The id of a lock is the name of an object, and Kubernetes allows few characters in a name. This layer goes between the lock and its
 * store, and gives each id a name: a readable beginning and a hash. An id that is a valid name stays as it is, so locks that exist
 * keep their objects.
 *
 * **Example** (A lock on an account)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import { AnyId, Lock, ObjectStoreMemory } from "kubelock"
 *
 * const LockLive = Lock.layer().pipe(Layer.provide(AnyId.layer), Layer.provide(ObjectStoreMemory.layer()))
 * ```
 *
 * **Details**
 *
 * - A lock that creates an object keeps the id on it, in the annotation `kubelock.dev/id`, and `Lock.inspect` shows it. Objects that
 *   exist already need the name that `nameOf` gives.
 * - Errors and log lines name both the id and the object.
 * - Ids that differ in anything, such as upper and lower case, are different locks.
 *
 * **Gotchas**
 *
 * - All processes that share a lock need this layer, or all ids must be valid names.
 * - Everybody who may read the object may read the id: names and annotations are no secrets in Kubernetes.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as LockError from "./LockError.ts"
import { idKey, ObjectStore } from "./ObjectStore.ts"
import * as Resource from "./Resource.ts"

/** The longest id, in characters. Our choice: an annotation has room for it. */
export const maxLength = 4096

// Loading it takes several milliseconds, which most services need not spend.
const crypto = () => process.getBuiltinModule("node:crypto")

/** How much of the hash is in a name, in hexadecimal digits, and how long the readable beginning is at most. Our choice. */
const hashLength = 20
const maxPrefix = 40

/**
 * The name of the object of an id: the id itself if it is a valid name, and otherwise its letters and digits in lower case with a hash
 * of the whole (80 bits of SHA-256), as in `account-42-cd2bec937493f707689a`.
 *
 * Fails if the id is empty, longer than `maxLength`, or not well-formed Unicode. The mapping never changes: all versions find the
 * same object.
 */
export const nameOf = (id: string): Result.Result<string, LockError.InvalidName> => {
  if (id === "" || Result.isSuccess(Resource.checkName(id))) return Resource.checkName(id)
  if (id.length > maxLength) {
    return refused(id, `it has ${id.length} characters, and at most ${maxLength} are allowed`)
  }
  if (!id.isWellFormed()) return refused(id, "it is not well-formed Unicode (a surrogate stands alone)")
  const hash = crypto().createHash("sha256").update(id).digest("hex").slice(0, hashLength)
  const readable = id
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, maxPrefix)
    .replaceAll(/^-+|-+$/g, "")
  return Result.succeed(readable === "" ? hash : `${readable}-${hash}`)
}

const refused = (id: string, why: string) =>
  Result.fail(new LockError.InvalidName({ id: id.slice(0, 300), problem: `none can be made from it, since ${why}` }))

/** The store with ids of any form. */
export const make = (store: ObjectStore["Service"]): ObjectStore["Service"] => {
  const named = <A>(
    id: string,
    request: (name: string) => Effect.Effect<A, LockError.StoreError>
  ): Effect.Effect<A, LockError.StoreError> =>
    Effect.mapError(Effect.flatMap(Effect.fromResult(nameOf(id)), request), (error) => withId(error, id))

  return ObjectStore.of({
    ...store,
    describe: (id) => store.describe(Result.getOrElse(nameOf(id), () => id)),
    read: (id) => named(id, store.read),
    create: (id, annotations, content) =>
      named(id, (name) => store.create(name, name === id ? annotations : { ...annotations, [idKey]: id }, content)),
    compareAndSwap: (id, patch) => named(id, (name) => store.compareAndSwap(name, patch)),
    dryRun: (id, patch) => named(id, (name) => store.dryRun(name, patch)),
    announce: (id, about, news) => named(id, (name) => store.announce(name, about, news)),
    remove: (id, version) => named(id, (name) => store.remove(name, version)),
    watch: (id, options) =>
      Stream.mapError(
        Stream.unwrap(Effect.map(Effect.fromResult(nameOf(id)), (name) => store.watch(name, options))),
        (error) => withId(error, id)
      )
  })
}

/** The store in context, with ids of any form. */
export const layer: Layer.Layer<ObjectStore, never, ObjectStore> = Layer.effect(
  ObjectStore,
  Effect.map(ObjectStore, make)
)

const withId = (error: LockError.StoreError, id: string): LockError.StoreError =>
  error._tag === "LockNotFound" ? new LockError.NotFound({ id, object: error.object, missing: error.missing }) : error

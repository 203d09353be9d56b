/**
 * The one port to the world: everything that Kubernetes is, for a lock.
 *
 * Objects with a name, of which only the metadata is seen; a compare-and-swap on their annotations and labels; a stream
 * of changes, which a label can narrow down; and the clock that all clients of the store share. `ObjectStoreMemory` keeps them in this process,
 * `ObjectStoreKubernetes` on an API server. Both pass one contract suite (`test/contract`), and a third engine would
 * be one more file.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { StoreError } from "./LockError.ts"

/**
 * The metadata of an object, as it was when the store answered.
 *
 * `content` is the object itself, by its top-level fields, and there only where the store was made to bring it along.
 */
export interface ObjectSnapshot {
  readonly uid: string
  readonly resourceVersion: string
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly content?: Content
}

/** An object beyond its metadata: `data` of a Secret, `token` of a RefreshToken. It may be secret. */
export type Content = Readonly<Record<string, Schema.Json>>

/** What to write: each key is set to the string, or removed where it is `null`. Keys not named stay as they are. */
export type MetadataPatch = Readonly<Record<string, string | null>>

/**
 * The condition of a write.
 *
 * - `resourceVersion`: the object is still that version (Kubernetes' optimistic concurrency).
 * - `annotations`: each of the annotations named has just that value; with `true` any value, with `false` none. The
 *   write then survives other changes of the object, as when the holder of a lock writes to the object it locked. At
 *   least one that is there must be named.
 * - `labelled`: whether the object has any label. It must be told where a label is set under annotations, and counts only
 *   there, since a JSON patch can set one only if it knows.
 */
export type Precondition = ConditionalPatch["expect"]

/** A field of an object to set, or to remove (`null`), by the names on the way to it. All but the last must be there. */
export interface FieldPatch {
  readonly path: readonly [string, ...ReadonlyArray<string>]
  readonly value: Schema.Json
}

/**
 * A write under a condition: all of it happens, or nothing. Fields of the object are set only under annotations, since
 * what they say is what such a write relies on.
 */
export type ConditionalPatch =
  | {
      readonly expect: { readonly resourceVersion: string }
      readonly annotations: MetadataPatch
      readonly labels?: MetadataPatch | undefined
    }
  | AnnotationGuardedPatch

/** A write that survives other changes of the object. */
export interface AnnotationGuardedPatch {
  readonly expect: {
    readonly annotations: Readonly<Record<string, string | boolean>>
    readonly hasLabels?: boolean | undefined
  }
  readonly annotations: MetadataPatch
  readonly labels?: MetadataPatch | undefined
  readonly content?: ReadonlyArray<FieldPatch> | undefined
}

/** What a stream of changes tells: what the object is now, or that it is gone (or has lost the label watched for). */
export type WatchEvent = { readonly _tag: "Changed"; readonly snapshot: ObjectSnapshot } | { readonly _tag: "Deleted" }

/**
 * What time it is by the clock that all clients of the store share, in milliseconds since 1970: no earlier than
 * `earliest`, no later than `latest`. Who breaks a lock counts with the one, who writes an expiry with the other.
 */
export interface ServerTime {
  readonly earliest: number
  readonly latest: number
}

/**
 * Service tag of the store.
 *
 * **Details**
 *
 * - `createIfMissing`: whether the lock should create an object that is not there.
 * - `besideDex`: whether Dex locks these objects too.
 * - `bringsContent`: whether answers bring the content of the object along. The stream of changes need not.
 * - `describe`: an object for people to read, in messages.
 * - `read`: the object as it is now, never a cached view. `NotFound` where it is missing.
 * - `create`: makes the object with these annotations; `None` where one of that name is there already.
 * - `compareAndSwap`: writes if the condition holds, and answers the metadata after the write; `None` where it does not
 *   hold, and then nothing was written. A write that changes nothing succeeds and leaves the resourceVersion as it is.
 *   After `Unavailable` the write may have happened.
 * - `changes`: begins with the object as it is (nothing where it is missing), or with the first change after
 *   `since`, and goes on for ever: it reopens what ends or breaks, and tells the present state again where it may have
 *   missed something. Fails only with what no reopening mends.
 * - `now`: no request is made for it.
 *
 * Each request ends, with `Unavailable` if need be, in a time that the store bounds.
 */
export class ObjectStore extends Context.Service<
  ObjectStore,
  {
    readonly createIfMissing: boolean
    readonly sharedWithDex: boolean
    readonly includesContent: boolean
    readonly describe: (id: string) => string
    readonly read: (id: string) => Effect.Effect<ObjectSnapshot, StoreError>
    readonly create: (
      id: string,
      annotations: Readonly<Record<string, string>>
    ) => Effect.Effect<Option.Option<ObjectSnapshot>, StoreError>
    readonly compareAndSwap: (
      id: string,
      write: ConditionalPatch
    ) => Effect.Effect<Option.Option<ObjectSnapshot>, StoreError>
    readonly watch: (id: string, options?: WatchOptions) => Stream.Stream<WatchEvent, StoreError>
    readonly now: Effect.Effect<ServerTime>
  }
>()("kubelock/ObjectStore") {}

/**
 * Where a stream of changes begins, and what it leaves out.
 *
 * - `since`: after this resourceVersion; by default it begins with the object as it is.
 * - `label`: only while the object has this label with this value. The store does the filtering, so that nothing reaches
 *   this process otherwise.
 */
export interface WatchOptions {
  readonly since?: string | undefined
  readonly label?: { readonly key: string; readonly value: string } | undefined
}

/**
 * The port to the world: everything that Kubernetes is to a lock.
 *
 * It has objects with a name, of which only the metadata is seen; a compare-and-swap on their annotations and labels; a watch,
 * which a label can narrow down; and the clock that all clients of the store share. `ObjectStoreMemory` keeps objects in this
 * process, `ObjectStoreKubernetes` on an API server. Both pass one contract suite (`test/contract`).
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ServerTime } from "./internal/time/serverClock.ts"
import type { Lost, StoreError } from "./LockError.ts"

/**
 * The time on the clock that all clients of the store share, in milliseconds since 1970: no earlier than `earliest`, no later than
 * `latest`. A contender that takes over from an expired holder counts with the one, a holder that writes an expiry with the
 * other. (TrueTime's interval.)
 */
export type { ServerTime } from "./internal/time/serverClock.ts"

/** An object as the store answered it. */
export interface ObjectSnapshot {
  /** What tells the object from another one of the same name. */
  readonly uid: string
  /** The version of the object, a decimal number that grows with each write. */
  readonly resourceVersion: string
  /** Its annotations. */
  readonly annotations: Readonly<Record<string, string>>
  /** Its labels. */
  readonly labels: Readonly<Record<string, string>>
  /** The rest of the object by its top-level fields, only if the store includes it. */
  readonly content?: Content
}

/** An object beyond its metadata: `data` of a Secret, `token` of a RefreshToken. It may be secret. */
export type Content = Readonly<Record<string, Schema.Json>>

/** Annotations or labels to write: each key is set to the string, or removed if it is `null`. Other keys stay as they are. */
export type MetadataPatch = Readonly<Record<string, string | null>>

/**
 * The precondition of a write.
 *
 * - `resourceVersion`: the object is still that version (Kubernetes' optimistic concurrency).
 * - `annotations`: each annotation named has just that value; with `true` any value, with `false` none. The write then survives
 *   other changes of the object, as when the holder of a lock writes to the object that it locked. At least one annotation that
 *   is there must be named.
 * - `absent`: each of these fields is missing, and the fields on the way to it are there. It counts only under `annotations`.
 * - `hasLabels`: whether the object has any label. It counts only under `annotations`, and must be given if the write sets a label
 *   there: a JSON patch can set a label only if it knows.
 *
 * A write under annotations can also name annotations in `stamps`. Each of them is set to the resourceVersion that the write finds. No
 * two writes to an object find the same one. It can also copy annotations that it finds (`copies`), one after the other and before
 * anything else is written. They must be there: if one is not, some API servers refuse the write, and others copy an empty value.
 */
export type Precondition = ConditionalPatch["expect"]

/** The names on the way to a field of an object: `["data", "value"]`. */
export type FieldPath = readonly [string, ...ReadonlyArray<string>]

/**
 * A field of an object to set, or to remove (`null`).
 *
 * In a write under a resourceVersion, fields on the way to it are made if they are missing. In a write under annotations all of them
 * must be there. Otherwise that write is refused, as one whose precondition does not hold.
 */
export interface FieldPatch {
  /** The field. */
  readonly path: FieldPath
  /** What it is set to; `null` removes it. */
  readonly value: Schema.Json
}

/** A write under a precondition: all of it happens, or nothing. */
export type ConditionalPatch =
  | {
      readonly expect: { readonly resourceVersion: string }
      readonly annotations: MetadataPatch
      readonly labels?: MetadataPatch | undefined
      readonly content?: ReadonlyArray<FieldPatch> | undefined
    }
  | AnnotationGuardedPatch

/** The copy of an annotation to another one, or to a label. */
export interface Copy {
  /** The annotation that is copied. It must be there. */
  readonly from: string
  /** The annotation or the label that it is copied to. */
  readonly to: { readonly annotation: string } | { readonly label: string }
}

/** A write that survives other changes of the object. */
export interface AnnotationGuardedPatch {
  /** What must hold for the write to happen: see `Precondition`. */
  readonly expect: {
    readonly annotations: Readonly<Record<string, string | boolean>>
    readonly absent?: ReadonlyArray<FieldPath> | undefined
    readonly hasLabels?: boolean | undefined
  }
  /** The annotations that it sets or removes. */
  readonly annotations: MetadataPatch
  /** The annotations that it sets to the resourceVersion that the write finds. */
  readonly stamps?: ReadonlyArray<string> | undefined
  /** The copies that it makes, one after the other, before anything else is written. */
  readonly copies?: ReadonlyArray<Copy> | undefined
  /** The labels that it sets or removes. */
  readonly labels?: MetadataPatch | undefined
  /** The fields that it sets or removes. */
  readonly content?: ReadonlyArray<FieldPatch> | undefined
}

/** How to read. */
export interface ReadOptions {
  /** Allows an answer from a cache, which is cheaper and may be older than the last write. Off by default. */
  readonly mayBeStale?: boolean | undefined
}

/** The label of the objects that locks made. Tools and people recognize its maker by it (a convention of Kubernetes). */
export const managedBy = { key: "app.kubernetes.io/managed-by", value: "kubelock" } as const

/** The annotation that keeps the id of a lock if the name of its object is made from it (see `AnyId`). */
export const idKey = "kubelock.dev/id"

/**
 * What became of an object that was to be deleted.
 *
 * - `Removed`: it is deleted, or is being deleted if it has finalizers.
 * - `Changed`: it is another version, and was left alone.
 * - `HasContent`: it has content, and was left alone.
 */
export type Removal = "Removed" | "Changed" | "HasContent"

/** Whether content holds nothing: no field, or only empty ones. */
export const isEmpty = (content: Content): boolean =>
  Object.values(content).every(
    (value) => value === null || (Predicate.isObjectOrArray(value) && Object.keys(value).length === 0)
  )

/**
 * What a dry run tells.
 *
 * - `Accepted`: the store would apply the write. `snapshot` is the object as it would be.
 * - `Refused`: the precondition does not hold.
 * - `Unknown`: it cannot be told, since something on the way of a write takes no dry run.
 */
export type DryRun =
  | { readonly _tag: "Accepted"; readonly snapshot: ObjectSnapshot }
  | { readonly _tag: "Refused" | "Unknown" }

/** News of an object for people, as `kubectl describe` shows it. */
export interface Announcement {
  /** What happened, as a word in CamelCase. */
  readonly reason: string
  /** The same as a sentence. */
  readonly message: string
  /** The name of the process that reports it. */
  readonly reporter: string
}

/** What a watch tells: what the object is now, or that it is gone or has lost the label that the watch is narrowed to. */
export type WatchEvent = { readonly _tag: "Changed"; readonly snapshot: ObjectSnapshot } | { readonly _tag: "Deleted" }

/** Where a watch begins, and what it leaves out. */
export interface WatchOptions {
  /** After this resourceVersion. By default it begins with the object as it is. */
  readonly since?: string | undefined
  /**
   * Only while the object has this label with this value, or with the value `or`. The store filters, so that nothing
   * else reaches this process.
   */
  readonly label?: { readonly key: string; readonly value: string; readonly or?: string | undefined } | undefined
  /** With the content of the object, if the store includes it. By default events need not have it. */
  readonly content?: boolean | undefined
  /**
   * `Deleted` tells the watcher nothing, so the store may leave it out. With a label, each write of another value is
   * one.
   */
  readonly changesOnly?: boolean | undefined
}

/** Where the Leases of sessions are: those of this process in the namespace of this name. */
export interface SessionLeases {
  /** The namespace in which the sessions of this process are. */
  readonly namespace: string
  /** The store of the Leases of a namespace, with their content. */
  readonly leases: (namespace: string) => ObjectStore["Service"]
  /** What another thread makes the same Leases from, if it can. */
  readonly description?: (() => LeasesDescription) | undefined
  /**
   * Opens a session of this process somewhere else (`SessionThread`), and tells of Leases on which others say that
   * they broke something. A lock is then under a session from the moment on at which it is acquired.
   */
  readonly open?:
    | ((
        times: SessionTimes,
        onBroken: (name: string, lease: ObjectSnapshot) => void
      ) => Effect.Effect<OpenSession, StoreError, Scope.Scope>)
    | undefined
}

/** What another thread makes the Leases of an API server from. It may be secret. */
export interface LeasesDescription {
  /** The URL of the server. */
  readonly server: string
  /** The options of a `KubernetesClient`. */
  readonly kubeConfig:
    | { readonly yaml: string }
    | { readonly file?: string | undefined; readonly context?: string | undefined }
  /** That of an `ObjectStoreKubernetes`, in milliseconds. */
  readonly requestTimeout: number
  /** That of an `ObjectStoreKubernetes`. */
  readonly clock: "server" | "local"
}

/** How this process is called as the holder of the Lease of its session, and the times of the session. */
export interface SessionTimes {
  /** How this process is called. */
  readonly identity: string | undefined
  /** That of a `LockPolicy`. */
  readonly ttl: Duration.Duration
  /** That of a `LockPolicy`. */
  readonly renewEvery: Duration.Duration
  /** That of a `LockPolicy`. */
  readonly renewDeadline: Duration.Duration
}

/** A session of this process, until its scope closes. */
export interface OpenSession {
  /** Its name, as locks under it have it in their records. */
  readonly session: string
  /** Whether it lives, by the clocks of this process and what it knows. It makes no request. */
  readonly isValid: () => boolean
  /** Fails with the reason once it is lost; never succeeds. */
  readonly lost: Effect.Effect<never, Lost["reason"]>
}

/**
 * Service tag of the store.
 *
 * **Details**
 *
 * - `createIfMissing`: whether a lock should create an object that is not there.
 * - `sharedWithDex`: whether Dex locks these objects too.
 * - `holdsLeases`: whether the objects are Leases, whose spec can show the holder of a lock.
 * - `annotation`: the annotation that is the lock, if the policy names none.
 * - `includesContent`: whether answers include the content of the object.
 * - `describe`: an object for people to read, in messages.
 * - `read`: the object as it is now, never a cached view unless `mayBeStale` allows it. Fails with `LockNotFound` if it is missing.
 * - `create`: makes the object with these annotations, this content and the label `managedBy`; `None` if one of that name is there.
 * - `compareAndSwap`: writes if the precondition holds, and answers the object after the write; `None` if it does not hold, and
 *   then nothing was written. A write that changes nothing succeeds and leaves the resourceVersion as it is, unless it is the one
 *   that makes an API server forget who owns which field (`Resource.tracksFields`). After
 *   `LockUnavailable` the write may have happened.
 * - `remove`: deletes the object if it is still this version and has no content.
 * - `dryRun`: whether `compareAndSwap` would succeed. Nothing is applied.
 * - `watch`: begins with the object as it is (nothing if it is missing), or with the first change after `since`, and goes on for
 *   ever: it reopens what ends or breaks, and tells the present state again if it may have missed something. It fails only with
 *   what no reopening mends.
 * - `announce`: tells people news of the object as seen (an Event of Kubernetes).
 * - `now`: makes no request.
 * - `sessionLeases`: the Leases of sessions, under which locks on the objects can be held. Without them there are no sessions, and a
 *   lock that another process holds under a session is judged by its expiry.
 *
 * The store bounds the time of each request. A request that takes longer fails with `LockUnavailable`.
 */
export class ObjectStore extends Context.Service<
  ObjectStore,
  {
    readonly createIfMissing: boolean
    readonly sharedWithDex: boolean
    readonly holdsLeases: boolean
    readonly annotation: string
    readonly includesContent: boolean
    readonly describe: (id: string) => string
    readonly read: (id: string, options?: ReadOptions) => Effect.Effect<ObjectSnapshot, StoreError>
    readonly create: (
      id: string,
      annotations: Readonly<Record<string, string>>,
      content?: Content
    ) => Effect.Effect<Option.Option<ObjectSnapshot>, StoreError>
    readonly compareAndSwap: (
      id: string,
      patch: ConditionalPatch
    ) => Effect.Effect<Option.Option<ObjectSnapshot>, StoreError>
    readonly remove: (
      id: string,
      version: Pick<ObjectSnapshot, "uid" | "resourceVersion">
    ) => Effect.Effect<Removal, StoreError>
    readonly dryRun: (id: string, patch: AnnotationGuardedPatch) => Effect.Effect<DryRun, StoreError>
    readonly watch: (id: string, options?: WatchOptions) => Stream.Stream<WatchEvent, StoreError>
    readonly announce: (
      id: string,
      about: Pick<ObjectSnapshot, "uid" | "resourceVersion">,
      news: Announcement
    ) => Effect.Effect<void, StoreError>
    readonly now: Effect.Effect<ServerTime>
    readonly sessionLeases?: SessionLeases | undefined
  }
>()("kubelock/ObjectStore") {}

/** Whether a watch that is narrowed to this label tells of an object with these labels. */
export const isSelected = (
  labels: ObjectSnapshot["labels"],
  { key, or, value }: NonNullable<WatchOptions["label"]>
): boolean => labels[key] === value || (or !== undefined && labels[key] === or)

/**
 * The object store in this process: for tests of services that lock, and for locks within one process.
 *
 * It behaves as an API server does. `test/contract` runs the same suite on both. The only difference is its clock,
 * which is exactly that of this machine.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { holds } from "./internal/precondition.ts"
import * as LockError from "./LockError.ts"
import * as LockPolicy from "./LockPolicy.ts"
import {
  type AnnotationGuardedPatch,
  type Copy,
  isSelected,
  type ConditionalPatch,
  type Content,
  type FieldPatch,
  type FieldPath,
  isEmpty,
  managedBy,
  type MetadataPatch,
  type ObjectSnapshot,
  ObjectStore,
  type Precondition,
  type SessionLeases,
  type WatchEvent,
  type WatchOptions
} from "./ObjectStore.ts"
import * as Resource from "./Resource.ts"

/** The options of a store in memory. */
export interface Options {
  /** The names of the objects that exist from the start. */
  readonly objects?: Iterable<string> | undefined
  /** Whether the lock creates missing objects. On by default. */
  readonly createIfMissing?: boolean | undefined
  /** The annotation that is the lock, `kubelock.dev/lock` by default. */
  readonly annotation?: string | undefined
}

/** A store in memory. */
export interface ObjectStoreMemory {
  /** The store. */
  readonly store: ObjectStore["Service"]
  /** Removes an object, whatever is on it. */
  readonly delete: (id: string) => Effect.Effect<void>
}

/** Makes a new store, and one of the Leases of sessions. Locks exclude each other only if they share one store. */
export const make = (options: Options = {}): Effect.Effect<ObjectStoreMemory> =>
  Effect.flatMap(makeOne({}, undefined), ({ store }) => makeOne(options, { namespace: "memory", leases: () => store }))

const makeOne = (options: Options, sessionLeases: SessionLeases | undefined): Effect.Effect<ObjectStoreMemory> =>
  Effect.map(PubSub.unbounded<readonly [id: string, event: WatchEvent]>(), (events): ObjectStoreMemory => {
    const objects = new Map<string, ObjectSnapshot>()
    let version = 0

    const describe = (id: string) => `${id} in memory`

    const put = (id: string, object: Omit<ObjectSnapshot, "resourceVersion">): ObjectSnapshot => {
      version++
      const snapshot = { ...object, resourceVersion: String(version) }
      objects.set(id, snapshot)
      PubSub.publishUnsafe(events, [id, { _tag: "Changed", snapshot }])
      return snapshot
    }

    const create = (
      id: string,
      annotations: ObjectSnapshot["annotations"],
      labels: ObjectSnapshot["labels"],
      content: Content = {}
    ) => put(id, { uid: `uid-${version + 1}`, annotations, labels, content })

    const remove = (id: string) => {
      if (!objects.delete(id)) return
      version++
      PubSub.publishUnsafe(events, [id, { _tag: "Deleted" }])
    }

    const find = Effect.fnUntraced(function* (id: string): Effect.fn.Return<ObjectSnapshot, LockError.StoreError> {
      yield* Effect.fromResult(Resource.checkName(id))
      return objects.get(id) ?? (yield* new LockError.NotFound({ id, object: describe(id), missing: "object" }))
    })

    // The object after a write, or `undefined` if the write is refused.
    const patched = (current: ObjectSnapshot, patch: ConditionalPatch): ObjectSnapshot | undefined => {
      if (!isMet(patch.expect, current)) return undefined
      const before = current.content ?? {}
      const content = setFields(before, patch.content ?? [], "resourceVersion" in patch.expect)
      const { copies = [], stamps = [] } = "resourceVersion" in patch.expect ? {} : (patch as AnnotationGuardedPatch)
      const copied = copyAll(current, copies)
      if (copied === undefined) return undefined
      const annotations = apply(copied.annotations, {
        ...patch.annotations,
        ...Object.fromEntries(stamps.map((name) => [name, current.resourceVersion]))
      })
      return content && { ...current, annotations, labels: apply(copied.labels, patch.labels ?? {}), content }
    }

    for (const id of options.objects ?? []) create(id, {}, {})

    return {
      delete: (id) => Effect.sync(() => remove(id)),
      store: ObjectStore.of({
        createIfMissing: options.createIfMissing ?? true,
        sharedWithDex: false,
        holdsLeases: false,
        annotation: options.annotation ?? LockPolicy.neutralAnnotation,
        includesContent: true,
        sessionLeases,
        describe,
        now: Clock.clockWith((clock) => {
          const now = clock.currentTimeMillisUnsafe()
          return Effect.succeed({ earliest: now, latest: now })
        }),
        read: find,
        create: (id, annotations, content) =>
          Effect.map(Effect.fromResult(Resource.checkName(id)), () =>
            objects.has(id)
              ? Option.none()
              : Option.some(create(id, annotations, { [managedBy.key]: managedBy.value }, content))
          ),
        remove: (id, { resourceVersion, uid }) =>
          Effect.map(find(id), (current) => {
            if (current.uid !== uid || current.resourceVersion !== resourceVersion) return "Changed"
            if (!isEmpty(current.content ?? {})) return "HasContent"
            remove(id)
            return "Removed"
          }),
        compareAndSwap: (id, patch) =>
          Effect.map(find(id), (current) => {
            const next = patched(current, patch)
            if (next === undefined) return Option.none()
            return Option.some(isSame(next, current) ? current : put(id, next))
          }),
        dryRun: (id, patch) =>
          Effect.map(find(id), (current) => {
            const snapshot = patched(current, patch)
            return snapshot === undefined ? { _tag: "Refused" } : { _tag: "Accepted", snapshot }
          }),
        announce: (id) => Effect.asVoid(Effect.fromResult(Resource.checkName(id))),
        watch: (id, { label, since } = {}) =>
          Stream.unwrap(
            Effect.gen(function* () {
              yield* Effect.fromResult(Resource.checkName(id))
              const subscription = yield* PubSub.subscribe(events)
              const current = objects.get(id)
              const first: ReadonlyArray<WatchEvent> =
                current?.resourceVersion === since
                  ? []
                  : current === undefined
                    ? [{ _tag: "Deleted" }]
                    : [{ _tag: "Changed", snapshot: current }]
              const all = Stream.fromIterable(first).pipe(
                Stream.concat(
                  Stream.fromSubscription(subscription).pipe(
                    Stream.filter(([eventId]) => eventId === id),
                    Stream.map(([, event]) => event)
                  )
                )
              )
              if (label === undefined) return all
              // The store does not know whether an older version had the label. One "Deleted" too many does no harm.
              const maybeLost = since !== undefined && since !== current?.resourceVersion
              const wasSelected = maybeLost || (current !== undefined && isSelected(current.labels, label))
              return Stream.mapAccum(all, () => wasSelected, selectBy(label))
            })
          )
      })
    }
  })

/** The store as a layer. */
export const layer = (options: Options = {}): Layer.Layer<ObjectStore> =>
  Layer.effect(
    ObjectStore,
    Effect.map(make(options), ({ store }) => store)
  )

const isMet = (expect: Precondition, current: ObjectSnapshot): boolean =>
  holds(expect, current) &&
  ("resourceVersion" in expect ||
    ((expect.absent ?? []).every((path) => isAbsent(current.content ?? {}, path)) &&
      (expect.hasLabels === undefined || expect.hasLabels === Object.keys(current.labels).length > 0)))

// An API server does not make a version of a write that changes nothing.
const isSame = (a: ObjectSnapshot, b: ObjectSnapshot): boolean =>
  isSameRecord(a.annotations, b.annotations) &&
  isSameRecord(a.labels, b.labels) &&
  (a.content === b.content || Equal.equals(a.content, b.content))

const isSameRecord = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean => {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

// Filters as an API server does: an object that loses the label is reported once as deleted.
const selectBy =
  (label: Label) =>
  (wasSelected: boolean, event: WatchEvent): readonly [boolean, ReadonlyArray<WatchEvent>] => {
    if (event._tag === "Changed" && isSelected(event.snapshot.labels, label)) return [true, [event]]
    return [false, wasSelected ? [{ _tag: "Deleted" }] : []]
  }

type Label = NonNullable<WatchOptions["label"]>

const apply = (values: Readonly<Record<string, string>>, patch: MetadataPatch): Readonly<Record<string, string>> => {
  const next = { ...values }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete next[key]
    else next[key] = value
  }
  return next
}

const copyAll = (
  { annotations, labels }: ObjectSnapshot,
  copies: ReadonlyArray<Copy>
): Pick<ObjectSnapshot, "annotations" | "labels"> | undefined => {
  const copied = { annotations: { ...annotations }, labels: { ...labels } }
  for (const { from, to } of copies) {
    const value = copied.annotations[from]
    if (value === undefined) return undefined
    if ("label" in to) copied.labels[to.label] = value
    else copied.annotations[to.annotation] = value
  }
  return copied
}

const setFields = (content: Content, fields: ReadonlyArray<FieldPatch>, makesParents: boolean): Content | undefined =>
  fields.reduce<Content | undefined>((within, field) => within && setField(within, field, makesParents), content)

// Without `makesParents`, a patch that passes through a field that is missing, or that has none within, is refused.
const setField = (content: Content, { path, value }: FieldPatch, makesParents: boolean): Content | undefined => {
  const [name, inner, ...rest] = path
  if (inner === undefined) {
    const { [name]: _removed, ...others } = content
    return value === null ? others : { ...content, [name]: value }
  }
  const parent = child(content, name) ?? (makesParents ? {} : undefined)
  const next = parent && setField(parent, { path: [inner, ...rest], value }, makesParents)
  return next && { ...content, [name]: next }
}

const isAbsent = (content: Content, [name, inner, ...rest]: FieldPath): boolean => {
  if (inner === undefined) return !Object.hasOwn(content, name) || content[name] === null
  const parent = child(content, name)
  return parent !== undefined && isAbsent(parent, [inner, ...rest])
}

const child = (content: Content, name: string): Content | undefined => {
  const found = Object.hasOwn(content, name) ? content[name] : undefined
  return Predicate.isObject(found) ? (found as Content) : undefined
}

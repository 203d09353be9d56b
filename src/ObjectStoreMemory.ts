/**
 * The store in this process: for tests of services that lock, and for locks that need no other process.
 *
 * It behaves as an API server does (`test/contract` runs the same suite on both), except that its clock is this
 * machine's, exactly.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as LockError from "./LockError.ts"
import {
  type WatchEvent,
  type MetadataPatch,
  type WatchOptions,
  type Content,
  type FieldPatch,
  type ObjectSnapshot,
  ObjectStore,
  type Precondition
} from "./ObjectStore.ts"
import * as Resource from "./Resource.ts"

/** Which objects exist from the start, and whether the lock makes those that do not (it does by default). */
export interface Options {
  readonly objects?: Iterable<string> | undefined
  readonly createIfMissing?: boolean | undefined
}

/** The store, and what is not the lock's to do: deleting an object. */
export interface ObjectStoreMemory {
  readonly store: ObjectStore["Service"]
  readonly delete: (id: string) => Effect.Effect<void>
}

/** Makes a store of its own. Locks that shall exclude each other must share one. */
export const make = (options: Options = {}): Effect.Effect<ObjectStoreMemory> =>
  Effect.map(PubSub.unbounded<readonly [id: string, change: WatchEvent]>(), (changes): ObjectStoreMemory => {
    const objects = new Map<string, ObjectSnapshot>()
    let version = 0

    const describe = (id: string) => `${id} in memory`

    const put = (id: string, metadata: Omit<ObjectSnapshot, "resourceVersion">): ObjectSnapshot => {
      version++
      const written = { ...metadata, resourceVersion: String(version) }
      objects.set(id, written)
      PubSub.publishUnsafe(changes, [id, { _tag: "Changed", snapshot: written }])
      return written
    }

    const make = (id: string, annotations: Readonly<Record<string, string>>) =>
      put(id, { uid: `uid-${version + 1}`, annotations, labels: {}, content: {} })

    const find = Effect.fnUntraced(function* (id: string): Effect.fn.Return<ObjectSnapshot, LockError.StoreError> {
      yield* Effect.fromResult(Resource.checkName(id))
      return objects.get(id) ?? (yield* new LockError.NotFound({ id, object: describe(id), missing: "object" }))
    })

    for (const id of options.objects ?? []) make(id, {})

    return {
      delete: (id) =>
        Effect.sync(() => {
          if (!objects.delete(id)) return
          version++
          PubSub.publishUnsafe(changes, [id, { _tag: "Deleted" }])
        }),
      store: ObjectStore.of({
        createIfMissing: options.createIfMissing ?? true,
        sharedWithDex: false,
        includesContent: true,
        describe,
        now: Clock.clockWith((clock) => {
          const now = clock.currentTimeMillisUnsafe()
          return Effect.succeed({ earliest: now, latest: now })
        }),
        read: find,
        create: (id, annotations) =>
          Effect.map(Effect.fromResult(Resource.checkName(id)), () =>
            objects.has(id) ? Option.none() : Option.some(make(id, annotations))
          ),
        compareAndSwap: (id, write) =>
          Effect.map(find(id), (current) => {
            if (!holds(write.expect, current)) return Option.none()
            const annotations = apply(current.annotations, write.annotations)
            const labels = apply(current.labels, write.labels ?? {})
            const fields = "content" in write ? (write.content ?? []) : []
            return Option.some(
              fields.length === 0 && isSame(annotations, current.annotations) && isSame(labels, current.labels)
                ? current
                : put(id, { ...current, annotations, labels, content: fields.reduce(setField, current.content ?? {}) })
            )
          }),
        watch: (id, from) =>
          Stream.unwrap(
            Effect.gen(function* () {
              yield* Effect.fromResult(Resource.checkName(id))
              const subscription = yield* PubSub.subscribe(changes)
              const now = objects.get(id)
              const first: ReadonlyArray<WatchEvent> =
                now?.resourceVersion === from?.since
                  ? []
                  : now === undefined
                    ? [{ _tag: "Deleted" }]
                    : [{ _tag: "Changed", snapshot: now }]
              const all = Stream.fromIterable(first).pipe(
                Stream.concat(
                  Stream.fromSubscription(subscription).pipe(
                    Stream.filter(([changed]) => changed === id),
                    Stream.map(([, change]) => change)
                  )
                )
              )
              if (from?.label === undefined) return all
              // Nobody knows what the object was at another version: better a loss told too often than not at all.
              const mayHaveLost = from.since !== undefined && from.since !== now?.resourceVersion
              const wasSelected = mayHaveLost || isSelected(now, from.label)
              return Stream.mapAccum(all, () => wasSelected, selectBy(from.label))
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

const holds = (expect: Precondition, current: ObjectSnapshot): boolean =>
  "resourceVersion" in expect
    ? expect.resourceVersion === current.resourceVersion
    : Object.entries(expect.annotations).every(([key, wanted]) =>
        typeof wanted === "string" ? current.annotations[key] === wanted : key in current.annotations === wanted
      ) &&
      (expect.hasLabels === undefined || expect.hasLabels === Object.keys(current.labels).length > 0)

// As an API server filters: an object that loses the label is told once as deleted, and then no more.
const selectBy =
  (label: Label) =>
  (wasSelected: boolean, change: WatchEvent): readonly [boolean, ReadonlyArray<WatchEvent>] => {
    if (change._tag === "Changed" && isSelected(change.snapshot, label)) return [true, [change]]
    return [false, wasSelected ? [{ _tag: "Deleted" }] : []]
  }

const isSelected = (metadata: ObjectSnapshot | undefined, { key, value }: Label): boolean =>
  metadata?.labels[key] === value

type Label = NonNullable<WatchOptions["label"]>

const apply = (values: Readonly<Record<string, string>>, changes: MetadataPatch): Readonly<Record<string, string>> => {
  const next = { ...values }
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete next[key]
    else next[key] = value
  }
  return next
}

const setField = (content: Content, { path, value }: FieldPatch): Content => {
  const [name, inner, ...rest] = path
  const next = { ...content }
  if (inner !== undefined) next[name] = setField((content[name] ?? {}) as Content, { path: [inner, ...rest], value })
  else if (value === null) delete next[name]
  else next[name] = value
  return next
}

const isSame = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value)

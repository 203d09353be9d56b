/** Where a suite runs: a store, and what others do to its objects. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as AnyId from "../../src/AnyId.ts"
import { type FieldPatch, managedBy, ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"

/**
 * Creates and deletes objects as their owner does. `bytes` is the size of their content. `field` is one that objects of this kind can
 * have. `createIfMissing` is off in the store of a world.
 */
export class World extends Context.Service<
  World,
  {
    readonly make: (id: string, annotations?: Readonly<Record<string, string>>, bytes?: number) => Effect.Effect<void>
    readonly delete: (id: string) => Effect.Effect<void>
    readonly field: FieldPatch
  }
>()("test/World") {}

/** A field of ConfigMaps and Secrets, and of objects that may have any. */
export const data: FieldPatch = { path: ["data"], value: { key: "dmFs" } }

/** The world of a memory store. */
export const layerMemory: Layer.Layer<World | ObjectStore> = Layer.effectContext(
  Effect.map(ObjectStoreMemory.make({ createIfMissing: false }), (memory) =>
    Context.make(ObjectStore, memory.store).pipe(
      Context.add(
        World,
        World.of({
          make: (id, annotations = {}) =>
            Effect.gen(function* () {
              yield* memory.store.create(id, annotations)
              const { resourceVersion } = yield* memory.store.read(id)
              const labels = { [managedBy.key]: null }
              yield* memory.store.compareAndSwap(id, { expect: { resourceVersion }, annotations: {}, labels })
            }).pipe(Effect.orDie),
          delete: memory.delete,
          field: data
        })
      )
    )
  )
)

/** The same world with ids of any form: each id of the suite gets a form that no name has. */
export const withAnyIds = <E, R>(
  world: Layer.Layer<World | ObjectStore, E, R>
): Layer.Layer<World | ObjectStore, E, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const world = yield* World
      const store = AnyId.make(yield* ObjectStore)
      const formOf = (id: string) => `Test of ${id}/é`
      const nameOf = (id: string) => Result.getOrThrow(AnyId.nameOf(formOf(id)))
      return Context.make(
        ObjectStore,
        ObjectStore.of({
          ...store,
          describe: (id) => store.describe(formOf(id)),
          read: (id) => store.read(formOf(id)),
          create: (id, annotations) => store.create(formOf(id), annotations),
          compareAndSwap: (id, patch) => store.compareAndSwap(formOf(id), patch),
          dryRun: (id, patch) => store.dryRun(formOf(id), patch),
          remove: (id, version) => store.remove(formOf(id), version),
          watch: (id, options) => store.watch(formOf(id), options)
        })
      ).pipe(
        Context.add(
          World,
          World.of({
            make: (id, annotations, bytes) => world.make(nameOf(id), annotations, bytes),
            delete: (id) => world.delete(nameOf(id)),
            field: world.field
          })
        )
      )
    })
  ).pipe(Layer.provide(world))

let count = 0

/** An ID that no other test uses. */
export const freshId = (): string => `test-${process.pid}-${++count}`

/** Creates an object as its owner does, and returns its ID. */
export const anObject = (annotations?: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const id = freshId()
    yield* (yield* World).make(id, annotations)
    return id
  })

/** Sets and removes annotations as a stranger would: on any version of the object, and again if it has just changed. */
export const annotate = (id: string, annotations: Readonly<Record<string, string | null>>) =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    const { resourceVersion } = yield* store.read(id)
    return yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations })
  }).pipe(Effect.repeat({ until: Option.isSome }), Effect.asVoid)

/** The current annotations of an object. */
export const annotationsOf = (id: string) =>
  Effect.map(
    Effect.flatMap(ObjectStore, (store) => store.read(id)),
    ({ annotations }) => annotations
  )

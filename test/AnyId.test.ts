import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as AnyId from "../src/AnyId.ts"
import * as Lock from "../src/Lock.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { idKey, ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../src/ObjectStoreMemory.ts"
import * as Resource from "../src/Resource.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import * as TestLock from "../src/testing/TestLock.ts"
import { behaviour } from "./contract/lock.ts"
import * as World from "./utils/World.ts"
import * as WorldKubernetes from "./utils/WorldKubernetes.ts"

const nameOf = (id: string) => Result.getOrThrow(AnyId.nameOf(id))

describe("the name of an id of any form", () => {
  it("is the id itself if that is a valid name, and otherwise a readable beginning and a hash", () => {
    assert.strictEqual(nameOf("account-42"), "account-42")
    assert.match(nameOf("account/42"), /^account-42-[0-9a-f]{20}$/)
    assert.match(nameOf("Ada@Example.com"), /^ada-example-com-[0-9a-f]{20}$/)
    assert.match(nameOf("日本"), /^[0-9a-f]{20}$/)
    assert.notStrictEqual(nameOf("account/42"), nameOf("account_42"))
    // It must never change: other versions have to find the same object.
    assert.strictEqual(nameOf("account/42"), "account-42-cd2bec937493f707689a")
  })

  it.prop(
    "is always valid, stays as it is if mapped again, and differs for different ids",
    [Schema.String, Schema.String],
    ([a, b]) => {
      if (![a, b].every((id) => id !== "" && id.isWellFormed())) return
      assert.isTrue(Result.isSuccess(Resource.checkName(nameOf(a))))
      assert.strictEqual(nameOf(nameOf(a)), nameOf(a))
      if (a !== b) assert.notStrictEqual(nameOf(a), nameOf(b))
    }
  )

  it("is refused for an empty id, and for one that no annotation has room for", () => {
    assert.isTrue(Result.isFailure(AnyId.nameOf("")))
    assert.isTrue(Result.isFailure(AnyId.nameOf("/".repeat(AnyId.maxLength + 1))))
    assert.isTrue(Result.isSuccess(AnyId.nameOf("/".repeat(AnyId.maxLength))))
  })

  it("is refused for a surrogate that stands alone: two such ids would have the same hash", () => {
    assert.strictEqual(
      Result.getOrThrow(Result.flip(AnyId.nameOf("\ud800/"))).message,
      '"\\ud800/" is not a valid name of a Kubernetes object: none can be made from it, since it is not well-formed Unicode (a surrogate stands alone).'
    )
  })
})

const id = "account/42"

describe("a lock with an id of any form", () => {
  it.effect("is held, handed over and inspected by its id, which is kept on its object", () =>
    Effect.gen(function* () {
      const { store } = yield* ObjectStoreMemory.make()
      const aProcess = Effect.provideService(Lock.make(), ObjectStore, AnyId.make(store))
      const [us, them] = [yield* aProcess, yield* aProcess]
      const held = yield* us.scoped(id)
      assert.strictEqual(held.id, id)
      const waiting = yield* Effect.forkChild(Effect.flip(them.scoped(id, { renewEvery: false })))
      // A little longer than the default schedule: it must end whatever the first steps take.
      yield* TestClock.adjust("21 seconds")
      const timeout = yield* Fiber.join(waiting)
      assert.include(timeout.message, `lock "account/42" (${nameOf(id)} in memory)`)
      assert.deepInclude(yield* us.inspect(id), { _tag: "Held", id, holder: held.holderId })
      // An operator knows the object's name.
      assert.deepInclude(yield* us.inspect(nameOf(id)), { _tag: "Held", id })
      assert.propertyVal((yield* store.read(nameOf(id))).annotations, idKey, id)
    }).pipe(Effect.scoped)
  )

  it.effect("is named in one line, whatever is in the id", () =>
    Effect.gen(function* () {
      const { store } = yield* ObjectStoreMemory.make()
      const lock = yield* Effect.provideService(Lock.make(), ObjectStore, AnyId.make(store))
      yield* lock.scoped('a\n"b')
      const conflict = yield* Effect.flip(lock.tryScoped('a\n"b'))
      assert.match(conflict.message, /^Cannot acquire lock "a\\n\\"b" \(a-b-/)
    }).pipe(Effect.scoped)
  )

  it.effect("names the id in an error of the store", () =>
    Effect.gen(function* () {
      const { store } = yield* ObjectStoreMemory.make({ createIfMissing: false })
      const lock = yield* Effect.provideService(Lock.make(), ObjectStore, AnyId.make(store))
      const error = yield* Effect.flip(lock.inspect(id))
      assert.deepInclude(error, { _tag: "LockNotFound", id, object: `${nameOf(id)} in memory` })
    }).pipe(Effect.scoped)
  )

  it.live("has a ConfigMap on a server, and waiters hear of their turn", () =>
    Effect.gen(function* () {
      const another = Lock.layer().pipe(Layer.provide(AnyId.layer))
      let inside = 0
      const work = Effect.suspend(() => {
        assert.strictEqual(++inside, 1)
        return Effect.delay(
          Effect.sync(() => inside--),
          "20 millis"
        )
      }).pipe(Lock.withLock(id))
      const contenders = [1, 2, 3].map(() => Effect.provide(work, another, { local: true }))
      yield* Effect.all(contenders, { concurrency: "unbounded" })
      const server = yield* ApiServer.ApiServer
      const object = Option.getOrThrow(yield* server.get(Resource.configMap, "default", nameOf(id)))
      assert.deepStrictEqual({ ...object.metadata.annotations }, { [idKey]: id })
    }).pipe(Effect.provide(TestLock.layer()))
  )
})

const inMemory = World.withAnyIds(World.layerMemory)

layer(Layer.provideMerge(Lock.layer(), inMemory), { excludeTestServices: true })(
  "the lock with ids of any form, in memory",
  behaviour(LockPolicy.neutralAnnotation)
)

const onServer = World.withAnyIds(WorldKubernetes.layer({ resource: Resource.configMap, namespace: "default" })).pipe(
  Layer.provide(TestLock.layer())
)

layer(Layer.provideMerge(Lock.layer(), onServer), { excludeTestServices: true })(
  "the lock with ids of any form, on the embedded server",
  behaviour(LockPolicy.neutralAnnotation)
)

/**
 * The edges of the engine: an interruption at the grant, a layer that closes first, a version that is no number, a request that
 * hangs, a clock that is hours off.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockError from "../../../src/LockError.ts"
import { type ObjectSnapshot, ObjectStore } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import * as ObjectStoreKubernetes from "../../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../../src/Resource.ts"
import * as ApiServer from "../../../src/testing/ApiServer.ts"
import { id, mayNotWatch, setUp } from "../../utils/processes.ts"

const lasting = Schedule.spaced("100 millis")

const content = [{ path: ["done"], value: true }] as const

describe("a commit after a takeover fails", () => {
  for (const [what, written] of [
    ["if it writes nothing", []],
    ["if the successor wrote the same", content]
  ] as const) {
    it.effect(what, () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const us = yield* world.aProcess("us", { renewEvery: false })
        const them = yield* world.aProcess("them")
        const held = yield* (yield* us.wants()).held
        yield* TestClock.adjust("12 seconds")
        const theirs = yield* (yield* them.wants()).held
        if (written.length > 0) yield* theirs.commitAndRelease(written)
        assert.deepInclude(yield* Effect.flip(held.commitAndRelease(written)), { _tag: "LockLost" })
      }).pipe(Effect.scoped)
    )
  }
})

describe("an interruption at the moment of the grant", () => {
  it.effect("leaves no lock behind, at whatever operation the fiber yields", () =>
    Effect.gen(function* () {
      const left: Array<number> = []
      for (let operations = 1850; operations < 2050; operations++) {
        const world = yield* setUp
        const us = yield* world.aProcess("us")
        let done = 0
        const busy = Effect.whileLoop({ while: () => done++ < operations, body: () => Effect.void, step: () => {} })
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(Effect.andThen(busy, us.lock.scoped(id)), Effect.never))
        )
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 second")
        if (Object.keys(yield* world.annotations).length > 1) left.push(operations)
      }
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.scoped)
  )
})

describe("a lock that outlives its layer", () => {
  it.effect("is handed to the waiter when it is released", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const them = yield* world.aProcess("them")
      const ours = yield* us.wants()
      yield* ours.held
      const theirs = yield* them.wants()
      yield* TestClock.adjust("5 seconds")
      yield* Scope.close(us.scope, Exit.void)
      yield* ours.letGo
      yield* TestClock.adjust("500 millis")
      assert.isTrue(yield* theirs.has)
    }).pipe(Effect.scoped)
  )
})

/** A fiber that takes a lock in a child of its own and then ends: its layers close first, and then the child is interrupted. */
const outlives = <E, R>(layer: Layer.Layer<Lock.Lock, E, R>) =>
  Effect.gen(function* () {
    const isHeld = yield* Deferred.make<void>()
    const job = Effect.andThen(Deferred.succeed(isHeld, undefined), Effect.never).pipe(Lock.withLock("a"))
    yield* Effect.forkChild(job)
    yield* Deferred.await(isHeld)
  }).pipe(Effect.provide(layer, { local: true }), Effect.forkChild, Effect.flatMap(Fiber.join))

const onServer = Lock.layer().pipe(
  Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "default" })),
  Layer.provide(
    Layer.unwrap(Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig)))
  )
)

const annotationsOnServer = Effect.gen(function* () {
  const server = yield* ApiServer.ApiServer
  const object = yield* server.get(Resource.configMap, "default", "a")
  return { ...Option.getOrThrow(object).metadata.annotations }
})

describe.each(["it.effect", "it.live"] as const)("a lock whose layers close before its scope (%s)", (clock) => {
  const test = clock === "it.live" ? it.live : it.effect

  test("is free when its fiber has ended, in memory", () =>
    Effect.gen(function* () {
      const { store } = yield* ObjectStoreMemory.make()
      yield* outlives(Lock.layer().pipe(Layer.provide(Layer.succeed(ObjectStore, store))))
      assert.deepStrictEqual({ ...(yield* store.read("a")).annotations }, {})
    }))

  test("is free when its fiber has ended, on a server, without an attempt that fails", () =>
    Effect.gen(function* () {
      yield* outlives(onServer)
      assert.deepStrictEqual(yield* annotationsOnServer, {})
      const { patch } = yield* (yield* ApiServer.ApiServer).counts
      assert.strictEqual(patch, 1)
    }).pipe(Effect.provide(ApiServer.layer())))

  test("does not keep its fiber from ending if the server is gone as well", () =>
    Effect.gen(function* () {
      const warnings: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ message }) => void warnings.push(message))])
      yield* Effect.provide(outlives(Layer.provide(onServer, ApiServer.layer())), logger)
      assert.include(String(warnings), "Could not release lock")
    }))
})

describe("a withdrawal", () => {
  it.effect("does not wait for a clock that stands still once its layer closes", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      us.faults.push(["read", "None"], ["write", "Unanswered"])
      const ours = yield* us.wants()
      yield* Fiber.interrupt(ours.fiber)
      yield* Scope.close(us.scope, Exit.void)
      yield* world.isUntouched
    })
  )
})

describe("a resourceVersion that is not a number", () => {
  it.effect("is a typed error, and leaves no lock behind", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { sound } = yield* world.aProcess("them")
      const shown = (snapshot: ObjectSnapshot): ObjectSnapshot => ({
        ...snapshot,
        resourceVersion: `v${snapshot.resourceVersion}`
      })
      const lock = yield* Lock.make({ identity: "us" }).pipe(
        Effect.provideService(ObjectStore, {
          ...sound,
          read: (id) => Effect.map(sound.read(id), shown),
          compareAndSwap: (id, patch) =>
            Effect.map(
              sound.compareAndSwap(
                id,
                "resourceVersion" in patch.expect
                  ? { ...patch, expect: { resourceVersion: patch.expect.resourceVersion.slice(1) } }
                  : patch
              ),
              Option.map(shown)
            )
        })
      )
      const error = yield* Effect.flip(Effect.scoped(lock.scoped(id)))
      assert.strictEqual(error._tag, "LockRejected")
      yield* TestClock.adjust("1 second")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )
})

describe("a release", () => {
  it.effect("whose first request hangs is tried again", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us", { ttl: "1 hour" })
      const ours = yield* us.wants()
      yield* ours.held
      us.faults.push(["write", "Hangs"])
      yield* Effect.forkChild(ours.letGo, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("that meets an expired token is tried again", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us", { ttl: "1 hour" })
      const ours = yield* us.wants()
      yield* ours.held
      us.faults.push(["write", new LockError.Unauthorized({ object: id, detail: "it answered 401" })])
      yield* Effect.forkChild(ours.letGo, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )
})

describe("a watch that was forbidden", () => {
  it.effect("is tried again after minutes", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const them = yield* world.aProcess("them")
      yield* (yield* them.wants()).held
      us.watching.fault = mayNotWatch
      yield* us.wants({ waitSchedule: lasting })
      yield* TestClock.adjust("1 second")
      us.watching.fault = undefined
      yield* TestClock.adjust("6 minutes")
      us.requests.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.isAtMost(us.requests.length, 2)
    }).pipe(Effect.scoped)
  )
})

const server = ApiServer.layer({ namespaces: ["dex"] })
const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
)

layer(Layer.provideMerge(client, server), { excludeTestServices: true })("a machine whose clock is hours off", (it) => {
  for (const offset of ["2 hours", "-2 hours"] as const) {
    it.effect(`gets a lock at the first attempt (${offset})`, () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        yield* server.setClockOffset(offset)
        yield* server.put(Resource.refreshToken, "dex", { metadata: { name: "t" } })
        const store = ObjectStoreKubernetes.layer({ resource: Resource.refreshToken, namespace: "dex" })
        const held = Effect.scoped(Effect.flatMap(Lock.tryScoped("t"), ({ isValid }) => isValid))
        assert.isTrue(yield* Effect.provide(held, Lock.layer().pipe(Layer.provide(store)), { local: true }))
      })
    )
  }
})

import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Dex from "../../src/testing/dex/Dex.ts"

const key = "dexidp.com/resource-lock"

/** One object, all requests to it, and an effect to run before a PUT. */
const makeWorld = (annotations?: Readonly<Record<string, string>>) => {
  let version = 1
  let object: Dex.DexObject = { token: "secret", metadata: { name: "a", resourceVersion: "1", annotations } }
  const log: Array<string> = []
  const world = {
    log,
    beforePut: Effect.void as Effect.Effect<void, Dex.DexError>,
    annotations: () => object.metadata.annotations,
    object: () => object,
    write: (annotations: Readonly<Record<string, string>> | undefined) => {
      version++
      object = { ...object, metadata: { ...object.metadata, resourceVersion: String(version), annotations } }
    }
  }
  const client: Dex.DexClient = {
    get: () =>
      Effect.sync(() => {
        log.push("get")
        return object
      }),
    put: Effect.fnUntraced(function* (_id, next) {
      log.push("put")
      yield* world.beforePut
      if (next.metadata["resourceVersion"] !== object.metadata["resourceVersion"]) return yield* new Dex.DexConflict()
      object = next
      world.write(next.metadata.annotations)
    })
  }
  return { world, lock: () => Dex.make(client, "a"), client }
}

const at = (text: string) => TestClock.setTime(new Date(text).getTime())

describe("dex", () => {
  it.effect(
    "takes a free lock with GET and PUT for ten seconds, rounded down to whole seconds, and drops other annotations",
    () =>
      Effect.gen(function* () {
        yield* at("2026-11-24T10:00:00.900Z")
        const { lock, world } = makeWorld({ other: "1" })
        yield* lock().lock
        assert.deepStrictEqual(world.annotations(), { [key]: "2026-11-24T10:00:10Z" })
        assert.strictEqual(world.object()["token"], "secret")
        assert.deepStrictEqual(world.log, ["get", "put"])
      })
  )

  it.effect("releases the lock of any holder with GET and PUT", () =>
    Effect.gen(function* () {
      const { lock, world } = makeWorld()
      const first = lock()
      yield* first.lock
      world.write({ [key]: "2099-01-01T00:00:00Z" })
      yield* first.unlock
      assert.strictEqual(world.annotations(), undefined)
      assert.deepStrictEqual(world.log, ["get", "put", "get", "put"])
    })
  )

  it.effect("waits in steps of 100 ms, takes the lock when it is free, and releases it", () =>
    Effect.gen(function* () {
      const { lock, world } = makeWorld({ [key]: "2099-01-01T00:00:00Z" })
      const second = lock()
      const fiber = yield* Effect.forkChild(second.lock, { startImmediately: true })
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(world.log, ["get", "get", "get"])
      world.write(undefined)
      yield* TestClock.adjust("50 millis")
      yield* Fiber.join(fiber)
      assert.property(world.annotations(), key)
      yield* second.unlock
      assert.strictEqual(world.annotations(), undefined)
    })
  )

  it.effect("gives up after 201 attempts, 20.1 seconds", () =>
    Effect.gen(function* () {
      const { lock, world } = makeWorld({ [key]: "2099-01-01T00:00:00Z" })
      const fiber = yield* Effect.forkChild(Effect.flip(lock().lock), { startImmediately: true })
      yield* TestClock.adjust("20099 millis")
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).message, "timeout waiting for refresh token a lock")
      assert.strictEqual(world.log.length, 201)
    })
  )

  it.effect("treats a lock that expires now as held, and breaks it a moment later", () =>
    Effect.gen(function* () {
      yield* at("2026-11-24T10:00:00Z")
      const { lock, world } = makeWorld({ [key]: "2026-11-24T10:00:00Z" })
      const fiber = yield* Effect.forkChild(lock().lock, { startImmediately: true })
      assert.deepStrictEqual(world.log, ["get"])
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(world.annotations(), { [key]: "2026-11-24T10:00:10Z" })
    })
  )

  it.effect("never releases a lock that it broke after waiting (defect 3)", () =>
    Effect.gen(function* () {
      yield* at("2026-11-24T10:00:00Z")
      const { lock, world } = makeWorld({ [key]: "2026-11-24T10:00:00Z" })
      const second = lock()
      const fiber = yield* Effect.forkChild(second.lock, { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
      yield* second.unlock
      assert.property(world.annotations(), key)
    })
  )

  it.effect("releases a lock that it broke at once", () =>
    Effect.gen(function* () {
      const { lock, world } = makeWorld({ [key]: "1960-01-01T00:00:00Z" })
      const first = lock()
      yield* first.lock
      yield* first.unlock
      assert.strictEqual(world.annotations(), undefined)
    })
  )

  it.effect("waits after a lost race", () =>
    Effect.gen(function* () {
      const { lock, world } = makeWorld()
      world.beforePut = Effect.sync(() => {
        world.beforePut = Effect.void
        world.write({ [key]: "2099-01-01T00:00:00Z" })
      })
      const fiber = yield* Effect.forkChild(lock().lock, { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(world.log, ["get", "put", "get"])
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("fails at once on a malformed annotation, and on any other error", () =>
    Effect.gen(function* () {
      const malformed = makeWorld({ [key]: "soon" })
      assert.strictEqual((yield* Effect.flip(malformed.lock().lock))._tag, "DexError")
      assert.deepStrictEqual(malformed.world.annotations(), { [key]: "soon" })
      const broken = makeWorld()
      broken.world.beforePut = new Dex.DexError({ detail: "429" })
      assert.strictEqual((yield* Effect.flip(broken.lock().lock)).message, "429")
    })
  )

  it.effect("tries a release once, and ignores an error", () =>
    Effect.gen(function* () {
      const { lock, world } = makeWorld()
      const first = lock()
      yield* first.lock
      world.beforePut = Effect.sync(() => world.write(world.annotations()))
      yield* first.unlock
      assert.property(world.annotations(), key)
      assert.deepStrictEqual(world.log, ["get", "put", "get", "put"])
    })
  )

  it.effect("releases a lock that an interrupted acquisition had taken", () =>
    Effect.gen(function* () {
      const { client, world } = makeWorld()
      world.beforePut = Effect.sleep("1 second")
      const scope = yield* Scope.make()
      const fiber = yield* Effect.forkChild(Scope.provide(Dex.scoped(client, "a"), scope), { startImmediately: true })
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interruption)
      const held = world.annotations()
      yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.property(held, key)
      assert.strictEqual(world.annotations(), undefined)
      assert.strictEqual(yield* Clock.currentTimeMillis, 2000)
    })
  )
})

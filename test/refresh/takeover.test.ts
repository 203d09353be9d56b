/** A process that spent a value and cannot write its answer for longer than its lease lasts. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../../src/Held.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockError from "../../src/LockError.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as FaultyStore from "../utils/FaultyStore.ts"
import { generationOf, id, lifetime, pausable, setUp } from "./fixture.ts"

/** A process that has spent the first value, and is cut off from the API server from the upstream's answer on. */
const cutOff = Effect.gen(function* () {
  const world = yield* setUp
  const us = yield* pausable(world.sound)
  const one = yield* world.aProcess({}, us.store)
  yield* one.get(id)
  yield* TestClock.adjust(lifetime)
  world.upstream.after = us.pause
  const spender = yield* Effect.forkChild(one.get(id))
  yield* TestClock.adjust("1 second")
  world.upstream.after = Effect.void
  return { ...world, us, spender }
})

/**
 * A process that has spent the first value, and another one that wants the next: from the upstream's answer on no server is in reach. The
 * requests of the first end with `fault` then.
 */
const together = Effect.fnUntraced(function* (fault: FaultyStore.Fault = "Refused") {
  const world = yield* setUp
  const stores = {
    spender: FaultyStore.over({ ...world, store: world.sound }),
    other: FaultyStore.over({ ...world, store: world.sound })
  }
  const one = yield* world.aProcess({}, stores.spender.store)
  const two = yield* world.aProcess({}, stores.other.store)
  yield* one.get(id)
  yield* two.get(id)
  yield* TestClock.adjust(lifetime)
  const unavailable = new LockError.Unavailable({ object: id, verb: "watch", detail: "a fault of the test" })
  const beginFor = (name: keyof typeof stores) => {
    FaultyStore.failAll(stores[name], name === "spender" ? fault : "Refused")
    stores[name].watching.fault = unavailable
  }
  world.upstream.after = Effect.sync(() => {
    world.upstream.after = Effect.void
    beginFor("spender")
    beginFor("other")
  })
  const spender = yield* Effect.forkChild(one.get(id))
  yield* TestClock.adjust("1 second")
  const other = yield* Effect.forkChild(Effect.retry(two.get(id), { times: 10 }))
  const endFor = (name: keyof typeof stores) =>
    Effect.sync(() => {
      stores[name].faults.length = 0
      stores[name].watching.fault = undefined
    })
  return { ...world, outage: { beginFor, endFor }, other, spender }
})

describe("a process that spent a value, and is cut off for longer than its lease lasts", () => {
  it.effect("writes its answer once it is back, since others do not take the lock over at once", () =>
    Effect.gen(function* () {
      const { aProcess, spender, stored, upstream, us } = yield* cutOff
      const other = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("20 seconds")
      yield* us.resume
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(upstream.calls, 2)
      assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
      assert.strictEqual(generationOf(yield* Fiber.join(other)), 2)
      assert.strictEqual(yield* stored, 2)
    })
  )

  it.effect("keeps the others waiting once it is back, until the upstream has answered", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, sound, stored, upstream } = yield* setUp
      const us = yield* pausable(sound)
      const one = yield* aProcess({}, us.store)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      upstream.after = Effect.sleep("50 seconds")
      const spender = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      yield* us.pause
      const other = yield* Effect.forkChild(Effect.retry((yield* aProcess()).get(id), { times: 3 }))
      yield* TestClock.adjust("20 seconds")
      yield* us.resume
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(upstream.calls, 2)
      assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
      assert.strictEqual(generationOf(yield* Fiber.join(other)), 2)
      assert.strictEqual(yield* stored, 2)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )

  it.effect(
    "keeps the others waiting if the object was reported missing by mistake, until the upstream has answered",
    () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const us = FaultyStore.over({ ...world, store: world.sound })
        const one = yield* world.aProcess({}, us.store)
        yield* one.get(id)
        yield* TestClock.adjust(lifetime)
        world.upstream.after = Effect.sleep("50 seconds")
        const spender = yield* Effect.forkChild(one.get(id))
        yield* TestClock.adjust("1 second")
        us.faults.push(["write", new LockError.NotFound({ id, object: id, missing: "object" })])
        const other = yield* Effect.forkChild(Effect.retry((yield* world.aProcess()).get(id), { times: 3 }))
        yield* TestClock.adjust("50 seconds")
        assert.strictEqual(world.upstream.calls, 2)
        assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
        assert.strictEqual(generationOf(yield* Fiber.join(other)), 2)
        assert.strictEqual(yield* world.stored, 2)
        assert.deepStrictEqual(yield* world.annotations, {})
      })
  )

  it.effect("and never comes back delays the next process by the grace, and no more", () =>
    Effect.gen(function* () {
      const { aProcess, upstream, us } = yield* cutOff
      const other = yield* Effect.forkChild(Effect.flip((yield* aProcess()).get(id)))
      yield* TestClock.adjust("24 seconds")
      assert.strictEqual(upstream.calls, 2)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(upstream.calls, 3)
      assert.deepInclude(yield* Fiber.join(other), { _tag: "Refused", why: "revoked" })
      yield* us.resume
      yield* TestClock.adjust("1 second")
    })
  )
})

describe("the lock of a process that is cut off", () => {
  it.effect("is left to it by a process that had the lock last, and does not look first", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const last = yield* aProcess()
      yield* last.get(id)
      yield* TestClock.adjust(lifetime)
      const { resourceVersion } = yield* sound.read(id)
      const annotations = {
        "kubelock.dev/lock": "1970-01-01T00:01:05Z",
        "kubelock.dev/lock-holder": "dead/1@1970-01-01T00:01:05Z"
      }
      yield* sound.compareAndSwap(id, { expect: { resourceVersion }, annotations })
      yield* TestClock.adjust("1 minute")
      const caller = yield* Effect.forkChild(last.get(id))
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(upstream.calls, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 2)
    })
  )

  it.effect("is taken over at once if the grace is zero", () =>
    Effect.gen(function* () {
      const { aProcess, upstream, us } = yield* cutOff
      const other = yield* Effect.forkChild(Effect.flip((yield* aProcess({ takeoverGrace: 0 })).get(id)))
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(upstream.calls, 3)
      yield* Fiber.join(other)
      yield* us.resume
      yield* TestClock.adjust("1 second")
    })
  )

  it.effect("is left to it by processes that were cut off as well, for however long", () =>
    Effect.gen(function* () {
      const { other, outage, spender, stored, upstream } = yield* together()
      yield* TestClock.adjust("36 seconds")
      yield* outage.endFor("other")
      yield* TestClock.adjust("10 seconds")
      yield* outage.endFor("spender")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(upstream.calls, 2)
      assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
      assert.strictEqual(generationOf(yield* Fiber.join(other)), 2)
      assert.strictEqual(yield* stored, 2)
    })
  )

  for (const fault of [
    "Refused",
    new LockError.Unauthorized({ object: id, detail: "the server answered 401" }),
    new LockError.NotFound({ id, object: id, missing: "resource" })
  ] as const) {
    const name = typeof fault === "string" ? fault : fault._tag
    it.effect(`is not released in place of a write for which no API server was in reach (${name})`, () =>
      Effect.gen(function* () {
        const { annotations, other, outage, spender, stored, upstream } = yield* together(fault)
        yield* TestClock.adjust("32 seconds")
        yield* outage.endFor("spender")
        yield* outage.endFor("other")
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(upstream.calls, 2)
        assert.strictEqual(yield* stored, 2)
        assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
        assert.strictEqual(generationOf(yield* Fiber.join(other)), 2)
        assert.deepStrictEqual(yield* annotations, {})
      })
    )
  }

  it.effect("is not taken back from one that takes it over between a reading and the write that prolongs it", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = FaultyStore.over({ ...world, store: world.sound })
      let meanwhile: Effect.Effect<unknown> = Effect.void
      const store: typeof us.store = {
        ...us.store,
        compareAndSwap: (id, patch) =>
          Effect.andThen(
            Effect.suspend(() => meanwhile),
            us.store.compareAndSwap(id, patch)
          )
      }
      const one = yield* world.aProcess({}, store)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      world.upstream.after = Effect.sleep("50 seconds")
      const spender = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      FaultyStore.failAll(us, "Refused")
      yield* TestClock.adjust("20 seconds")
      const stranger = yield* Lock.make().pipe(Effect.provideService(ObjectStore, world.sound))
      const scope = yield* Scope.make()
      const taken: Array<Held> = []
      meanwhile = Effect.suspend(() => {
        meanwhile = Effect.void
        return Effect.map(Effect.orDie(Scope.provide(stranger.tryScoped(id), scope)), (held) => taken.push(held))
      })
      us.faults.length = 0
      yield* TestClock.adjust("3 seconds")
      assert.lengthOf(taken, 1)
      assert.include((yield* world.annotations)["kubelock.dev/lock-holder"], taken[0]!.holderId)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* taken[0]!.isValid)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
      assert.strictEqual(yield* world.stored, 2)
    })
  )

  it.effect("is kept with an answer that cannot be written, and given up once it is lost, for another one", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = FaultyStore.over({ ...world, store: world.sound })
      const one = yield* world.aProcess({}, us.store)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      world.upstream.after = Effect.sync(() => {
        world.upstream.after = Effect.void
        FaultyStore.failAll(us, "Refused")
      })
      const spender = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
      const stranger = yield* Lock.make().pipe(Effect.provideService(ObjectStore, world.sound))
      yield* Effect.scoped(stranger.tryScoped(id))
      us.faults.length = 0
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(yield* world.stored, 2)
      assert.deepStrictEqual(yield* world.annotations, {})
      yield* TestClock.adjust(lifetime)
      const next = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      assert.isDefined(next.pollUnsafe())
      assert.strictEqual(generationOf(yield* Fiber.join(next)), 3)
    })
  )

  it.effect("is left to it through an outage that begins while another process waits out the grace", () =>
    Effect.gen(function* () {
      const { other, outage, spender, upstream } = yield* together()
      yield* outage.endFor("other")
      yield* TestClock.adjust("12 seconds")
      outage.beginFor("other")
      yield* TestClock.adjust("20 seconds")
      yield* outage.endFor("other")
      yield* TestClock.adjust("2 seconds")
      yield* outage.endFor("spender")
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(upstream.calls, 2)
      assert.strictEqual(generationOf(yield* Fiber.join(spender)), 2)
      assert.strictEqual(generationOf(yield* Fiber.join(other)), 2)
    })
  )
})

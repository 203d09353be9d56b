/** Many locks of one process at once: a bounded number of requests is under way, and renewals are not left behind. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Slots from "../../../src/internal/engine/slots.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import { pass } from "../../utils/processes.ts"

const { atMost } = Slots

/** Two layers over a store that answers one request after the other, each after `server.millis`. */
const setUp = Effect.fnUntraced(function* (count: number) {
  const ids = Array.from({ length: count }, (_, index) => `lock-${index}`)
  const { store: memory } = yield* ObjectStoreMemory.make({ objects: ids, createIfMissing: false })
  const turn = yield* Semaphore.make(1)
  const server = { millis: 1 }
  let underWay = 0
  let most = 0
  const slow = <A, E>(request: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      most = Math.max(most, ++underWay)
      return turn.withPermit(Effect.andThen(Effect.sleep(server.millis), request))
    }).pipe(Effect.ensuring(Effect.sync(() => underWay--)))
  const store: ObjectStore["Service"] = {
    ...memory,
    read: (id, options) => slow(memory.read(id, options)),
    compareAndSwap: (id, patch) => slow(memory.compareAndSwap(id, patch))
  }
  const policy = LockPolicy.make({ ttl: "30 seconds", waitSchedule: LockPolicy.fixedPolls("1 second", 300) })
  const layer = Effect.provideService(Lock.make({ policy }), ObjectStore, store)
  return { ids, old: yield* layer, next: yield* layer, server, most: () => most }
})

/** Acquires all of them, each in a scope of its own. */
const acquireAll = (lock: Lock.Lock["Service"], ids: ReadonlyArray<string>, lost: Array<string>) =>
  Effect.forEach(ids, (id) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const held = { scope, isHeld: false }
      yield* lock.scoped(id).pipe(
        Effect.tap(({ lost: loss }) => {
          held.isHeld = true
          return Effect.forkIn(
            Effect.catch(loss, ({ message }) => Effect.sync(() => lost.push(message))),
            scope
          )
        }),
        Effect.catch(({ message }) => Effect.sync(() => lost.push(message))),
        Scope.provide(scope),
        Effect.forkIn(scope)
      )
      return held
    })
  )

describe("many locks at once", () => {
  it.effect("have a bounded number of requests under way", () =>
    Effect.gen(function* () {
      const { ids, most, old } = yield* setUp(100)
      const helds = yield* acquireAll(old, ids, [])
      yield* pass(500, 1)
      assert.isTrue(helds.every(({ isHeld }) => isHeld))
      assert.isAtMost(most(), atMost.others)
      yield* pass(11_000, 20)
      assert.isAtMost(most(), atMost.all)
      for (const { scope } of helds) yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass(500, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("are given away for a time that begins when the request has its slot", () =>
    Effect.gen(function* () {
      const { ids, old, server } = yield* setUp(60)
      const acquiring = yield* Effect.forkChild(
        Effect.forEach(ids, (id) => old.scoped(id), { concurrency: "unbounded" })
      )
      yield* pass(500, 1)
      const helds = yield* Fiber.join(acquiring)
      server.millis = 200
      const giving = yield* Effect.forkChild(
        Effect.forEach(helds, (held) => held.give("1 minute"), { concurrency: "unbounded" })
      )
      yield* pass(15_000, 100)
      const expiries = (yield* Fiber.join(giving)).map(({ expiry }) => Date.parse(expiry))
      const lastSlotAfter = (ids.length - atMost.all) * server.millis
      assert.isAtLeast(Math.max(...expiries) - Math.min(...expiries), lastSlotAfter - 1000)
    }).pipe(Effect.scoped)
  )

  it.effect("serve a fiber that the scheduler suspends at any moment", () =>
    Effect.gen(function* () {
      for (let operations = 4; operations <= 20; operations++) {
        const slots = yield* Slots.make
        const busy = Array.from({ length: atMost.others }, () => slots.enter("Acquisition"))
        const fiber = yield* slots
          .within("Release", Effect.succeed(operations))
          .pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, operations),
            Effect.forkChild({ startImmediately: true })
          )
        for (const entry of busy) entry.leave()
        for (let turn = 0; turn < 100; turn++) yield* Effect.yieldNow
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(operations))
      }
    })
  )

  it.effect(
    "go by their purpose: renewals that are running out, hand-overs, releases, acquisitions, each in their order",
    () =>
      Effect.gen(function* () {
        const slots = yield* Slots.make
        const busy = Array.from({ length: atMost.others }, () => slots.enter("Acquisition"))
        assert.isTrue(busy.every((entry) => entry.hasSlot()))
        const told: Array<string> = []
        const enter = (name: string, purpose: Slots.Purpose) => {
          const entry = slots.enter(purpose)
          if (entry.hasSlot()) told.push(`${name} at once`)
          else entry.listen(() => told.push(name))
          return entry
        }
        enter("acquisition", "Acquisition")
        const withdrawn = enter("withdrawn", "Release")
        enter("release 1", "Release")
        enter("release 2", "Release")
        enter("hand-over", "HandOver")
        // Some slots are for renewals alone.
        for (let reserved = atMost.others; reserved < atMost.all; reserved++) enter("renewal", { latest: 60_000 })
        enter("pressing", { latest: Slots.pressingMillis })
        enter("more pressing", { latest: Slots.pressingMillis / 2 })
        enter("later", { latest: 60_000 })
        withdrawn.leave()
        for (const entry of busy) entry.leave()
        const atOnce = Array.from({ length: atMost.all - atMost.others }, () => "renewal at once")
        assert.deepStrictEqual(told, [
          ...atOnce,
          "more pressing",
          "pressing",
          // The slots for renewals alone are free before the others.
          "later",
          "hand-over",
          "release 1",
          "release 2",
          "acquisition"
        ])
      })
  )

  it.effect("change hands, and none is lost", () =>
    Effect.gen(function* () {
      const { ids, next, old, server } = yield* setUp(100)
      const lost: Array<string> = []
      const helds = yield* acquireAll(old, ids, lost)
      yield* pass(1000, 20)
      const wanted = yield* acquireAll(next, ids, lost)
      yield* pass(2000, 20)
      server.millis = 20
      for (const { scope } of helds) yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass(10_000, 100)
      const hands = wanted.filter(({ isHeld }) => isHeld).length
      server.millis = 1
      for (const { scope } of wanted) yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass(20_000, 100)
      assert.strictEqual(hands, ids.length)
      assert.deepStrictEqual(lost, [])
    }).pipe(Effect.scoped)
  )
})

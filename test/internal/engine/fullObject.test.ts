/** Permits on an object whose annotations are full, or nearly so. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import { type AnnotationGuardedPatch, type ObjectSnapshot, ObjectStore } from "../../../src/ObjectStore.ts"
import * as PermitRecord from "../../../src/PermitRecord.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { logged } from "../../utils/logged.ts"
import { id, servicesOver, setUp, waitSchedule, wants } from "../../utils/lines.ts"

const key = LockPolicy.neutralAnnotation

/** As much as Kubernetes allows, in bytes. */
const mostBytes = 262_144

const full = new LockError.Rejected({ object: id, verb: "patch", status: 422, detail: "annotations are full" })

const sizeOf = (annotations: ObjectSnapshot["annotations"]): number =>
  Object.entries(annotations).reduce((sum, [name, value]) => sum + name.length + value.length, 0)

// One object whose annotations may have so many bytes, and processes.
const bounded = Effect.fnUntraced(function* (most: number) {
  const world = yield* setUp
  const { store } = world.memory
  const memory = {
    ...world.memory,
    store: ObjectStore.of({
      ...store,
      compareAndSwap: (which, write) =>
        Effect.flatMap(store.dryRun(which, write as AnnotationGuardedPatch), (run) =>
          run._tag === "Accepted" && sizeOf(run.snapshot.annotations) > most
            ? Effect.fail(full)
            : store.compareAndSwap(which, write)
        )
    })
  }
  const aProcess = Effect.fnUntraced(function* (identity: string) {
    const faulty = FaultyStore.over(memory)
    return { ...faulty, ...(yield* servicesOver(faulty.store, identity)) }
  })
  const annotations = Effect.map(world.read, ({ annotations }) => ({ ...annotations }))
  const write = (patch: Record<string, string | null>) =>
    Effect.andThen(
      Effect.flatMap(world.read, ({ resourceVersion }) =>
        store.compareAndSwap(id, { expect: { resourceVersion }, annotations: patch })
      ),
      TestClock.adjust(1)
    )
  // An annotation of somebody else that leaves no room.
  const fill = Effect.gen(function* () {
    const left = most - sizeOf({ ...(yield* annotations), "example.com/big": "" })
    yield* write({ "example.com/big": "x".repeat(left) })
  })
  return { ...world, aProcess, annotations, write, fill }
})

const leaseOf = (name: string, process: string, place: string): Readonly<Record<string, string>> =>
  PermitRecord.toAnnotations(key, PermitRecord.semaphore(1), {
    holderId: LockQueue.holderId(name, process, 1),
    permits: 1,
    place,
    expiry: "2999-01-01T00:00:00Z"
  })

// Holders whose leases last for long, and whose names are as long as they can be.
const holdersOf = (count: number, limit: number): Readonly<Record<string, string>> =>
  Object.assign(
    { [key]: `semaphore of ${limit}` },
    ...Array.from({ length: count }, (_, index) => leaseOf("pod-".repeat(30), String(index).padStart(12, "0"), "1"))
  )

// What so many contenders need whose names have one letter, and nothing else.
const roomFor = (contenders: number, limit: number): number =>
  sizeOf({ "example.com/other": "o", [key]: `semaphore of ${limit}` }) +
  contenders * sizeOf(leaseOf("a", "0".repeat(12), "12"))

describe("a semaphore with very many holders", () => {
  const limit = 5000

  it.effect("has room for 1300 of them on one object, with the longest names, beside what else is there", () =>
    Effect.gen(function* () {
      const { aProcess, annotations, isUntouched, write } = yield* bounded(mostBytes)
      const holders = holdersOf(1300, limit)
      yield* write(holders)
      const before = yield* annotations
      const us = yield* aProcess("x".repeat(200))
      const taken = yield* wants(us.semaphore.take(id, { limit }))
      assert.isTrue(taken.has())
      assert.lengthOf((yield* us.semaphore.inspect(id)).holders, 1301)
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(yield* (yield* Fiber.join(taken.fiber)).isValid)
      yield* taken.letGo
      assert.deepStrictEqual(yield* annotations, before)
      yield* write(Object.fromEntries(Object.keys(holders).map((name) => [name, null])))
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("turns another one away at once if no more fit, and changes nothing", () =>
    Effect.gen(function* () {
      const { aProcess, annotations, fill, write } = yield* bounded(mostBytes)
      const holders = holdersOf(1400, limit)
      yield* write(holders)
      yield* fill
      const before = yield* annotations
      const us = yield* aProcess("us")
      const take = us.semaphore.take(id, { limit, waitSchedule })
      assert.strictEqual(yield* Effect.flip(Effect.scoped(take)), full)
      assert.strictEqual(yield* Effect.flip(Effect.scoped(us.semaphore.takeIfAvailable(id, { limit }))), full)
      assert.deepStrictEqual(us.requests, ["read", "write", "read", "write"])
      assert.deepStrictEqual(yield* annotations, before)
      // One of them leaves.
      yield* write(PermitRecord.removal(key, LockQueue.holderId("pod", "000000000007", 1)))
      const taken = yield* wants(take)
      assert.isTrue(taken.has())
      yield* taken.letGo
    }).pipe(Effect.scoped)
  )
})

describe("contenders for permits that find no room for a place", () => {
  it.effect("wait without one, say so once each, and get in as others leave", () =>
    Effect.gen(function* () {
      const limit = 2
      const { aProcess, isUntouched } = yield* bounded(roomFor(4, limit))
      const processes = yield* Effect.forEach(["a", "b", "c", "d", "e", "f", "g", "h"], aProcess)
      let [inside, most] = [0, 0]
      const lines = yield* logged(
        Effect.gen(function* () {
          const fibers = yield* Effect.forEach(processes, ({ semaphore }) =>
            Effect.gen(function* () {
              yield* semaphore.take(id, { limit, waitSchedule })
              most = Math.max(most, ++inside)
              yield* Effect.sleep("2 seconds")
              inside--
            }).pipe(Effect.scoped, Effect.forkChild)
          )
          for (let step = 0; step < 40; step++) yield* TestClock.adjust("500 millis")
          yield* Effect.forEach(fibers, Fiber.join)
        })
      )
      assert.strictEqual(most, limit)
      assert.lengthOf(lines, 4)
      for (const line of lines)
        assert.match(line, /^Warn Waits for .* without a place in the queue\. .*annotations are full/)
      for (const { requests } of processes) assert.isAtMost(requests.length, 30)
      yield* isUntouched
    }).pipe(Effect.scoped)
  )
})

describe("an object that has no room for turns", () => {
  it.effect("keeps no waiter from hearing that it was let in", () =>
    Effect.gen(function* () {
      const limit = 1
      const { aProcess, annotations } = yield* bounded(roomFor(6, limit))
      const holder = yield* wants((yield* aProcess("x")).semaphore.take(id, { limit }))
      const waiters = yield* Effect.forEach(["a", "b", "c", "d"], (name) =>
        Effect.flatMap(aProcess(name), ({ semaphore }) => wants(semaphore.take(id, { limit, waitSchedule })))
      )
      for (const [index, one] of [holder, ...waiters].entries()) {
        assert.isTrue(one.has(), `waiter ${index}`)
        yield* one.letGo
        yield* TestClock.adjust(100)
        assert.notInclude(Object.keys(yield* annotations).join(), "-turn-")
      }
    }).pipe(Effect.scoped)
  )
})

describe("an object that others fill up", () => {
  it.effect("costs holders and waiters nothing", () =>
    Effect.gen(function* () {
      const { aProcess, fill, isUntouched, write } = yield* bounded(mostBytes)
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const holder = yield* wants(us.semaphore.take(id, { limit: 1 }))
      const waiter = yield* wants(them.semaphore.take(id, { limit: 1, waitSchedule }))
      yield* fill
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(yield* (yield* Fiber.join(holder.fiber)).isValid)
      // It wants the permit again.
      const again = yield* wants(us.semaphore.take(id, { limit: 1, waitSchedule }))
      for (const one of [holder, waiter, again]) {
        assert.isTrue(one.has())
        yield* one.letGo
        yield* TestClock.adjust(100)
      }
      yield* write({ "example.com/big": null })
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("leaves a reader that would upgrade a reader", () =>
    Effect.gen(function* () {
      const { aProcess, fill } = yield* bounded(mostBytes)
      const { shared } = yield* aProcess("us")
      const reader = yield* wants(shared.shared(id))
      const { isValid, tryUpgrade } = yield* Fiber.join(reader.fiber)
      yield* fill
      assert.strictEqual(yield* Effect.flip(tryUpgrade), full)
      const beside = yield* wants((yield* aProcess("me")).shared.tryShared(id))
      assert.isFalse(beside.has(), "there is no room for it")
      assert.isTrue(yield* isValid)
      yield* reader.letGo
      const next = yield* wants((yield* aProcess("me")).shared.tryShared(id))
      assert.isTrue(next.has())
      yield* next.letGo
    }).pipe(Effect.scoped)
  )
})

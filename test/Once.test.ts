import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../src/Lock.ts"
import * as LockError from "../src/LockError.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockRecord from "../src/LockRecord.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../src/ObjectStoreMemory.ts"
import * as Once from "../src/Once.ts"
import * as FaultyStore from "./utils/FaultyStore.ts"
import * as SkewedClock from "./utils/SkewedClock.ts"

const id = "report"
const key = Once.lastRunKey(LockPolicy.neutralAnnotation)

const aReplicaOn = (store: ObjectStore["Service"], policy?: LockPolicy.LockPolicy) =>
  Effect.map(Lock.make({ policy }), (lock) => Effect.provideService(Lock.Lock, lock)).pipe(
    Effect.provideService(ObjectStore, store)
  )

/** Replicas on one store, and what its object records. */
const setUp = Effect.gen(function* () {
  const memory = yield* ObjectStoreMemory.make({ objects: [id] })
  return {
    memory,
    aReplica: aReplicaOn(memory.store),
    aReplicaWithDexKey: aReplicaOn(memory.store, LockPolicy.dex),
    record: Effect.map(memory.store.read(id), ({ annotations }) => annotations[key]),
    annotations: Effect.map(memory.store.read(id), ({ annotations }) => ({ ...annotations })),
    setRecord: (value: string | null) =>
      Effect.flatMap(memory.store.read(id), ({ resourceVersion }) =>
        memory.store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { [key]: value } })
      )
  }
})

/** Work of so long a time that counts its runs by when they are due. */
const counting =
  (runs: Array<string>, lasts: Duration.Input = "0 seconds") =>
  (run: Once.Run) =>
    Effect.andThen(
      Effect.sync(() => runs.push(DateTime.formatIso(run.due).slice(0, 19))),
      Effect.sleep(lasts)
    )

const silent = Logger.layer([])
const noon = "1970-01-01T12:00:00Z"

describe("a run that is due", () => {
  it.effect("is done by one of several replicas, and recorded in the write that releases the lock", () =>
    Effect.gen(function* () {
      const { annotations, aReplica } = yield* setUp
      const runs: Array<string> = []
      const replicas = yield* Effect.forEach([1, 2, 3], () => aReplica)
      const running = yield* Effect.forkChild(
        Effect.forEach(replicas, (replica) => replica(Once.run(id, noon)(counting(runs, "1 hour"))), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("1 hour")
      yield* TestClock.adjust("10 seconds")
      const results = yield* Fiber.join(running)
      assert.lengthOf(results.filter(Option.isSome), 1)
      assert.deepStrictEqual(runs, ["1970-01-01T12:00:00"])
      assert.deepStrictEqual(yield* annotations, { [key]: noon })
    })
  )

  it.effect("is not done if a later one was completed, and knows the last one otherwise", () =>
    Effect.gen(function* () {
      const { aReplica, setRecord } = yield* setUp
      const replica = yield* aReplica
      yield* setRecord("1970-01-02T00:00:00Z")
      assert.isTrue(Option.isNone(yield* replica(Once.run(id, noon)(Effect.void))))
      yield* setRecord("1970-01-01T11:00:00Z")
      const previous = yield* replica(Once.run(id, noon)((run) => Effect.succeed(run.previous)))
      assert.deepStrictEqual(
        Option.map(Option.flatten(previous), DateTime.toEpochMillis),
        Option.some(Date.UTC(1970, 0, 1, 11))
      )
    })
  )

  it.effect("is named by the whole second in which it is due", () =>
    Effect.gen(function* () {
      const { aReplica, record } = yield* setUp
      const replica = yield* aReplica
      const runs: Array<string> = []
      for (const due of ["1970-01-01T12:00:00.900Z", "1970-01-01T12:00:00.100Z", noon]) {
        yield* replica(Once.run(id, due)(counting(runs)))
      }
      assert.deepStrictEqual(runs, ["1970-01-01T12:00:00"])
      assert.strictEqual(yield* record, noon)
    })
  )

  it.effect("is not done again while a roll-out changes the key, and the later of two records counts", () =>
    Effect.gen(function* () {
      const { annotations, aReplica, aReplicaWithDexKey } = yield* setUp
      const [before, after] = [yield* aReplicaWithDexKey, yield* aReplica]
      const runs: Array<string> = []
      for (const hour of ["12", "13", "14"]) {
        for (const replica of hour === "13" ? [after, before] : [before, after]) {
          yield* replica(Once.run(id, `1970-01-01T${hour}:00:00Z`)(counting(runs)))
        }
      }
      assert.deepStrictEqual(runs, ["1970-01-01T12:00:00", "1970-01-01T13:00:00", "1970-01-01T14:00:00"])
      assert.deepStrictEqual(yield* annotations, {
        [key]: "1970-01-01T13:00:00Z",
        [Once.lastRunKey(LockPolicy.dexAnnotation)]: "1970-01-01T14:00:00Z"
      })
    })
  )

  it.effect("is done by the next replica if the work fails, whose own replica gets the failure", () =>
    Effect.gen(function* () {
      const { aReplica, record } = yield* setUp
      const [first, second] = [yield* aReplica, yield* aReplica]
      const runs: Array<string> = []
      const failing = yield* Effect.forkChild(
        Effect.flip(first(Once.run(id, noon)(Effect.andThen(Effect.sleep("1 minute"), Effect.fail("broken")))))
      )
      yield* TestClock.adjust("1 second")
      const other = yield* Effect.forkChild(second(Once.run(id, noon)(counting(runs))))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(failing), "broken")
      assert.isTrue(Option.isSome(yield* Fiber.join(other)))
      assert.lengthOf(runs, 1)
      assert.strictEqual(yield* record, noon)
    })
  )

  it.effect("is done by another replica if the one that works on it is gone, which then cannot record it", () =>
    Effect.gen(function* () {
      const { aReplica, memory, record } = yield* setUp
      const runs: Array<string> = []
      // A replica whose requests fail from some moment on, and which does not notice: its work cannot be interrupted.
      const faulty = FaultyStore.over(memory)
      const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, faulty.store))
      const stalled = yield* Once.run(
        id,
        noon
      )(Effect.uninterruptible(Effect.sleep("1 minute"))).pipe(
        Effect.provideService(Lock.Lock, lock),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      faulty.faults.push(...Array.from({ length: 30 }, () => ["write", "Refused"] as const))
      const replica = yield* aReplica
      const other = yield* Effect.forkChild(replica(Once.run(id, noon)(counting(runs))))
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(Option.isSome(yield* Fiber.join(other)))
      assert.lengthOf(runs, 1)
      faulty.faults.length = 0
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(stalled))._tag, "LockLost")
      assert.strictEqual(yield* record, noon)
    }).pipe(Effect.provide(silent))
  )

  it.effect("is interrupted if its lock is lost, before another replica does it", () =>
    Effect.gen(function* () {
      const { aReplica, memory } = yield* setUp
      const happened: Array<string> = []
      const noted = (what: string) => Effect.sync(() => happened.push(what))
      const faulty = FaultyStore.over(memory)
      const cutOff = yield* aReplicaOn(faulty.store)
      const first = yield* Effect.onInterrupt(Effect.never, () => noted("the first has stopped")).pipe(
        (work) => cutOff(Once.run(id, noon)(work)),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      FaultyStore.failAll(faulty, "Refused")
      const replica = yield* aReplica
      const other = yield* Effect.forkChild(replica(Once.run(id, noon)(noted("the second works"))))
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(Option.isSome(yield* Fiber.join(other)))
      assert.deepStrictEqual(happened, ["the first has stopped", "the second works"])
      assert.strictEqual((yield* Fiber.join(first))._tag, "LockLost")
    }).pipe(Effect.provide(silent))
  )

  it.effect("ends with its replica while the work lasts, and is done by another one", () =>
    Effect.gen(function* () {
      const { aReplica, record } = yield* setUp
      const [first, second] = [yield* aReplica, yield* aReplica]
      const running = yield* Effect.forkChild(first(Once.run(id, noon)(Effect.sleep("1 hour"))))
      yield* TestClock.adjust("1 second")
      const ending = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const hasEnded = ending.pollUnsafe() !== undefined
      yield* TestClock.adjust("1 hour")
      assert.isTrue(hasEnded)
      assert.isUndefined(yield* record)
      assert.isTrue(Option.isSome(yield* second(Once.run(id, noon)(Effect.void))))
    })
  )

  it.effect("is recorded once its work is done, although the replica is interrupted at that moment", () =>
    Effect.gen(function* () {
      const { memory, record } = yield* setUp
      const slow: typeof memory.store = {
        ...memory.store,
        compareAndSwap: (id, patch) => Effect.delay(memory.store.compareAndSwap(id, patch), "1 second")
      }
      const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, slow))
      const running = yield* Effect.forkChild(Effect.provideService(Once.run(id, noon)(Effect.void), Lock.Lock, lock))
      yield* TestClock.adjust("1500 millis")
      yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* record, noon)
    })
  )

  it.effect("is recorded also if the answer to the record gets lost", () =>
    Effect.gen(function* () {
      const { memory, record } = yield* setUp
      const faulty = FaultyStore.over(memory)
      const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, faulty.store))
      const work = Effect.sync(() => void faulty.faults.push(["write", "Lost"]))
      const running = yield* Once.run(id, noon)(work).pipe(Effect.provideService(Lock.Lock, lock), Effect.forkChild)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isSome(yield* Fiber.join(running)))
      assert.strictEqual(yield* record, noon)
    })
  )

  it.effect("is an error if the record is no time", () =>
    Effect.gen(function* () {
      const { aReplica, setRecord } = yield* setUp
      const replica = yield* aReplica
      yield* setRecord("yesterday")
      const error = yield* Effect.flip(replica(Once.run(id, noon)(Effect.void)))
      assert.strictEqual(error._tag, "OnceUnreadable")
      assert.include(error.message, `${key} is not an RFC 3339 time: "yesterday"`)
    })
  )
})

const hourly = Cron.parseUnsafe("0 * * * *", "UTC")
const nightly = Cron.parseUnsafe("0 2 * * *", "UTC")

describe("a schedule", () => {
  const start = ({ aReplica }: Effect.Success<typeof setUp>, runs: Array<string>, lasts?: Duration.Input) =>
    Effect.flatMap(aReplica, (replica) => Effect.forkChild(replica(Once.schedule(id, nightly)(counting(runs, lasts)))))

  it.effect("does nothing at its first start, and then one run a night, whichever replica", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* TestClock.setTime(Date.UTC(1970, 0, 5, 10))
      const runs: Array<string> = []
      for (let replica = 0; replica < 3; replica++) yield* start(world, runs, "1 minute")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(runs, [])
      assert.strictEqual(yield* world.record, "1970-01-05T02:00:00Z")
      yield* TestClock.adjust("15 hours")
      assert.deepStrictEqual(runs, [])
      yield* TestClock.adjust("2 days")
      assert.deepStrictEqual(runs, ["1970-01-06T02:00:00", "1970-01-07T02:00:00"])
    }).pipe(Effect.scoped)
  )

  it.effect("does the latest run that was missed while no replica was up, and not those before", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* world.setRecord("1970-01-02T02:00:00Z")
      yield* TestClock.setTime(Date.UTC(1970, 0, 5, 10))
      const runs: Array<string> = []
      yield* start(world, runs)
      yield* start(world, runs)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(runs, ["1970-01-05T02:00:00"])
    }).pipe(Effect.scoped)
  )

  it.effect("leaves out the runs that a long run outlasts, but for the latest", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* world.setRecord("1970-01-05T02:00:00Z")
      yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1))
      const runs: Array<string> = []
      for (let replica = 0; replica < 2; replica++) {
        const running = (yield* world.aReplica)(Once.schedule(id, hourly)(counting(runs, "150 minutes")))
        yield* Effect.forkChild(running)
      }
      yield* TestClock.adjust("4 hours")
      assert.deepStrictEqual(runs, ["1970-01-06T01:00:00", "1970-01-06T03:00:00"])
    }).pipe(Effect.scoped)
  )

  it.effect("tries a run again if the work fails, in one replica after the other, until it is done", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* world.setRecord("1970-01-05T02:00:00Z")
      yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1))
      const tried: Array<string> = []
      for (const name of ["a", "b"]) {
        const replica = yield* world.aReplica
        const work = Effect.suspend(() => {
          tried.push(name)
          return tried.length < 5 ? Effect.fail("broken") : Effect.void
        })
        yield* Effect.forkChild(replica(Once.schedule(id, nightly)(work)))
      }
      yield* TestClock.adjust("2 hours")
      assert.lengthOf(tried, 5)
      assert.sameMembers([...new Set(tried)], ["a", "b"])
      assert.strictEqual(yield* world.record, "1970-01-06T02:00:00Z")
    }).pipe(Effect.scoped, Effect.provide(silent))
  )

  it.effect("gives up until the next night if its retries end", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* world.setRecord("1970-01-05T02:00:00Z")
      yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1))
      let tried = 0
      const replica = yield* world.aReplica
      const work = Effect.suspend(() => {
        tried++
        return Effect.fail("broken")
      })
      yield* Effect.forkChild(replica(Once.schedule(id, nightly, { retry: Schedule.recurs(2) })(work)))
      yield* TestClock.adjust("10 hours")
      assert.strictEqual(tried, 3)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(tried, 6)
    }).pipe(Effect.scoped, Effect.provide(silent))
  )

  /** Replicas whose clocks are off by so many minutes, on an API server whose clock is right. A run is due in three minutes. */
  const startSkewed = Effect.fnUntraced(function* (minutes: ReadonlyArray<number>, runs: Array<string>) {
    const { memory, setRecord } = yield* setUp
    yield* setRecord("1970-01-05T02:00:00Z")
    yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1, 57))
    const now = Effect.provideService(memory.store.now, Clock.Clock, yield* Clock.Clock)
    for (const off of minutes) {
      const replica = yield* aReplicaOn({ ...memory.store, now })
      const skewed = yield* SkewedClock.make
      skewed.skew = off * 60_000
      const running = replica(Once.schedule(id, nightly)(counting(runs)))
      yield* Effect.forkChild(Effect.provideService(running, Clock.Clock, skewed.clock))
    }
  })

  it.effect("runs once although the clocks of the replicas differ by minutes", () =>
    Effect.gen(function* () {
      const runs: Array<string> = []
      yield* startSkewed([5, -5, 0], runs)
      yield* TestClock.adjust("3 hours")
      assert.deepStrictEqual(runs, ["1970-01-06T02:00:00"])
    }).pipe(Effect.scoped)
  )

  for (const off of [5, -5]) {
    it.effect(`begins a run when it is due on the API server's clock, with a clock that is off by ${off} minutes`, () =>
      Effect.gen(function* () {
        const runs: Array<string> = []
        yield* startSkewed([off], runs)
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(runs, [])
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(runs, ["1970-01-06T02:00:00"])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("begins no run before it is due for certain, as far as the API server's clock is known", () =>
    Effect.gen(function* () {
      const { memory, setRecord } = yield* setUp
      yield* setRecord("1970-01-05T02:00:00Z")
      yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1))
      const now = Effect.map(memory.store.now, ({ earliest, latest }) => ({
        earliest: earliest - 1000,
        latest: latest + 1000
      }))
      const runs: Array<string> = []
      const replica = yield* aReplicaOn({ ...memory.store, now })
      yield* Effect.forkChild(replica(Once.schedule(id, nightly)(counting(runs))))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(runs, [])
      yield* TestClock.adjust("1100 millis")
      assert.deepStrictEqual(runs, ["1970-01-06T02:00:00"])
    }).pipe(Effect.scoped)
  )

  it.effect("does a run again whose lock was lost", () =>
    Effect.gen(function* () {
      const { aReplica, memory, record, setRecord } = yield* setUp
      yield* setRecord("1970-01-05T02:00:00Z")
      yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1))
      const removal = LockRecord.removal(LockPolicy.neutralAnnotation)
      const removeLock = Effect.flatMap(memory.store.read(id), ({ resourceVersion }) =>
        memory.store.compareAndSwap(id, { expect: { resourceVersion }, annotations: removal })
      )
      let begun = 0
      const work = Effect.suspend(() => (++begun === 1 ? Effect.andThen(removeLock, Effect.never) : Effect.void))
      const replica = yield* aReplica
      yield* Effect.forkChild(replica(Once.schedule(id, nightly)(work)))
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(begun, 2)
      assert.strictEqual(yield* record, "1970-01-06T02:00:00Z")
    }).pipe(Effect.scoped, Effect.provide(silent))
  )

  for (const [trouble, fault] of [
    ["the API server was out of reach", "Refused"],
    ["its credentials were not accepted", new LockError.Unauthorized({ object: id, detail: "401" })],
    ["another program had the lock for longer than it waits", undefined]
  ] as const) {
    it.effect(`does a run later if ${trouble}`, () =>
      Effect.gen(function* () {
        const { aReplica, memory, record, setRecord } = yield* setUp
        yield* setRecord("1970-01-05T02:00:00Z")
        yield* TestClock.setTime(Date.UTC(1970, 0, 6, 1))
        const faulty = FaultyStore.over(memory)
        const replica = yield* aReplicaOn(faulty.store)
        const waitSchedule = LockPolicy.fixedPolls("1 second", 3)
        yield* Effect.forkChild(replica(Once.schedule(id, nightly, { waitSchedule })(Effect.void)))
        yield* TestClock.adjust("59 minutes")
        const other = yield* aReplica
        if (fault === undefined) {
          yield* Effect.forkChild(other(Effect.scoped(Effect.andThen(Lock.scoped(id), Effect.sleep("10 minutes")))))
        } else FaultyStore.failAll(faulty, fault)
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(yield* record, "1970-01-05T02:00:00Z")
        faulty.faults.length = 0
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(yield* record, "1970-01-06T02:00:00Z")
      }).pipe(Effect.scoped, Effect.provide(silent))
    )
  }

  it.effect("fails with what no repetition mends", () =>
    Effect.gen(function* () {
      const { memory } = yield* setUp
      const faulty = FaultyStore.over(memory)
      const forbidden = new LockError.Forbidden({ object: id, verb: "get", status: 403, detail: "no" })
      faulty.faults.push(["read", forbidden])
      const lock = yield* Lock.make().pipe(Effect.provideService(ObjectStore, faulty.store))
      const scheduled = Effect.provideService(Once.schedule(id, nightly)(Effect.void), Lock.Lock, lock)
      const error = yield* Effect.flip(scheduled)
      assert.strictEqual(error, forbidden)
    }).pipe(Effect.scoped)
  )
})

/** Beside Dex, which knows no queue and polls ten times a second. Dex gets the lock now and then. kubelock leaves its locks alone. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { yieldFor as glance, yieldToDexFor as visit } from "../../../src/LockProtocol.ts"
import { questionsAtOnce } from "../../../src/internal/engine/timeQuestions.ts"
import * as LockError from "../../../src/LockError.ts"
import { dexGap, dexMemory } from "../../../src/internal/protocol/fairness.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import type { ObjectStore } from "../../../src/ObjectStore.ts"
import {
  busy,
  dexLockUntil,
  id,
  key,
  mayNotWatch,
  pass,
  type Process,
  requestsPerRound,
  setUp
} from "../../utils/processes.ts"

const soon = TestClock.adjust("1 millis")

/** A waiting Dex: it reads every 100 ms, takes a free lock by replacing all annotations, and removes them all. */
const dex = (world: Effect.Success<typeof setUp>, hold: number) =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    const replace = Effect.fnUntraced(function* (annotations: Record<string, string>) {
      const before = yield* world.annotations
      yield* world.annotate({ ...Object.fromEntries(Object.keys(before).map((name) => [name, null])), ...annotations })
    })
    for (;;) {
      const now = yield* Clock.currentTimeMillis
      const lease = LockRecord.leaseOf(LockRecord.fromAnnotations(key, yield* world.annotations))
      if (lease === undefined || now > lease.expiresAt) break
      yield* Effect.sleep("100 millis")
    }
    const waited = (yield* Clock.currentTimeMillis) - began
    yield* replace(dexLockUntil(Math.ceil(((yield* Clock.currentTimeMillis) + 10_000) / 1000)))
    yield* Effect.sleep(hold)
    const mine = yield* world.annotations
    yield* replace({})
    return { waited, mine: Object.keys(mine), freed: yield* Clock.currentTimeMillis }
  })

type Read = ObjectStore["Service"]["read"]

/**
 * The store of a process to which the server's time can be so much `earlier` or `later` than it is (milliseconds). `answering` answers its
 * questions for the time.
 */
const asking =
  (answering: (read: Read) => Read, earlier: number, later = earlier) =>
  (store: ObjectStore["Service"]): ObjectStore["Service"] => ({
    ...store,
    now: Effect.map(store.now, ({ earliest, latest }) => ({ earliest: earliest - earlier, latest: latest + later })),
    read: (id, options) => (options?.mayBeStale === true ? answering(store.read)(id) : store.read(id))
  })

const busyOnce = ({ lock }: Process) => Effect.scoped(Effect.andThen(lock.scoped(id), Effect.never))

const twoBusy = ({ aProcess }: Effect.Success<typeof setUp>, releaseInBackground: boolean) =>
  Effect.forEach(["us", "them"], (name) =>
    Effect.flatMap(aProcess(name, { sharedWithDex: true }), (process) => busy(process, { releaseInBackground }))
  )

describe("beside Dex", () => {
  for (const releaseInBackground of [false, true]) {
    const how = releaseInBackground ? "in the background" : "and waited for"
    it.effect(
      `a lock that is handed over again and again (${how}) is left free now and then, long enough for Dex to get it`,
      () =>
        Effect.gen(function* () {
          const world = yield* setUp
          const contenders = yield* twoBusy(world, releaseInBackground)
          const waiting = yield* Effect.forkChild(dex(world, 50))
          yield* pass(4000)
          assert.isDefined(waiting.pollUnsafe(), "Dex has not had the lock")
          const { mine, waited } = yield* Fiber.join(waiting)
          assert.isAtLeast(waited, 300)
          assert.isAtMost(waited, 2500)
          // Nothing wrote to the object while Dex had the lock.
          assert.deepStrictEqual(mine, [key])
          const before = contenders.map(({ had }) => had.length)
          yield* pass(12_000)
          for (const [index, { fiber, had }] of contenders.entries()) {
            assert.isAbove(had.length, before[index]! + 20)
            yield* Fiber.interrupt(fiber)
          }
        })
    )
  }

  it.effect(
    "a lock is left free for one poll of Dex, and for longer if a Dex came, because more of them may wait",
    () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const contenders = yield* twoBusy(world, true)
        const had = () => contenders.flatMap(({ had }) => had).toSorted((a, b) => a - b)
        yield* pass(3000)
        const pauses = had()
          .slice(1)
          .map((at, index) => at - had()[index]!)
        assert.isAtLeast(Math.max(...pauses), glance)
        assert.isAtMost(Math.max(...pauses), glance + 50)
        const waiting = yield* Effect.forkChild(dex(world, 10))
        yield* pass(2000)
        const { freed } = yield* Fiber.join(waiting)
        const next = had().find((at) => at > freed)! - freed
        assert.isAbove(next, glance)
        assert.isAtMost(next, visit)
        for (const { fiber } of contenders) yield* Fiber.interrupt(fiber)
      })
  )

  it.effect("a process that has met a Dex leaves the lock alone after each turn, until it has met none for long", () =>
    Effect.gen(function* () {
      const { annotate, aProcess } = yield* setUp
      yield* annotate(dexLockUntil(3600))
      const us = yield* busy(yield* aProcess("us", { sharedWithDex: true }))
      yield* pass(1000)
      yield* annotate({ [key]: null })
      yield* pass(dexMemory)
      const gaps = us.had.slice(1).map((at, index) => at - us.had[index]! - 20)
      assert.isAtLeast(gaps.length, 20)
      assert.isAtLeast(Math.min(...gaps), dexGap)
      assert.isAtMost(Math.max(...gaps), dexGap + 20)
      yield* pass(2000)
      assert.isAbove(us.had.length - gaps.length, 50)
      yield* Fiber.interrupt(us.fiber)
    })
  )

  it.effect("two processes that have met a Dex have one turn each, and then leave the lock alone together", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* world.annotate(dexLockUntil(3600))
      const [us, them] = yield* twoBusy(world, true)
      yield* pass(1000)
      yield* world.annotate({ [key]: null })
      yield* pass(5000)
      const turns = [...us!.had.map((at) => ({ at, name: "us" })), ...them!.had.map((at) => ({ at, name: "them" }))]
        .toSorted((a, b) => a.at - b.at)
        .slice(2)
      assert.isAtLeast(turns.length, 20)
      for (const { fiber } of [us!, them!]) yield* Fiber.interrupt(fiber)
      for (const [index, { at, name }] of turns.entries()) {
        const before = turns.slice(0, index).findLast((turn) => turn.name === name)
        if (before !== undefined) assert.isAtLeast(at - before.at, dexGap)
      }
    })
  )

  it.effect("as long as no Dex comes, a hand-over costs one request, and a gap two more", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const processes = [
        yield* aProcess("us", { sharedWithDex: true }),
        yield* aProcess("them", { sharedWithDex: true })
      ]
      assert.closeTo(yield* requestsPerRound(processes, { releaseInBackground: true }), 1.15, 0.05)
    })
  )

  it.effect("a lock that only kubelock acquires is handed over without a pause", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const contenders = [yield* busy(yield* world.aProcess("us")), yield* busy(yield* world.aProcess("them"))]
      yield* pass(3000)
      const had = contenders.flatMap(({ had }) => had).toSorted((a, b) => a - b)
      const longest = Math.max(...had.slice(1).map((at, index) => at - had[index]!))
      assert.isAtMost(longest, 50)
      for (const { fiber } of contenders) yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("a lock of Dex is never written to while it is held, and is taken as soon as it is free", () =>
    Effect.gen(function* () {
      const { annotate, annotations, aProcess, holder, waiting } = yield* setUp
      yield* annotate(dexLockUntil(3600))
      const before = yield* annotations
      const processes = [yield* aProcess("us"), yield* aProcess("them"), yield* aProcess("others")]
      const contenders = yield* Effect.forEach(processes, ({ wants }) => wants())
      yield* TestClock.adjust("15 seconds")
      for (const { requests } of processes) assert.deepStrictEqual(requests, ["read"])
      assert.deepStrictEqual(yield* annotations, before)
      yield* annotate({ [key]: null })
      yield* soon
      assert.isDefined(yield* holder)
      yield* TestClock.adjust("20 millis")
      assert.lengthOf(yield* waiting, 2)
      const order = [yield* holder, ...(yield* waiting)]
      for (const name of order) {
        const contender = contenders[["us", "them", "others"].indexOf(name!)]!
        yield* contender.held
        yield* contender.letGo
        yield* soon
      }
    })
  )

  it.effect(
    "nothing is written to an object that Dex has locked, whatever contenders do until the lock expires: not even metadata",
    () =>
      Effect.gen(function* () {
        const { annotate, aProcess, holder, read } = yield* setUp
        yield* annotate(dexLockUntil(15))
        const before = yield* read
        const options = { sharedWithDex: true }
        const processes = [yield* aProcess("us", options), yield* aProcess("them", options)]
        const writes = () => processes.flatMap(({ requests }) => requests).filter((request) => request !== "read")
        const [us, them] = processes as [(typeof processes)[0], (typeof processes)[0]]
        const timesOut = yield* us.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 50) })
        const isInterrupted = yield* Effect.forkChild(Effect.scoped(them.lock.scoped(id)), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.interrupt(isInterrupted)
        assert.strictEqual((yield* Effect.flip(Effect.scoped(them.lock.tryScoped(id))))._tag, "LockConflict")
        yield* TestClock.adjust("5 seconds")
        assert.isFalse(yield* timesOut.has)
        yield* Effect.forkChild(busyOnce(us), { startImmediately: true })
        yield* Effect.forkChild(busyOnce(them), { startImmediately: true })
        yield* TestClock.setTime(15_000)
        assert.deepStrictEqual(writes(), [])
        assert.deepStrictEqual(yield* read, before)
        yield* TestClock.adjust("100 millis")
        assert.isNotEmpty(writes())
        assert.isDefined(yield* holder)
      })
  )

  for (const shown of ["the object as it is", "an older version that was free", "no object"] as const) {
    it.effect(
      `around the expiry the server's cache is asked for the time, and for nothing else, if it shows ${shown}`,
      () =>
        Effect.gen(function* () {
          const { annotate, aProcess, holder, read } = yield* setUp
          const free = yield* read
          yield* annotate(dexLockUntil(15))
          const answers: Readonly<Record<typeof shown, ReturnType<Read>>> = {
            "the object as it is": read,
            "an older version that was free": Effect.succeed(free),
            "no object": Effect.fail(new LockError.NotFound({ id, object: id, missing: "object" }))
          }
          const asked: Array<number> = []
          const answering = () => () =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              asked.push(now)
              return answers[shown]
            })
          const us = yield* aProcess("us", { sharedWithDex: true }, asking(answering, 4))
          yield* us.wants()
          yield* pass(15_000, 1)
          assert.notInclude(us.requests, "write")
          assert.strictEqual(us.watching.opened, 1)
          yield* pass(20, 1)
          assert.strictEqual(yield* holder, "us")
          assert.isAbove(asked.length, 3)
          assert.isAbove(asked[0]!, 11_900)
          // What shows the object as it is costs no other reading.
          if (shown === "the object as it is") assert.isAbove(asked.length, us.requests.length)
        })
    )
  }

  it.effect("around the expiry no question for the time waits for the answer to another, up to eight", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, holder } = yield* setUp
      yield* annotate(dexLockUntil(15))
      let unanswered = 0
      const atOnce: Array<number> = []
      const answering =
        (read: Read): Read =>
        (id) =>
          Effect.suspend(() => {
            atOnce.push(++unanswered)
            return Effect.ensuring(
              Effect.delay(read(id), "20 millis"),
              Effect.sync(() => unanswered--)
            )
          })
      const us = yield* aProcess("us", { sharedWithDex: true }, asking(answering, 30, 10))
      yield* us.wants()
      yield* pass(15_000, 1)
      const before = atOnce.length
      yield* pass(40, 1)
      assert.strictEqual(yield* holder, "us")
      assert.strictEqual(Math.max(...atOnce), questionsAtOnce)
      // Two rounds of answers.
      assert.isAtLeast(atOnce.length - before, questionsAtOnce)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(unanswered, 0)
    })
  )

  it.effect("an answer that tells of the expiry is heeded at once, also if earlier answers came late", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, holder } = yield* setUp
      yield* annotate(dexLockUntil(15))
      let answered = 0
      const turn = { isTold: false }
      const us = yield* aProcess("us", { sharedWithDex: true }, (store) => ({
        ...store,
        now: Effect.map(store.now, ({ earliest, latest }) =>
          turn.isTold ? { earliest, latest } : { earliest: earliest - 20, latest: latest + 10 }
        ),
        read: (id, options) =>
          options?.mayBeStale === true
            ? Effect.gen(function* () {
                const asked = yield* Clock.currentTimeMillis
                const answer = yield* Effect.delay(store.read(id), ++answered < 4 ? "1.5 millis" : "0.5 millis")
                turn.isTold ||= asked > 15_000
                return answer
              })
            : store.read(id)
      }))
      yield* us.wants()
      yield* pass(15_000, 1)
      assert.isAtLeast(answered, 4)
      let waited = 0
      for (; !turn.isTold && waited < 10; waited += 0.5) yield* TestClock.adjust(0.5)
      yield* TestClock.adjust(0.1)
      assert.strictEqual(yield* holder, "us")
    })
  )

  it.effect(
    "a waiter that may not watch heeds answers that came late, too, so that it sees that the lock is free",
    () =>
      Effect.gen(function* () {
        const { annotate, aProcess, holder } = yield* setUp
        yield* annotate(dexLockUntil(15))
        const us = yield* aProcess(
          "us",
          { sharedWithDex: true },
          asking((read) => (id) => Effect.delay(read(id), "2 millis"), 400)
        )
        us.watching.fault = mayNotWatch
        yield* us.wants({ waitSchedule: LockPolicy.fixedPolls("100 millis", 200) })
        yield* pass(12_500, 1)
        yield* annotate({ [key]: null })
        yield* pass(500, 1)
        assert.strictEqual(yield* holder, "us")
      })
  )

  it.effect(
    "a lock of Dex is taken at once when the clock tells that it has expired, also if no question is answered",
    () =>
      Effect.gen(function* () {
        const { annotate, aProcess, holder } = yield* setUp
        yield* annotate(dexLockUntil(15))
        const us = yield* aProcess(
          "us",
          { sharedWithDex: true },
          asking(() => () => Effect.never, 4)
        )
        yield* us.wants()
        yield* pass(15_003, 1)
        assert.deepStrictEqual(us.requests, ["read"])
        yield* pass(4, 1)
        assert.strictEqual(yield* holder, "us")
        assert.deepStrictEqual(us.requests, ["read", "write"])
      })
  )

  it.effect(
    "a question for the time that fails long after it was asked is not taken for an answer to the next one",
    () =>
      Effect.gen(function* () {
        const { annotate, aProcess, holder, read } = yield* setUp
        yield* annotate(dexLockUntil(5))
        let isSilent = true
        const silence = new LockError.Unavailable({ object: "token", verb: "get", detail: "no answer" })
        const answering = () => () =>
          Effect.suspend(() => (isSilent ? Effect.delay(Effect.fail(silence), "5 seconds") : read))
        const us = yield* aProcess("us", { sharedWithDex: true }, asking(answering, 4))
        yield* us.wants()
        yield* pass(5000, 1)
        isSilent = false
        yield* annotate(dexLockUntil(15))
        yield* pass(1000, 1)
        const before = us.requests.length
        yield* pass(9010, 1)
        assert.strictEqual(yield* holder, "us")
        assert.deepStrictEqual(us.requests.slice(before), ["write"])
      })
  )

  it.effect("a lock of Dex is taken once it has expired, unless Dex renews it", () =>
    Effect.gen(function* () {
      const { annotate, aProcess, holder } = yield* setUp
      yield* annotate(dexLockUntil(5))
      const us = yield* aProcess("us")
      const ours = yield* us.wants()
      yield* TestClock.adjust("2 seconds")
      yield* annotate(dexLockUntil(12))
      yield* TestClock.adjust("9990 millis")
      assert.isFalse(yield* ours.has)
      assert.notInclude(us.requests, "write")
      yield* TestClock.adjust("100 millis")
      yield* ours.held
      assert.strictEqual(yield* holder, "us")
      assert.strictEqual(us.watching.opened, 1)
    })
  )

  it.effect("a waiter that finds Dex holding the lock by the time it would join writes nothing", () =>
    Effect.gen(function* () {
      const { annotate, annotations, aProcess, read } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      yield* us.wants()
      const seen = yield* read
      yield* annotate({ ...dexLockUntil(3600), [LockRecord.holderKey(key)]: null })
      const before = yield* annotations
      yield* them.wants({ snapshot: seen })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(them.requests, ["write", "read"])
      assert.deepStrictEqual(yield* annotations, before)
    })
  )
})

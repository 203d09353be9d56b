/** A lock that goes from process to process: what a hand-over costs, and what the next holder gets. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { contend, type Contender } from "../../utils/contend.ts"
import { id, key, requestsPerRound, setUp } from "../../utils/processes.ts"

const soon = TestClock.adjust("1 millis")

/** A holder and a waiter. The holder knows the waiter, since it has renewed its lease. */
const setUpKnownWith = Effect.fnUntraced(function* (options?: Lock.AcquireOptions) {
  const world = yield* setUp
  const [us, them] = [yield* world.aProcess("us"), yield* world.aProcess("them")]
  const ours = yield* us.wants(options)
  const theirs = yield* them.wants()
  yield* TestClock.adjust("4 seconds")
  us.requests.length = 0
  them.requests.length = 0
  return { ...world, us, them, ours, theirs }
})

const setUpKnown = setUpKnownWith()

describe("a hand-over", () => {
  it.effect("takes one write of each process, in the order of arrival", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched, read } = yield* setUp
      /** Starts a waiter in a process of its own, and counts its requests from then on. */
      const arrive = Effect.fnUntraced(function* (name: string) {
        const process = yield* aProcess(name)
        const contender = yield* process.wants()
        process.requests.length = 0
        return { ...process, ...contender }
      })
      const tokens: Array<bigint> = []
      const passes = Effect.fnUntraced(function* (from: Contender, to: Contender) {
        yield* from.letGo
        yield* soon
        const { fencingToken, holderId, isValid } = yield* to.held
        tokens.push(fencingToken)
        assert.isTrue(yield* isValid)
        const { annotations, labels } = yield* read
        assert.isTrue(annotations[LockRecord.holderKey(key)]?.startsWith(`${holderId}@`))
        assert.strictEqual(labels[LockQueue.labelKey(key)], LockQueue.processIdOf(holderId))
      })

      const holder = yield* arrive("holder")
      tokens.push((yield* holder.held).fencingToken)
      const [first, second, third] = [yield* arrive("a"), yield* arrive("b"), yield* arrive("c")]
      yield* passes(holder, first)
      const fourth = yield* arrive("d")
      yield* passes(first, second)
      const fifth = yield* arrive("e")
      assert.isFalse(yield* third.has)
      yield* passes(second, third)
      assert.isFalse(yield* fourth.has)
      yield* passes(third, fourth)
      assert.isFalse(yield* fifth.has)
      yield* passes(fourth, fifth)
      yield* fifth.letGo
      yield* soon
      yield* isUntouched

      for (const { requests } of [first, second, third, fourth, fifth]) assert.deepStrictEqual(requests, ["write"])
      // The holder acquired the lock before there was a waiter. It finds the first waiter in the answer to its release.
      assert.deepStrictEqual(holder.requests, ["write", "write"])
      assert.deepStrictEqual(
        tokens,
        [...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1))
      )
    })
  )

  it.effect("keeps the order after a long hold, at no more requests of the waiters", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched } = yield* setUp
      const holder = yield* aProcess("holder")
      const ours = yield* holder.wants({ ttl: "1 minute" })
      const processes = yield* Effect.forEach(["a", "b", "c"], (name) => aProcess(name))
      const contenders = yield* Effect.forEach(processes, (process) => process.wants())
      yield* TestClock.adjust("1500 millis")
      for (const { requests } of [holder, ...processes]) requests.length = 0
      yield* ours.letGo
      for (const [index, contender] of contenders.entries()) {
        yield* soon
        yield* contender.held
        for (const { requests } of processes.slice(index)) assert.deepStrictEqual(requests, [])
        yield* contender.letGo
      }
      yield* soon
      assert.deepStrictEqual(holder.requests, ["write", "write"])
      yield* isUntouched
    })
  )

  it.effect("can come after a hold of several leases, and the next hold can last as long", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants({ ttl: "1 second" })
      const theirs = yield* them.wants({ ttl: "1 second" })
      yield* TestClock.adjust("2500 millis")
      assert.isFalse(yield* theirs.has)
      assert.isTrue(yield* (yield* ours.held).isValid)
      yield* ours.letGo
      yield* soon
      const held = yield* theirs.held
      yield* TestClock.adjust("3500 millis")
      assert.isTrue(yield* held.isValid)
      yield* theirs.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("is handed on by a waiter that is interrupted before it hears of it, or undone if nobody else waits", () =>
    Effect.gen(function* () {
      const { aProcess, holder, isUntouched } = yield* setUp
      const deaf = (name: string) =>
        Effect.tap(aProcess(name), ({ watching }) =>
          Effect.sync(() => {
            watching.fault = "Silent"
          })
        )
      const ours = yield* Effect.flatMap(aProcess("holder"), (process) => process.wants())
      const granted = yield* Effect.flatMap(deaf("granted"), (process) => process.wants())
      yield* ours.letGo
      yield* soon
      assert.strictEqual(yield* holder, "granted")
      const next = yield* Effect.flatMap(aProcess("next"), (process) => process.wants())
      assert.isFalse(yield* granted.has)
      yield* Fiber.interrupt(granted.fiber)
      yield* soon
      yield* next.held

      const last = yield* Effect.flatMap(deaf("last"), (process) => process.wants())
      yield* next.letGo
      yield* soon
      assert.strictEqual(yield* holder, "last")
      assert.isFalse(yield* last.has)
      yield* Fiber.interrupt(last.fiber)
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("takes one write of a holder that knows the waiter, and no request of the waiter", () =>
    Effect.gen(function* () {
      const { holder, isUntouched, ours, theirs, them, us } = yield* setUpKnown
      yield* ours.letGo
      yield* soon
      assert.isTrue(yield* (yield* theirs.held).isValid)
      assert.strictEqual(yield* holder, "them")
      assert.deepStrictEqual(us.requests, ["write"])
      assert.deepStrictEqual(them.requests, [])
      yield* theirs.letGo
      assert.deepStrictEqual(them.requests, ["write"])
      yield* isUntouched
    })
  )

  it.effect("takes a second write if the answer to the release shows a new waiter", () =>
    Effect.gen(function* () {
      const { aProcess, holder, isUntouched, waiting } = yield* setUp
      const [us, them, others] = [yield* aProcess("us"), yield* aProcess("them"), yield* aProcess("others")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      const third = yield* others.wants()
      assert.deepStrictEqual(them.requests, ["read", "write"])
      us.requests.length = 0
      yield* ours.letGo
      yield* soon
      assert.deepStrictEqual(us.requests, ["write", "write"])
      assert.strictEqual(yield* holder, "them")
      assert.deepStrictEqual(yield* waiting, ["others"])
      yield* theirs.held
      yield* theirs.letGo
      yield* soon
      yield* third.held
      yield* third.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect(
    "by a second write reaches a waiter that watches the object without a request, however slow the writes",
    () =>
      Effect.gen(function* () {
        for (const millis of [5, 200]) {
          const { aProcess, holder, isUntouched } = yield* setUp
          const slowly = (store: ObjectStore["Service"]): ObjectStore["Service"] => ({
            ...store,
            compareAndSwap: (id, write) => Effect.delay(store.compareAndSwap(id, write), millis)
          })
          const [us, them] = [yield* aProcess("us", {}, slowly), yield* aProcess("them", {}, slowly)]
          const ours = yield* us.wants()
          yield* TestClock.adjust("300 millis")
          const theirs = yield* them.wants()
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(them.requests, ["read", "write", "read"])
          us.requests.length = 0
          const leaving = yield* Effect.forkChild(ours.letGo)
          yield* TestClock.adjust(2 * millis)
          yield* Fiber.join(leaving)
          assert.deepStrictEqual(us.requests, ["write", "write"])
          yield* soon
          assert.isTrue(yield* theirs.has)
          assert.strictEqual(yield* holder, "them")
          assert.deepStrictEqual(them.requests, ["read", "write", "read"])
          yield* Effect.forkChild(theirs.letGo)
          yield* TestClock.adjust("1 seconds")
          yield* isUntouched
        }
      })
  )

  it.effect("is read back if its answer gets lost, and written again if it did not arrive", () =>
    Effect.gen(function* () {
      for (const [fault, requests] of [
        ["Lost", ["write", "read"]],
        ["Refused", ["write", "read", "write"]]
      ] as const) {
        const { isUntouched, ours, theirs, us } = yield* setUpKnown
        us.faults.push(["write", fault])
        yield* ours.letGo
        yield* TestClock.adjust("100 millis")
        yield* theirs.held
        assert.deepStrictEqual<ReadonlyArray<string>>(us.requests, requests)
        yield* theirs.letGo
        yield* soon
        yield* isUntouched
      }
    })
  )

  it.effect("gives a short lease, which is renewed after a third of it", () =>
    Effect.gen(function* () {
      const { annotations, ours, theirs, them } = yield* setUpKnown
      const expiresAfter = (seconds: number) =>
        Effect.map(annotations, ({ [key]: expiry }) =>
          assert.strictEqual(expiry, LockRecord.expiryAt((4 + seconds) * 1000))
        )
      yield* ours.letGo
      yield* soon
      const held = yield* theirs.held
      yield* expiresAfter(4)
      yield* TestClock.adjust("990 millis")
      assert.deepStrictEqual(them.requests, [])
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(them.requests, ["write"])
      yield* expiresAfter(12)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* held.isValid)
    })
  )

  it.effect("ends with the short lease if that cannot be renewed", () =>
    Effect.gen(function* () {
      const { ours, theirs, them } = yield* setUpKnown
      yield* ours.letGo
      yield* soon
      const held = yield* theirs.held
      them.faults.push(...Array.from({ length: 100 }, () => ["write", "Refused"] as const))
      yield* TestClock.adjust("2900 millis")
      assert.isTrue(yield* held.isValid)
      yield* TestClock.adjust("1100 millis")
      assert.isFalse(yield* held.isValid)
      assert.deepInclude(yield* Effect.flip(held.lost), { reason: "Expired" })
    })
  )

  it.effect("to a holder that does not renew is followed by one write of a full lease", () =>
    Effect.gen(function* () {
      const { aProcess, annotations } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants({ renewEvery: false })
      them.requests.length = 0
      yield* ours.letGo
      yield* soon
      const held = yield* theirs.held
      assert.deepStrictEqual(them.requests, ["write"])
      assert.propertyVal(yield* annotations, key, LockRecord.expiryAt(11_000))
      yield* TestClock.adjust("9850 millis")
      assert.isTrue(yield* held.isValid)
    })
  )

  it.effect("to a holder that does not renew is followed by a write that no other change of the object refuses", () =>
    Effect.gen(function* () {
      const { aProcess, annotate } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      let changes = 0
      const lock = yield* Lock.make({ identity: "them", policy: LockPolicy.make({ renewEvery: false }) }).pipe(
        Effect.provideService(ObjectStore, {
          ...them.store,
          compareAndSwap: (id, patch) =>
            Effect.andThen(annotate({ "example.com/other": `${++changes}` }), them.store.compareAndSwap(id, patch))
        })
      )
      const ours = yield* us.wants()
      const theirs = yield* contend(lock, id)
      yield* TestClock.adjust("4 seconds")
      them.requests.length = 0
      yield* ours.letGo
      yield* soon
      assert.isTrue(yield* theirs.has)
      assert.deepStrictEqual(them.requests, ["write"])
    }).pipe(Effect.scoped)
  )

  it.effect("queues the next acquisition of the holder's process by the same write", () =>
    Effect.gen(function* () {
      const { aProcess, holder, isUntouched, waiting } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      yield* TestClock.adjust("4 seconds")
      const again = yield* us.wants()
      us.requests.length = 0
      yield* ours.letGo
      yield* soon
      assert.strictEqual(yield* holder, "them")
      assert.deepStrictEqual(yield* waiting, ["us"])
      assert.deepStrictEqual(us.requests, ["write"])
      yield* theirs.letGo
      yield* soon
      assert.isTrue(yield* (yield* again.held).isValid)
      assert.deepStrictEqual(us.requests, ["write"])
      yield* again.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("does not queue an acquisition of its process for good: one that is interrupted leaves the queue", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched, waiting } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      yield* TestClock.adjust("4 seconds")
      const again = yield* us.wants()
      yield* ours.letGo
      yield* soon
      assert.deepStrictEqual(yield* waiting, ["us"])
      yield* Fiber.interrupt(again.fiber)
      yield* soon
      assert.deepStrictEqual(yield* waiting, [])
      yield* theirs.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("that is under way does not queue an acquisition that was interrupted meanwhile", () =>
    Effect.gen(function* () {
      const { holder, isUntouched, ours, theirs, us, waiting } = yield* setUpKnown
      const again = yield* us.wants()
      us.faults.push(["write", "Refused"], ["read", "Refused"])
      yield* ours.letGo
      yield* soon
      yield* Fiber.interrupt(again.fiber)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* holder, "them")
      assert.deepStrictEqual(yield* waiting, [])
      yield* theirs.letGo
      yield* soon
      yield* isUntouched
    })
  )

  it.effect("comes with a commit, in the same write", () =>
    Effect.gen(function* () {
      const { isUntouched, ours, read, theirs, us } = yield* setUpKnown
      yield* (yield* ours.held).commitAndRelease([{ path: ["token"], value: "new" }])
      yield* soon
      assert.deepStrictEqual(us.requests, ["write"])
      const held = yield* theirs.held
      assert.deepStrictEqual(held.snapshot.content, { token: "new" })
      yield* ours.letGo
      assert.deepStrictEqual(us.requests, ["write"])
      yield* theirs.letGo
      yield* soon
      yield* isUntouched
      assert.deepStrictEqual((yield* read).content, { token: "new" })
    })
  )

  it.effect("follows a commit by a second write if a waiter came since", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const theirs = yield* them.wants()
      us.requests.length = 0
      yield* (yield* ours.held).commitAndRelease([{ path: ["token"], value: "new" }])
      yield* soon
      yield* theirs.held
      assert.deepStrictEqual(us.requests, ["write", "write"])
    })
  )

  it.effect("goes to the first waiter when an operator breaks the lock", () =>
    Effect.gen(function* () {
      const { aProcess, ours, theirs } = yield* setUpKnown
      const operator = yield* aProcess("operator")
      assert.deepInclude(yield* operator.lock.break(id), { _tag: "Held" })
      yield* soon
      assert.isTrue(yield* (yield* theirs.held).isValid)
      yield* TestClock.adjust("4 seconds")
      const lost = yield* Effect.flip((yield* ours.held).lost)
      assert.deepInclude(lost, { reason: "TakenOver", holder: (yield* theirs.held).holderId })
    })
  )

  it.effect("has been written when the scope has closed, although its first attempt failed", () =>
    Effect.gen(function* () {
      const { holder, ours, theirs, us } = yield* setUpKnown
      us.faults.push(["write", "Refused"], ["read", "Refused"])
      const closing = yield* Effect.forkChild(ours.letGo, { startImmediately: true })
      yield* soon
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* holder, "them")
      yield* theirs.held
    })
  )

  it.effect("has been written when the scope has closed, also if the holder did not know the waiter", () =>
    Effect.gen(function* () {
      const { aProcess, holder } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      yield* them.wants()
      yield* ours.letGo
      assert.strictEqual(yield* holder, "them")
    })
  )

  it.effect("costs each round of loops one request in the background, and otherwise those of a newcomer as well", () =>
    Effect.gen(function* () {
      const among = Effect.fnUntraced(function* (count: number, releaseInBackground: boolean) {
        const { aProcess } = yield* setUp
        const processes = yield* Effect.forEach(Array.from({ length: count }), (_, index) => aProcess(`p${index}`))
        return yield* requestsPerRound(processes, { releaseInBackground })
      })
      assert.closeTo(yield* among(2, true), 1, 0.1)
      assert.closeTo(yield* among(3, true), 1, 0.1)
      // It reads, joins, and hands over. Of two, the other one joins after the holder has looked: its hand-over takes a second write.
      assert.closeTo(yield* among(2, false), 4, 0.1)
      assert.closeTo(yield* among(3, false), 3, 0.1)
    })
  )

  it.effect("goes on in the background if its holder wants that, and the end of the process waits for it", () =>
    Effect.gen(function* () {
      const { ours, theirs, us } = yield* setUpKnownWith({ releaseInBackground: true })
      us.faults.push(["write", "Refused"], ["read", "Refused"])
      yield* ours.letGo
      const ending = yield* Effect.forkChild(Scope.close(us.scope, Exit.void), { startImmediately: true })
      yield* soon
      assert.isUndefined(ending.pollUnsafe())
      assert.isFalse(yield* theirs.has)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ending)
      yield* theirs.held
    })
  )
})

describe("an acquisition that only tries", () => {
  it.effect("never joins the queue", () =>
    Effect.gen(function* () {
      const { aProcess, annotations, holder } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.wants()
      const before = yield* annotations
      const refused = yield* Effect.flip(Effect.scoped(them.lock.tryScoped(id)))
      assert.deepInclude(refused, { _tag: "LockConflict", reason: "Held", holder: (yield* ours.held).holderId })
      assert.deepStrictEqual(them.requests, ["read"])
      assert.strictEqual(them.watching.opened, 0)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* annotations, before)
      yield* ours.letGo
      assert.isUndefined(yield* holder)
    })
  )
})

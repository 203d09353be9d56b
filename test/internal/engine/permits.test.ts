/** Permits in virtual time, with processes that crash, answers that are lost, and watches that tell nothing. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Permit } from "../../../src/Held.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import {
  type ConditionalPatch,
  isSelected,
  type ObjectSnapshot,
  ObjectStore,
  type WatchEvent,
  type WatchOptions
} from "../../../src/ObjectStore.ts"
import * as Semaphore from "../../../src/Semaphore.ts"
import * as SharedLock from "../../../src/SharedLock.ts"
import { leavesApart } from "../../../src/internal/engine/permitPool.ts"
import { isOlder } from "../../../src/internal/version.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { id, type Process, servicesOver, setUp, waitSchedule, wants } from "../../utils/lines.ts"

const limit = 2

/**
 * A contest: for how many milliseconds each process holds what it wants and pauses at most then, for how many seconds it is measured, and
 * how many milliseconds a request is under way to the server, an answer back, and an event.
 */
interface Contest {
  readonly hold: number
  readonly pause?: number
  readonly seconds: number
  readonly way?: number
}

/**
 * 16 processes that want something again and again. The server applies one write after the other, and needs longer the more are under way:
 * sixteen at once take it three times as long as one after the other, as on a kube-apiserver. A watch begins with what happened since the
 * version that it names. Answers what there was, for each acquisition.
 */
const contest = Effect.fnUntraced(function* (
  { hold, pause = 0, seconds, way: oneWay = 0.5 }: Contest,
  take: (process: Process, random: () => number) => Effect.Effect<unknown, LockError.LockError, Scope.Scope>
) {
  const world = yield* setUp
  let seed = 1
  const random = () => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
  let [requests, events, inside, most] = [0, 0, 0, 0]
  const way = Effect.suspend(() => Effect.sleep(oneWay * (0.5 + random())))
  let [underWay, freeAt] = [0, 0]
  const applying = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    freeAt = Math.max(freeAt, now) + 3 * (1 + 0.2 * underWay++)
    yield* Effect.sleep(freeAt - now)
    underWay--
  })
  const slowly = <A, E>(request: Effect.Effect<A, E>, applied: Effect.Effect<void>) =>
    Effect.suspend(() => {
      requests++
      return way.pipe(Effect.andThen(applied), Effect.andThen(Effect.tap(request, way)))
    })
  const { store } = world.memory
  const written: Array<ObjectSnapshot> = []
  // The memory store begins with the last version only.
  const missed = ({ label, since }: WatchOptions = {}): ReadonlyArray<WatchEvent> =>
    written
      .slice(0, -1)
      .filter(({ labels, resourceVersion }) => {
        const isLater = since !== undefined && isOlder(since, resourceVersion)
        return isLater && (label === undefined || isSelected(labels, label))
      })
      .map((snapshot) => ({ _tag: "Changed", snapshot }))
  const slow: ObjectStore["Service"] = {
    ...store,
    read: (id, options) => slowly(store.read(id, options), Effect.void),
    compareAndSwap: (id, write) =>
      slowly(
        Effect.tap(store.compareAndSwap(id, write), (answer) =>
          Effect.sync(() => written.push(...Option.toArray(answer)))
        ),
        applying
      ),
    watch: (id, options) =>
      Stream.suspend(() => Stream.concat(Stream.fromIterable(missed(options)), store.watch(id, options))).pipe(
        Stream.tap(() =>
          Effect.suspend(() => {
            events++
            return way
          })
        )
      )
  }
  const rounds = Array.from({ length: 16 }, () => 0)
  const waits: Array<number> = []
  const fibers = yield* Effect.forEach(rounds, (_, index) =>
    Effect.gen(function* () {
      const process = yield* servicesOver(slow)
      const round = Effect.gen(function* () {
        const startedAt = yield* Clock.currentTimeMillis
        yield* take(process, random)
        waits.push((yield* Clock.currentTimeMillis) - startedAt)
        rounds[index]!++
        most = Math.max(most, ++inside)
        yield* Effect.sleep(hold)
        inside--
      })
      const resting = Effect.suspend(() => (pause === 0 ? Effect.void : Effect.sleep(pause * random())))
      return yield* Effect.forever(Effect.andThen(Effect.scoped(round), resting))
    }).pipe(Effect.scoped, Effect.forkChild)
  )
  const pass = (millis: number) => Effect.repeat(TestClock.adjust(1), { times: millis - 1 })
  yield* pass(1000)
  const before = { requests, events, rounds: [...rounds] }
  waits.length = 0
  yield* pass(1000 * seconds)
  const each = rounds.map((count, index) => count - before.rounds[index]!)
  const sum = each.reduce((a, b) => a + b)
  const measured = {
    most,
    perSecond: sum / seconds,
    requests: (requests - before.requests) / sum,
    events: (events - before.events) / sum,
    jain: sum ** 2 / (16 * each.reduce((squares, count) => squares + count ** 2, 0)),
    longestWait: Math.max(...waits)
  }
  yield* Fiber.interruptAll(fibers).pipe(Effect.forkChild)
  yield* pass(300)
  return measured
}, Random.withSeed("contest"))

describe("permits", () => {
  it.effect("of a process that died are free when its lease is over, however many waited in it", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [dead, alive] = [yield* world.aProcess("dead"), yield* world.aProcess("alive")]
      const died = yield* wants(dead.semaphore.take(id, { limit, permits: 2 }))
      const diedToo = yield* wants(dead.semaphore.take(id, { limit, waitSchedule }))
      assert.isTrue(died.has())
      // No request of it arrives any more.
      dead.faults.push(...Array.from({ length: 1000 }, () => ["write", "Refused"] as const))
      const waiter = yield* wants(alive.semaphore.take(id, { limit, waitSchedule }))
      for (let second = 0; second < 9; second++) {
        yield* TestClock.adjust("1 second")
        assert.isFalse(waiter.has())
      }
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(waiter.has())
      assert.deepInclude(yield* Effect.flip((yield* Fiber.join(died.fiber)).lost), { _tag: "LockLost" })
      yield* Fiber.interrupt(diedToo.fiber)
      yield* waiter.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("a waiter keeps its place for as long as it waits, and does not need a watch", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [a, b, c] = [yield* world.aProcess("a"), yield* world.aProcess("b"), yield* world.aProcess("c")]
      b.watching.fault = "Silent"
      const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
      const first = yield* wants(
        b.semaphore.take(id, { limit: 1, waitSchedule: LockPolicy.fixedPolls("1 second", 100) })
      )
      const second = yield* wants(
        c.semaphore.take(id, { limit: 1, waitSchedule: LockPolicy.fixedPolls("1 second", 100) })
      )
      for (let step = 0; step < 60; step++) yield* TestClock.adjust("1 second")
      const before = b.requests.length
      for (let step = 0; step < 30; step++) yield* TestClock.adjust("1 second")
      // One request for each third of the TTL.
      assert.isAtMost(b.requests.length - before, 10)
      assert.deepStrictEqual(
        (yield* a.semaphore.inspect(id)).waiters.map(({ holder }) => holder.split("/")[0]),
        ["b", "c"]
      )
      yield* holder.letGo
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(first.has())
      yield* first.letGo
      assert.isTrue(second.has())
      yield* second.letGo
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("are lost if they cannot be renewed, and the work is interrupted", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const process = yield* world.aProcess("p")
      let hasEnded = false
      const work = yield* process.semaphore.take(id, { limit }).pipe(
        Effect.flatMap((permit) => permit.guard(Effect.never)),
        Effect.scoped,
        Effect.exit,
        Effect.tap(() => Effect.sync(() => (hasEnded = true))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust(1)
      process.faults.push(...Array.from({ length: 200 }, () => ["write", "Refused"] as const))
      yield* TestClock.adjust("8 seconds")
      assert.isFalse(hasEnded)
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(work)))
    }).pipe(Effect.scoped)
  )

  for (const fault of ["Refused", "Lost", "Conflicts", "Unanswered"] as const) {
    it.effect(`each write of a cycle that is ${fault} leaves nothing behind, and nobody out`, () =>
      Effect.gen(function* () {
        for (let nth = 0; nth < 4; nth++) {
          const world = yield* setUp
          const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
          a.faults.push(...Array.from({ length: nth }, () => ["write", "None"] as const), ["write", fault])
          b.faults.push(...Array.from({ length: nth }, () => ["write", "None"] as const), ["write", fault])
          const take = (process: typeof a) =>
            Effect.scoped(
              Effect.flatMap(process.semaphore.take(id, { limit: 1, waitSchedule }), () => Effect.sleep("50 millis"))
            )
          const rounds = (process: typeof a) => Effect.repeat(take(process), { times: 2 })
          const fibers = yield* Effect.forEach([a, b], (process) => Effect.forkChild(rounds(process)))
          for (let step = 0; step < 400; step++) yield* TestClock.adjust("100 millis")
          for (const fiber of fibers) assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!), `${fault} of write ${nth}`)
          // A join that arrived late is a lease that nobody keeps.
          const line = yield* a.semaphore.inspect(id)
          assert.deepStrictEqual(
            [...line.holders, ...line.waiters].filter(({ isExpired }) => !isExpired),
            []
          )
        }
      }).pipe(Effect.scoped)
    )
  }

  it.effect("that were joined for without an answer are not withdrawn from while they are held", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
      const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
      b.faults.push(["write", "Unanswered"])
      const waiter = yield* wants(b.semaphore.take(id, { limit: 1, waitSchedule }))
      yield* TestClock.adjust("6 seconds")
      yield* holder.letGo
      yield* TestClock.adjust("5 seconds")
      const permit = yield* Fiber.join(waiter.fiber)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* permit.isValid)
      assert.lengthOf((yield* a.semaphore.inspect(id)).holders, 1)
      yield* waiter.letGo
      yield* TestClock.adjust("10 seconds")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect(
    "that were joined for without an answer are given up within one deadline if no server answers any more",
    () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
        const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
        b.faults.push(["write", "Lost"])
        const waiter = yield* wants(b.semaphore.take(id, { limit: 1, waitSchedule }))
        yield* TestClock.adjust("1 second")
        yield* holder.letGo
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiter.fiber)
        FaultyStore.failAll(b, "Refused")
        const gone = yield* Effect.forkChild(waiter.letGo)
        yield* TestClock.adjust("5100 millis")
        yield* Fiber.join(gone)
        b.requests.length = 0
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(b.requests, [])
      }).pipe(Effect.scoped)
  )

  it.effect(
    "a join whose answer was lost does not cost the permits that it led to, nor does it stay when it arrives late",
    () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
        const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
        // The first join never arrives in time, the second does.
        let late: Effect.Effect<unknown> = Effect.void
        const { compareAndSwap } = b.store
        const store = {
          ...b.store,
          compareAndSwap: (id: string, write: ConditionalPatch) => {
            if (!("stamps" in write) || late !== Effect.void) return compareAndSwap(id, write)
            late = Effect.exit(world.memory.store.compareAndSwap(id, write))
            return Effect.fail(new LockError.Unavailable({ object: id, verb: "patch", detail: "no answer" }))
          }
        }
        const { take } = yield* Semaphore.make({ identity: "b" }).pipe(Effect.provideService(ObjectStore, store))
        const waiter = yield* wants(take(id, { limit: 1, waitSchedule }))
        yield* TestClock.adjust("1 second")
        yield* holder.letGo
        assert.isTrue(waiter.has())
        yield* TestClock.adjust("20 seconds")
        assert.isTrue(yield* (yield* Fiber.join(waiter.fiber)).isValid)
        yield* waiter.letGo
        yield* world.memory.store.compareAndSwap(id, {
          expect: { annotations: { "example.com/other": "o" } },
          annotations: { "kubelock.dev/lock": "semaphore of 1" }
        })
        yield* late
        assert.lengthOf((yield* a.semaphore.inspect(id)).holders, 1)
        yield* TestClock.adjust("10 seconds")
        assert.lengthOf((yield* a.semaphore.inspect(id)).holders, 0)
      }).pipe(Effect.scoped)
  )

  it.effect("a contender that is interrupted at any moment leaves nothing in the line", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
      for (let millis = 0; millis < 12; millis++) {
        const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
        const waiter = yield* Effect.forkChild(Effect.scoped(b.semaphore.take(id, { limit: 1, waitSchedule })), {
          startImmediately: true
        })
        yield* TestClock.adjust(millis)
        yield* Fiber.interrupt(waiter)
        yield* holder.letGo
        yield* TestClock.adjust("6 seconds")
        yield* world.isUntouched
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a wait that ends leaves the line, and says whom it waited for", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
      const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          Effect.scoped(b.semaphore.take(id, { limit: 1, waitSchedule: LockPolicy.fixedPolls("100 millis", 10) }))
        )
      )
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "LockTimeout")
      assert.match(error.message, /^Gave up waiting for permits of semaphore "gate" .* Among those before it: a\//)
      yield* TestClock.adjust(1)
      assert.lengthOf((yield* a.semaphore.inspect(id)).waiters, 0)
      yield* holder.letGo
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("a rule of the cluster that refuses a join does not keep a contender out for good", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [a, b] = [yield* world.aProcess("a"), yield* world.aProcess("b")]
      const rejected = new LockError.Rejected({
        object: id,
        verb: "patch",
        status: 422,
        detail: "annotations are full"
      })
      const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
      b.faults.push(["write", rejected])
      const waiter = yield* wants(b.semaphore.take(id, { limit: 1, waitSchedule }))
      yield* TestClock.adjust("2 seconds")
      yield* holder.letGo
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(waiter.has())
      yield* waiter.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("fibers of one process hand them on: no request but a look now and then", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const process = yield* world.aProcess("p")
      let [rounds, inside, most] = [0, 0, 0]
      const loop = Effect.forever(
        Effect.scoped(
          Effect.gen(function* () {
            yield* process.semaphore.take(id, { limit: 8, waitSchedule })
            rounds++
            most = Math.max(most, ++inside)
            yield* Effect.sleep("5 millis")
            inside--
          })
        )
      )
      const fibers = yield* Effect.forEach(Array.from({ length: 64 }), () => Effect.forkChild(loop))
      for (let step = 0; step < 1000; step++) yield* TestClock.adjust("5 millis")
      assert.isAbove(rounds, 7000)
      assert.strictEqual(most, 8)
      assert.isAtMost(process.requests.length, 12)
      yield* Fiber.interruptAll(fibers)
      yield* TestClock.adjust("6 seconds")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("leases that fibers of one process took one after the other are renewed with one write", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const process = yield* world.aProcess("p")
      const held: Array<Effect.Success<ReturnType<typeof wants>>> = []
      for (let second = 0; second < 4; second++) {
        held.push(yield* wants(process.semaphore.take(id, { limit: 8 })))
        yield* TestClock.adjust("1 second")
      }
      assert.lengthOf((yield* process.semaphore.inspect(id)).holders, 4)
      process.requests.length = 0
      for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
      // One for each third of the TTL, as with one lease.
      assert.isAtMost(process.requests.length, 20)
      // A write that is applied without an answer, and one that is not applied, cost no lease.
      process.faults.push(["write", "Lost"], ["write", "Refused"], ["write", "Conflicts"])
      for (let second = 0; second < 15; second++) yield* TestClock.adjust("1 second")
      // An operator takes one away: that is noticed, and the others are kept.
      const [, robbed] = (yield* process.semaphore.inspect(id)).holders
      assert.isTrue(yield* process.semaphore.break(id, robbed!.holder))
      for (let second = 0; second < 15; second++) yield* TestClock.adjust("1 second")
      const permits = yield* Effect.forEach(held, ({ fiber }) => Fiber.join(fiber))
      for (const { holderId, isValid } of permits as ReadonlyArray<Permit>) {
        assert.strictEqual(yield* isValid, holderId !== robbed!.holder)
      }
      assert.isFalse((yield* process.semaphore.inspect(id)).holders.some(({ isExpired }) => isExpired))
      for (const { letGo } of held) yield* letGo
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect(
    "leases of one process that are due while the write is under way that renews them are not written again",
    () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const { requests, store } = FaultyStore.over(world.memory)
        const { semaphore } = yield* servicesOver(
          { ...store, compareAndSwap: (id, write) => Effect.delay(store.compareAndSwap(id, write), "20 millis") },
          "p"
        )
        for (let second = 0; second < 4; second++) {
          yield* wants(semaphore.take(id, { limit: 8 }))
          yield* TestClock.adjust("1 second")
        }
        assert.lengthOf((yield* semaphore.inspect(id)).holders, 4)
        requests.length = 0
        for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
        assert.isAtMost(requests.length, 20)
      }).pipe(Effect.scoped)
  )

  it.effect("a lease that is renewed alone, since another one has changed, holds up none of the others", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { faults, requests, semaphore } = yield* world.aProcess("p")
      for (let second = 0; second < 2; second++) {
        yield* wants(semaphore.take(id, { limit: 8 }))
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("10 seconds")
      requests.length = 0
      faults.push(["write", "Conflicts"], ["write", "Hangs"])
      while (requests.length === 0) yield* TestClock.adjust("100 millis")
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(requests, ["write", "write", "write"])
    }).pipe(Effect.scoped)
  )

  it.effect("fibers that come while others give permits back are not forgotten", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const process = yield* world.aProcess("p")
      const take = process.semaphore.take(id, { limit: 4, waitSchedule, releaseInBackground: true })
      const held = yield* Effect.forEach([1, 2, 3, 4], () => wants(take))
      const scopes = yield* Effect.forEach(held, ({ letGo }) => Effect.succeed(letGo))
      yield* Effect.forkChild(scopes[0]!)
      const again = yield* Effect.forEach([1, 2], () => wants(take))
      yield* Effect.forkChild(scopes[1]!)
      yield* TestClock.adjust(10)
      assert.isTrue(again.every(({ has }) => has()))
      assert.isAtMost(
        (yield* process.semaphore.inspect(id)).holders.reduce((sum, { permits }) => sum + permits, 0),
        4
      )
      yield* Effect.forEach([...held.slice(2), ...again], ({ letGo }) => letGo)
      yield* TestClock.adjust("6 seconds")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("a process does not keep them from others for longer than its budget", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [greedy, other] = [yield* world.aProcess("greedy"), yield* world.aProcess("other")]
      const hold = Effect.scoped(
        Effect.andThen(greedy.semaphore.take(id, { limit, waitSchedule }), Effect.sleep("5 millis"))
      )
      const fibers = yield* Effect.forEach(Array.from({ length: 16 }), () => Effect.forkChild(Effect.forever(hold)))
      yield* TestClock.adjust("100 millis")
      const waiter = yield* wants(other.semaphore.take(id, { limit, waitSchedule }))
      for (let step = 0; step < 150; step++) yield* TestClock.adjust("10 millis")
      assert.isTrue(waiter.has())
      yield* Fiber.interruptAll(fibers)
      yield* waiter.letGo
      yield* TestClock.adjust("6 seconds")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("a writer waits for the readers of its own process, and holds back those behind it", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { shared } = yield* world.aProcess("one")
      const first = yield* wants(shared.shared(id, { waitSchedule }))
      const beside = yield* wants(shared.shared(id, { waitSchedule }))
      const writer = yield* wants(shared.exclusive(id, { waitSchedule }))
      const behind = yield* wants(shared.shared(id, { waitSchedule }))
      const who = () => [first, beside, writer, behind].map((one) => one.has())
      assert.deepStrictEqual(who(), [true, true, false, false])
      yield* first.letGo
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(who(), [true, true, false, false])
      yield* beside.letGo
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(who(), [true, true, true, false])
      yield* writer.letGo
      yield* TestClock.adjust("100 millis")
      assert.isTrue(behind.has())
      yield* behind.letGo
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("a writer is not kept out by readers of one process that overlap", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [readers, other] = [yield* world.aProcess("readers"), yield* world.aProcess("other")]
      const read = Effect.scoped(Effect.andThen(readers.shared.shared(id, { waitSchedule }), Effect.sleep("30 millis")))
      const fibers = yield* Effect.forEach([0, 10, 20], (delay) =>
        Effect.forkChild(Effect.delay(Effect.forever(read), delay))
      )
      yield* TestClock.adjust("100 millis")
      const writer = yield* wants(other.shared.exclusive(id, { waitSchedule }))
      for (let step = 0; step < 150; step++) yield* TestClock.adjust("10 millis")
      assert.isTrue(writer.has())
      yield* Fiber.interruptAll(fibers)
      yield* writer.letGo
      yield* TestClock.adjust("6 seconds")
      yield* world.isUntouched
    }).pipe(Effect.scoped)
  )

  // Processes that a writer lets in as readers, with one write.
  const readersTogether = Effect.fnUntraced(function* (names: ReadonlyArray<string>, isFollowed = false) {
    const world = yield* setUp
    const first = yield* world.aProcess("first")
    const before = yield* wants(first.shared.exclusive(id))
    const readers = yield* Effect.forEach(names, (name) =>
      Effect.gen(function* () {
        const process = yield* world.aProcess(name)
        const held = yield* wants(process.shared.shared(id, { waitSchedule, releaseInBackground: true }))
        return { process, held }
      })
    )
    const last = yield* world.aProcess("last")
    const behind = isFollowed ? yield* wants(last.shared.exclusive(id, { waitSchedule })) : undefined
    yield* before.letGo
    assert.isTrue(readers.every(({ held }) => held.has()))
    const holders = Effect.map(first.shared.inspect(id), ({ holders }) =>
      holders.map(({ holder }) => holder.split("/")[0])
    )
    return { ...world, first, readers, behind, holders }
  })

  it.effect("readers that came in together write their releases one after the other", () =>
    Effect.gen(function* () {
      const { holders, isUntouched, readers } = yield* readersTogether(["a", "b", "c"])
      for (const { held } of readers.toReversed()) yield* held.letGo
      // Three milliseconds have passed since the first one has left.
      const left = [yield* holders]
      for (let step = 0; step < 2; step++) {
        yield* TestClock.adjust(leavesApart.millis)
        left.push(yield* holders)
      }
      assert.deepStrictEqual(left, [["b", "c"], ["c"], []])
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("a reader that came alone gives way to nobody when it leaves", () =>
    Effect.gen(function* () {
      const { holders, readers } = yield* readersTogether(["a", "b", "c"])
      const [a, b, c] = readers
      yield* c!.held.letGo
      yield* TestClock.adjust(100)
      // It comes back to a line in use, and does not wait.
      const alone = yield* wants(c!.process.shared.shared(id, { waitSchedule, releaseInBackground: true }))
      assert.isTrue(alone.has())
      yield* alone.letGo
      assert.deepStrictEqual(yield* holders, ["a", "b"])
      for (const { held } of [a!, b!]) yield* held.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("a writer gets its place at once, however many readers are to leave before its process", () =>
    Effect.gen(function* () {
      const { first, readers } = yield* readersTogether(["a", "b", "c", "d"])
      const [, , , d] = readers
      const waiting = Effect.map(first.shared.inspect(id), ({ waiters }) => waiters.map(({ mode }) => mode))
      yield* d!.held.letGo
      const writer = yield* wants(d!.process.shared.exclusive(id, { waitSchedule }))
      assert.deepStrictEqual(yield* waiting, ["exclusive"])
      for (const { held } of readers.slice(0, 3)) yield* held.letGo
      yield* TestClock.adjust(100)
      assert.isTrue(writer.has())
      yield* writer.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("readers of a process still share a lease when the time has come for a release that hurried", () =>
    Effect.gen(function* () {
      const { holders, readers } = yield* readersTogether(["a", "b", "c", "d"])
      for (const { held } of readers) yield* held.letGo
      const { shared } = readers[3]!.process
      const writer = yield* wants(shared.exclusive(id, { waitSchedule }))
      yield* TestClock.adjust(6)
      assert.isTrue(writer.has())
      yield* writer.letGo
      const reader = yield* wants(shared.shared(id))
      // The time at which the reader would have left that was to give way to three others.
      yield* TestClock.adjust(5)
      const beside = yield* wants(shared.shared(id))
      assert.deepStrictEqual(yield* holders, ["d"])
      for (const { letGo } of [reader, beside]) yield* letGo
    }).pipe(Effect.scoped)
  )

  it.effect("the last reader that leaves lets the writer in with one write, whoever it is", () =>
    Effect.gen(function* () {
      for (const order of [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [1, 3, 0, 2]
      ]) {
        const { behind, isUntouched, readers } = yield* readersTogether(["a", "b", "c", "d"], true)
        const writer = behind!
        for (const { process } of readers) process.requests.length = 0
        for (const index of order) {
          assert.isFalse(writer.has())
          yield* readers[index]!.held.letGo
          yield* TestClock.adjust(100)
        }
        assert.isTrue(writer.has())
        assert.deepStrictEqual(
          readers.map(({ process }) => process.requests),
          readers.map(() => ["write"])
        )
        yield* writer.letGo
        yield* isUntouched
      }
    }).pipe(Effect.scoped)
  )

  it.effect("16 processes, 4 permits: in turn, near to what the server allows, and with one request each", () =>
    Effect.gen(function* () {
      const { most, perSecond, requests, events, jain, longestWait } = yield* contest(
        { hold: 20, seconds: 1 },
        ({ semaphore }) => semaphore.take(id, { limit: 4, waitSchedule, releaseInBackground: true })
      )
      assert.isAtMost(most, 4)
      // A write takes 3 ms, so the most is 4 * 1000 / 23.
      assert.isAbove(perSecond, 0.9 * 174)
      assert.isAtMost(requests, 1.1)
      assert.isAtMost(events, 2.2)
      assert.isAbove(jain, 0.98)
      assert.isBelow(longestWait, 120)
    }).pipe(Effect.scoped)
  )

  it.effect("16 processes, 4 permits that are held for no time: in turn, and with one request each", () =>
    Effect.gen(function* () {
      const { events, jain, most, perSecond, requests } = yield* contest({ hold: 0, seconds: 1 }, ({ semaphore }) =>
        semaphore.take(id, { limit: 4, waitSchedule, releaseInBackground: true })
      )
      assert.isAtMost(most, 4)
      // The server applies one write after the other, in 3 ms at least.
      assert.isAbove(perSecond, 0.4 * (1000 / 3))
      assert.isAtMost(requests, 1.1)
      assert.isAtMost(events, 2.2)
      assert.isAbove(jain, 0.98)
    }).pipe(Effect.scoped)
  )

  it.effect("16 processes that pause, on a slow server: in turn, and without a look at the line", () =>
    Effect.gen(function* () {
      const { jain, most, perSecond, requests } = yield* contest(
        { hold: 20, pause: 100, seconds: 2, way: 10 },
        ({ semaphore }) => semaphore.take(id, { limit: 4, waitSchedule })
      )
      assert.isAtMost(most, 4)
      assert.isAbove(perSecond, 50)
      // A join, a release, and one in about two releases names the waiter that it let in with a second request.
      assert.isAtMost(requests, 2.8)
      assert.isAbove(jain, 0.98)
    }).pipe(Effect.scoped)
  )

  it.effect("of readers, one of ten a writer: many times as many as of a lock, with few requests and events", () =>
    Effect.gen(function* () {
      const options = { waitSchedule, releaseInBackground: true }
      const { perSecond: exclusive } = yield* contest({ hold: 20, seconds: 1 }, ({ lock }) => lock.scoped(id, options))
      const { events, perSecond, requests } = yield* contest({ hold: 20, seconds: 3 }, ({ shared }, random) =>
        random() < 0.1 ? shared.exclusive(id, options) : shared.shared(id, options)
      )
      assert.isAbove(perSecond, 2.5 * exclusive)
      assert.isAtMost(requests, 1.1)
      assert.isAtMost(events, 4)
    }).pipe(Effect.scoped)
  )
})

describe("a process whose budget is over", () => {
  // Readers of one process, and then a writer of another one, of which the process has not heard.
  const contested = Effect.gen(function* () {
    const { aProcess } = yield* setUp
    const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
    const reader = yield* wants(us.shared.shared(id))
    const writer = yield* wants(them.shared.exclusive(id, { waitSchedule }))
    yield* TestClock.adjust("2500 millis")
    assert.deepStrictEqual(us.requests, ["read", "write"])
    return { us, reader, writer }
  })

  it.effect("lets no reader in beside its own, if a writer waits elsewhere", () =>
    Effect.gen(function* () {
      const { reader, us, writer } = yield* contested
      const another = yield* wants(us.shared.shared(id, { waitSchedule }))
      assert.isFalse(another.has())
      yield* reader.letGo
      assert.isTrue(writer.has())
      assert.isFalse(another.has())
      yield* writer.letGo
      assert.isTrue(another.has())
      yield* another.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("nor one that only tries", () =>
    Effect.gen(function* () {
      const { reader, us, writer } = yield* contested
      assert.strictEqual((yield* Effect.flip(Effect.scoped(us.shared.tryShared(id))))._tag, "LockConflict")
      yield* reader.letGo
      assert.isTrue(writer.has())
      yield* writer.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("asks nothing if it has heard that others wait", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const holder = yield* wants(us.semaphore.take(id, { limit: 1 }))
      const next = yield* wants(them.semaphore.take(id, { limit: 1, waitSchedule }))
      // A renewal shows it.
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(us.requests, ["read", "write", "write"])
      const another = yield* wants(us.semaphore.take(id, { limit: 1, waitSchedule }))
      assert.lengthOf(us.requests, 3)
      for (const one of [holder, next, another]) {
        assert.isTrue(one.has())
        yield* one.letGo
      }
    }).pipe(Effect.scoped)
  )

  it.effect("lets readers in with one look, if nobody waits elsewhere", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const reader = yield* wants(us.shared.shared(id))
      yield* TestClock.adjust("2500 millis")
      const before = us.requests.length
      const others = [
        yield* wants(us.shared.shared(id, { waitSchedule })),
        yield* wants(us.shared.tryShared(id)),
        yield* wants(us.shared.shared(id, { waitSchedule }))
      ]
      assert.isTrue(others.every(({ has }) => has()))
      assert.strictEqual(us.requests.length, before + 1)
      for (const { letGo } of [...others, reader]) yield* letGo
    }).pipe(Effect.scoped)
  )

  it.effect("hands on no permit that a downgrade makes free, if others wait", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const first = yield* wants(us.shared.exclusive(id))
      const second = yield* wants(us.shared.exclusive(id, { waitSchedule }))
      const reader = yield* wants(us.shared.shared(id, { waitSchedule }))
      yield* TestClock.adjust("500 millis")
      const writer = yield* wants(them.shared.exclusive(id, { waitSchedule }))
      yield* TestClock.adjust("4 seconds")
      yield* (yield* Fiber.join(first.fiber)).downgrade
      yield* TestClock.adjust(10)
      assert.isFalse(reader.has())
      yield* first.letGo
      for (const one of [writer, second, reader]) {
        assert.isTrue(one.has())
        yield* one.letGo
      }
    }).pipe(Effect.scoped)
  )

  it.effect("hands nothing on because one that waited gives up", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const before = yield* wants(them.shared.exclusive(id))
      const first = yield* wants(us.shared.shared(id, { waitSchedule }))
      const own = yield* wants(us.shared.exclusive(id, { waitSchedule }))
      const behind = yield* wants(us.shared.shared(id, { waitSchedule }))
      const impatient = yield* wants(us.shared.shared(id, { waitSchedule }))
      yield* before.letGo
      assert.isTrue(first.has())
      const writer = yield* wants(them.shared.exclusive(id, { waitSchedule }))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.interrupt(impatient.fiber)
      yield* TestClock.adjust(10)
      assert.isFalse(behind.has())
      yield* first.letGo
      for (const one of [writer, own, behind]) {
        assert.isTrue(one.has())
        yield* one.letGo
      }
    }).pipe(Effect.scoped)
  )
})

describe("messages of permits", () => {
  const hurried = LockPolicy.fixedPolls("10 millis", 2)

  it.effect("say that the process itself has too many, and what that can lead to", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const { semaphore, shared } = yield* aProcess("us")
      yield* semaphore.take(id, { limit: 1 })
      const tried = yield* Effect.flip(semaphore.takeIfAvailable(id, { limit: 1 }))
      assert.deepInclude(tried, { _tag: "LockConflict", what: "semaphore", thisProcess: "Holds" })
      assert.match(
        tried.message,
        /^Cannot acquire permits of semaphore "gate" \(gate in memory\): this process has too many of them itself, as us\/.* until .*\. A fiber that has permits and asks for more may wait for itself\.$/
      )
      const waits = yield* Effect.forkChild(Effect.flip(semaphore.take(id, { limit: 1, waitSchedule: hurried })))
      yield* TestClock.adjust("1 second")
      assert.match((yield* Fiber.join(waits)).message, /^Gave up waiting for permits of semaphore .* has too many/)
      assert.strictEqual((yield* Effect.flip(shared.tryShared(id)))._tag, "LockMismatch")
    }).pipe(Effect.scoped)
  )

  it.effect("say whose others are, and that others may wait", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* them.semaphore.take(id, { limit: 1 })
          const error = yield* Effect.flip(us.semaphore.takeIfAvailable(id, { limit: 1 }))
          assert.match(error.message, /: too few are free, or others wait\. Among those in the line: them\//)
        })
      )
      yield* them.shared.exclusive(id)
      const error = yield* Effect.flip(us.shared.tryShared(id))
      assert.match(
        error.message,
        /^Cannot acquire shared lock "gate" .*: it is held, or others wait\. Among those in the line: them\//
      )
    }).pipe(Effect.scoped)
  )
})

describe("a semaphore", () => {
  it.effect("dies of a limit or a number of permits that cannot be, and says what to give", () =>
    Effect.gen(function* () {
      const { semaphore } = yield* (yield* setUp).aProcess("us")
      const deathOf = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.exit(effect), (exit) =>
          Exit.isFailure(exit) && Exit.hasDies(exit) ? String(Cause.squash(exit.cause)) : assert.fail("it lives")
        )
      const taking = (limit: unknown, permits?: unknown) =>
        Effect.scoped(semaphore.take(id, { limit, permits } as Semaphore.TakeOptions))
      for (const [limit, shown] of [
        [0, "0"],
        [-1, "-1"],
        [1.5, "1.5"],
        [Number.NaN, "NaN"],
        ["4", '"4"'],
        [undefined, "undefined"]
      ] as const) {
        const said = `RangeError: The limit of semaphore "gate" is ${shown}. Give a whole number from 1 to 999999999, the same in all processes.`
        assert.strictEqual(yield* deathOf(taking(limit)), said)
        const options = { limit: limit as number }
        const bound = Effect.provideService(Semaphore.of(id, options), Semaphore.Semaphore, semaphore)
        assert.strictEqual(yield* deathOf(bound), said)
      }
      for (const permits of [0, 5, 1.5]) {
        assert.strictEqual(
          yield* deathOf(taking(4, permits)),
          `RangeError: A contender asks for ${permits} permits of semaphore "gate". Ask for a whole number from 1 to its limit, which is 4.`
        )
      }
      const { withPermits } = yield* Effect.provideService(
        Semaphore.of(id, { limit: 2 }),
        Semaphore.Semaphore,
        semaphore
      )
      assert.match(yield* deathOf(withPermits(3)(Effect.void)), /asks for 3 permits/)
    })
  )

  it.effect("whose mark a stranger has deleted is joined in turn: the first to come restores the mark", () =>
    Effect.gen(function* () {
      const { aProcess, isUntouched, memory, read } = yield* setUp
      const [a, b, c] = [yield* aProcess("a"), yield* aProcess("b"), yield* aProcess("c")]
      const holder = yield* wants(a.semaphore.take(id, { limit: 1 }))
      const { resourceVersion } = yield* read
      yield* memory.store.compareAndSwap(id, {
        expect: { resourceVersion },
        annotations: { "kubelock.dev/lock": null }
      })
      const waiters = [
        yield* wants(b.semaphore.take(id, { limit: 1, waitSchedule })),
        yield* wants(c.semaphore.take(id, { limit: 1, waitSchedule }))
      ]
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* read).annotations["kubelock.dev/lock"], "semaphore of 1")
      const names = (yield* a.semaphore.inspect(id)).waiters.map(({ holder }) => holder.split("/")[0])
      assert.deepStrictEqual(names, ["b", "c"])
      const before = b.requests.length
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(b.requests.length, before)
      for (const one of [holder, ...waiters]) {
        assert.isTrue(one.has())
        yield* one.letGo
      }
      yield* TestClock.adjust("1 second")
      yield* isUntouched
    }).pipe(Effect.scoped)
  )
})

describe("permits that are held for longer than their layer exists", () => {
  it.effect("are given back when their scope closes, and no timer is left", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let asleep = 0
      const counting: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        sleep: (duration) =>
          Effect.suspend(() => {
            asleep++
            return Effect.ensuring(
              clock.sleep(duration),
              Effect.sync(() => asleep--)
            )
          })
      }
      yield* Effect.gen(function* () {
        const { aProcess, isUntouched } = yield* setUp
        const [layer, scope] = [yield* Scope.make(), yield* Scope.make()]
        const { semaphore, shared } = yield* Scope.provide(aProcess("us"), layer)
        const other = yield* Scope.make()
        const { semaphore: theirs } = yield* Scope.provide(aProcess("them"), other)
        for (const [take, scope2] of [
          [semaphore.take(id, { limit: 3 }), scope],
          [semaphore.take(id, { limit: 3 }), scope],
          [shared.shared("routes", { createIfMissing: true }), scope],
          [theirs.take(id, { limit: 3 }), other]
        ] as const) {
          yield* Effect.forkChild(Scope.provide(Effect.asVoid<unknown, unknown, Scope.Scope>(take), scope2))
          yield* TestClock.adjust(10)
        }
        yield* Scope.close(layer, Exit.void)
        yield* TestClock.adjust("5 seconds")
        yield* Scope.close(other, Exit.void)
        yield* Scope.close(scope, Exit.void)
        yield* isUntouched
      }).pipe(Effect.provideService(Clock.Clock, counting))
      yield* Effect.yieldNow
      assert.strictEqual(asleep, 0)
    })
  )
})

describe("a shared lock whose write got no answer", () => {
  it.effect("lets no writer of its process in beside readers of others after a downgrade", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(us.shared.exclusive(id, { waitSchedule }), scope)
      const second = yield* wants(us.shared.exclusive(id, { waitSchedule }))
      us.faults.push(...Array.from({ length: 40 }, () => ["write", "Lost"] as const))
      yield* Effect.forkChild(first.downgrade)
      yield* TestClock.adjust("50 millis")
      const reader = yield* wants(them.shared.tryShared(id))
      assert.isTrue(reader.has())
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("300 millis")
      assert.isFalse(second.has(), "a writer is beside a reader")
      us.faults.length = 0
      yield* reader.letGo
      yield* TestClock.adjust("20 seconds")
      assert.isTrue(second.has())
      yield* second.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("is given back if its scope closes while it is upgraded", () =>
    Effect.gen(function* () {
      const { isUntouched, memory } = yield* setUp
      const { store } = memory
      const slow = {
        ...store,
        compareAndSwap: (which: string, write: ConditionalPatch) =>
          Effect.delay(store.compareAndSwap(which, write), "300 millis")
      }
      const shared = yield* SharedLock.make().pipe(Effect.provideService(ObjectStore, slow))
      const reader = yield* wants(
        Effect.tap(shared.shared(id), (held) => Effect.forkDetach(held.tryUpgrade, { startImmediately: true }))
      )
      yield* TestClock.adjust("400 millis")
      yield* Effect.forkChild(reader.letGo)
      yield* TestClock.adjust("2 seconds")
      yield* isUntouched
    }).pipe(Effect.scoped)
  )

  it.effect("brings a greater token to a reader that upgrades as soon as it is handed the lease of a writer", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const { shared } = yield* aProcess("us")
      const writer = yield* wants(shared.exclusive(id, { releaseInBackground: true }))
      const tokens: Array<bigint> = [(yield* Fiber.join(writer.fiber)).fencingToken]
      const reader = yield* wants(
        Effect.gen(function* () {
          const held = yield* shared.shared(id)
          const upgraded = yield* held.tryUpgrade
          tokens.push(held.fencingToken, Option.getOrThrow(upgraded).fencingToken)
        })
      )
      yield* writer.letGo
      yield* Fiber.join(reader.fiber)
      assert.isTrue(tokens[0]! < tokens[1]! && tokens[1]! < tokens[2]!, String(tokens))
      yield* reader.letGo
    }).pipe(Effect.scoped)
  )
})

/** What happens when something goes wrong: one test for each line of the table in docs/refresh.md. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../src/Lock.ts"
import * as LockError from "../../src/LockError.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as RefreshMetrics from "../../src/RefreshMetrics.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as FaultyStore from "../utils/FaultyStore.ts"
import { generationOf, id, lifetime, pausable, Refused, setUp, slowWrites, token } from "./fixture.ts"

const key = "kubelock.dev/lock"

/** A test with metrics of its own. */
const scenario = <E>(name: string, body: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(name, () => Effect.provideService(body(), Metric.MetricRegistry, new Map()))

const ended = (outcome: string) =>
  Effect.map(Metric.value(Metric.withAttributes(RefreshMetrics.refreshes, { outcome })), ({ count }) => count)

/** Removes the annotations of the lock, as a late release of Dex does. */
const wipe = (world: Effect.Success<typeof setUp>) =>
  Effect.flatMap(world.sound.read(id), ({ resourceVersion }) =>
    world.sound.compareAndSwap(id, { expect: { resourceVersion }, annotations: LockRecord.removal(key) })
  )

/** A process that takes over, and gets a token for one that was spent: the upstream has a reuse interval. */
const anotherWithReuse = ({ aProcess, upstream }: Pick<Effect.Success<typeof setUp>, "aProcess" | "upstream">) => {
  upstream.generation = 1
  upstream.after = Effect.void
  return aProcess({
    takeoverGrace: 0,
    refresh: (current) => Effect.tap(upstream.refresh(current), () => Effect.sync(() => void (upstream.generation = 7)))
  })
}

/** What a server may answer by mistake, or for a moment. */
const passing = [
  new LockError.Unauthorized({ object: id, detail: "the server answered 401" }),
  new LockError.Forbidden({ object: id, verb: "patch", status: 403, detail: "no" }),
  new LockError.NotFound({ id, object: id, missing: "resource" }),
  new LockError.NotFound({ id, object: id, missing: "object" })
]

describe("the upstream refuses", () => {
  scenario(
    "and all waiters of the flight get its typed error, the lock is released, and the next caller tries again",
    () =>
      Effect.gen(function* () {
        const { annotations, aProcess, upstream } = yield* setUp
        upstream.before = Effect.andThen(Effect.sleep("1 second"), new Refused({ why: "unavailable" }))
        const tokens = yield* aProcess()
        const callers = yield* Effect.forkChild(
          Effect.all([tokens.get(id), tokens.get(id), tokens.get(id)].map(Effect.flip), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("1 second")
        for (const error of yield* Fiber.join(callers))
          assert.deepInclude(error, { _tag: "Refused", why: "unavailable" })
        assert.strictEqual(upstream.calls, 1)
        assert.deepStrictEqual(yield* annotations, {})
        assert.strictEqual(yield* ended("Failed"), 1)
        assert.deepInclude(yield* Metric.value(RefreshMetrics.upstreamSeconds), { count: 1, sum: 1 })
        upstream.before = Effect.void
        assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      })
  )

  scenario("and a waiter in another process then asks itself", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      upstream.before = Effect.andThen(Effect.sleep("1 second"), new Refused({ why: "unavailable" }))
      const first = yield* Effect.forkChild(Effect.flip((yield* aProcess()).get(id)))
      yield* TestClock.adjust("500 millis")
      const second = yield* Effect.forkChild((yield* aProcess()).get(id))
      upstream.before = Effect.void
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(first))._tag, "Refused")
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(generationOf(yield* Fiber.join(second)), 1)
    })
  )
})

describe("the API server has just started", () => {
  for (const verb of ["read", "write"] as const) {
    scenario(`and a ${verb} that is forbidden while it loads its roles is tried again`, () =>
      Effect.gen(function* () {
        const { aProcess, faults, requests } = yield* setUp
        const forbidden = new LockError.Forbidden({
          object: id,
          verb: "get",
          status: 403,
          refusedBy: "Authorizer",
          detail: "no"
        })
        const tokens = yield* aProcess()
        for (let time = 0; time < 3; time++) faults.push([verb, forbidden])
        const caller = yield* Effect.forkChild(tokens.get(id))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
        for (let time = 0; time < 100; time++) faults.push([verb, forbidden])
        yield* TestClock.adjust(lifetime)
        requests.length = 0
        const other = yield* Effect.forkChild(Effect.flip((yield* aProcess()).get(id)))
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(yield* Fiber.join(other), forbidden)
        assert.isAtMost(requests.length, 26)
      })
    )
  }
})

describe("an upstream whose answers get lost", () => {
  scenario("is left alone for as long as the application says, by every process, and callers hear of it at once", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      upstream.before = Effect.andThen(Effect.sleep("1 second"), new Refused({ why: "unavailable" }))
      const options = { pauseAfter: ({ why }: Refused) => (why === "unavailable" ? "20 seconds" : 0) } as const
      const processes = yield* Effect.all([aProcess(options), aProcess(options), aProcess(options)])
      const first = yield* Effect.forkChild(Effect.flip(processes[0].get(id)))
      yield* TestClock.adjust("500 millis")
      const others = yield* Effect.forkChild(
        Effect.all([processes[1].get(id), processes[2].get(id)].map(Effect.exit), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(first))._tag, "Refused")
      const again = yield* Effect.forkChild(Effect.exit(processes[0].get(id)))
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(upstream.calls, 1)
      yield* TestClock.adjust("30 seconds")
      yield* Effect.all([Fiber.join(others), Fiber.join(again)])
      assert.strictEqual(upstream.calls, 2)
    })
  )

  scenario("is left alone for so long, too, if the process is cut off meanwhile for longer than its lease lasts", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, sound, upstream } = yield* setUp
      const us = yield* pausable(sound)
      const one = yield* aProcess({ pauseAfter: () => "1 minute" }, us.store)
      const two = yield* aProcess()
      upstream.before = new Refused({ why: "unavailable" })
      yield* Effect.flip(one.get(id))
      upstream.before = Effect.void
      const other = yield* Effect.forkChild(Effect.retry(two.get(id), { times: 3 }))
      yield* us.pause
      yield* TestClock.adjust("20 seconds")
      yield* us.resume
      yield* TestClock.adjust("39 seconds")
      assert.strictEqual(upstream.calls, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(upstream.calls, 2)
      assert.strictEqual(generationOf(yield* Fiber.join(other)), 1)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )

  scenario("does not keep a scope from closing, and the lock is released then", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, upstream } = yield* setUp
      upstream.before = new Refused({ why: "unavailable" })
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(aProcess({ pauseAfter: () => "1 hour" }), scope)
      yield* Effect.flip(tokens.get(id))
      assert.isNotEmpty(yield* annotations)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )
})

describe("a pauseAfter that throws", () => {
  scenario("is a defect for the callers, and the lock is released", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, upstream } = yield* setUp
      upstream.before = new Refused({ why: "unavailable" })
      const tokens = yield* aProcess({
        pauseAfter: () => {
          throw new Error("a bug")
        }
      })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(tokens.get(id))))
      assert.deepStrictEqual(yield* annotations, {})
    })
  )
})

describe("a refresh that throws", () => {
  scenario(
    "is counted as failed, and a caller that comes while the lock is still being released gets another one",
    () =>
      Effect.gen(function* () {
        const { aProcess, sound, upstream } = yield* setUp
        const slow = yield* slowWrites(sound)
        let isWrong = true
        const tokens = yield* aProcess(
          {
            refresh: (current) => {
              if (isWrong) throw new Error("a bug")
              return upstream.refresh(current)
            }
          },
          slow.store
        )
        slow.by("1 second")
        const first = yield* Effect.forkChild(Effect.exit(tokens.get(id)))
        yield* TestClock.adjust("1500 millis")
        isWrong = false
        const second = yield* Effect.forkChild(tokens.get(id))
        yield* TestClock.adjust("6 seconds")
        assert.isTrue(Exit.hasDies(yield* Fiber.join(first)))
        assert.strictEqual(generationOf(yield* Fiber.join(second)), 1)
        assert.strictEqual(yield* ended("Failed"), 1)
      })
  )
})

describe("a caller that comes after the refusal, while the lock is still being released", () => {
  scenario("does not get the old refusal", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const slow = yield* slowWrites(sound)
      const tokens = yield* aProcess({}, slow.store)
      upstream.before = new Refused({ why: "unavailable" })
      slow.by("1 second")
      const first = yield* Effect.forkChild(Effect.exit(tokens.get(id)))
      yield* TestClock.adjust("1500 millis")
      upstream.before = Effect.void
      const second = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("6 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
      assert.strictEqual(generationOf(yield* Fiber.join(second)), 1)
    })
  )
})

describe("the upstream hangs", () => {
  scenario("and the lock is renewed, each caller keeps its own time-out, and others wait as the policy says", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, upstream } = yield* setUp
      upstream.before = Effect.sleep("1 minute")
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      const patient = yield* Effect.forkChild(one.get(id))
      const impatient = yield* Effect.forkChild(Effect.timeoutOption(one.get(id), "2 seconds"))
      yield* TestClock.adjust("1 second")
      const other = yield* Effect.forkChild(Effect.flip(two.get(id)))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* Fiber.join(impatient)))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(other.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const timeout = yield* Fiber.join(other)
      assert.isTrue(timeout._tag === "LockTimeout" && timeout.holder !== undefined)
      yield* TestClock.adjust("20 seconds")
      const lease = LockRecord.leaseOf(LockRecord.fromAnnotations(key, yield* annotations))
      assert.isTrue(lease !== undefined && lease.expiresAt > 52_000)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(patient)), 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )
})

describe("the lock is lost during the upstream call", () => {
  scenario("and no process took over: the answer is written anyway", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, sound, stored, upstream } = yield* setUp
      const us = yield* pausable(sound)
      upstream.after = Effect.sleep("30 seconds")
      const caller = yield* Effect.forkChild((yield* aProcess({}, us.store)).get(id))
      yield* Effect.andThen(TestClock.adjust("1 second"), us.pause)
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(yield* stored)
      yield* us.resume
      yield* TestClock.adjust("1 second")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.deepStrictEqual(yield* annotations, {})
      assert.strictEqual(yield* ended("Written"), 1)
    })
  )

  scenario("because it was wiped, as Dex may do: the process takes the lock again and writes the answer", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { annotations, aProcess, stored, upstream } = world
      upstream.after = Effect.sleep("1 second")
      const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("500 millis")
      yield* wipe(world)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.strictEqual(yield* ended("Written"), 1)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )

  scenario("because it was wiped, and a new login replaces the value first: the answer is not written over that", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { aProcess, stored, upstream } = world
      upstream.after = Effect.sleep("1 second")
      const tokens = yield* aProcess()
      const caller = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("500 millis")
      yield* wipe(world)
      const replacing = yield* Effect.forkChild(tokens.replace(id, yield* token(7)))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(replacing)
      assert.strictEqual(yield* stored, 7)
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 7)
      assert.strictEqual(yield* ended("Written"), 0)
      assert.strictEqual(yield* ended("NotWritten"), 1)
    })
  )

  scenario("because it was wiped: the process goes on, whatever the server answers for a while", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { aProcess, faults, stored, upstream } = world
      upstream.after = Effect.sleep("1 second")
      const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("500 millis")
      yield* wipe(world)
      for (const error of passing)
        faults.push(["read", "None"], ["read", "None"], ["read", error], ["write", "None"], ["write", error])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.strictEqual(yield* ended("Written"), 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )

  scenario("to a process that stores nothing: the answer is written as soon as that process releases", () =>
    Effect.gen(function* () {
      const { aProcess, sound, stored, upstream } = yield* setUp
      const us = yield* pausable(sound)
      upstream.after = Effect.sleep("20 seconds")
      const caller = yield* Effect.forkChild((yield* aProcess({}, us.store)).get(id))
      yield* Effect.andThen(TestClock.adjust("1 second"), us.pause)
      yield* TestClock.adjust("14 seconds")
      const stranger = yield* Lock.make().pipe(Effect.provideService(ObjectStore, sound))
      const scope = yield* Scope.make()
      yield* Scope.provide(stranger.tryScoped(id), scope)
      const other = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* us.resume
      // The process that asked has its answer now. The other one reads the object ten times a second.
      yield* TestClock.adjust("12345 millis")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("2 seconds")
      const soon = yield* stored
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual([yield* Fiber.join(caller), yield* Fiber.join(other)].map(generationOf), [1, 1])
      assert.strictEqual(soon, 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )

  scenario("to a process that stored a value: its value is never overwritten, and ours is reported", () =>
    Effect.gen(function* () {
      const { aProcess, sound, stored, upstream } = yield* setUp
      const us = yield* pausable(sound)
      const one = yield* aProcess({}, us.store)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      upstream.after = Effect.sleep("20 seconds")
      const paused = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      yield* us.pause
      yield* TestClock.adjust("15 seconds")
      const two = yield* anotherWithReuse({ aProcess, upstream })
      assert.strictEqual(generationOf(yield* two.get(id)), 2)
      const before = yield* sound.read(id)
      yield* TestClock.adjust("4 seconds")
      yield* us.resume
      yield* TestClock.adjust("1 second")
      const obtained = yield* Fiber.join(paused)
      const after = yield* sound.read(id)
      assert.deepStrictEqual(after.content, before.content)
      assert.deepStrictEqual(after.annotations, {})
      assert.deepStrictEqual(obtained, yield* two.get(id))
      assert.strictEqual(yield* stored, 2)
      assert.strictEqual(yield* ended("NotWritten"), 1)
    })
  )

  scenario("to a process that stored a value, while no API server was in reach: its value is handed out", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { annotations, aProcess, stored, upstream } = world
      const us = FaultyStore.over({ ...world, store: world.sound })
      const one = yield* aProcess({}, us.store)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      upstream.after = Effect.sleep("20 seconds")
      const cutOff = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      FaultyStore.failAll(us, "Refused")
      yield* TestClock.adjust("15 seconds")
      const two = yield* anotherWithReuse(world)
      const theirs = yield* two.get(id)
      yield* TestClock.adjust("10 seconds")
      us.faults.length = 0
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(cutOff), theirs)
      assert.strictEqual(yield* ended("NotWritten"), 1)
      assert.strictEqual(yield* stored, 2)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )

  scenario("to a process whose value is stale by now: the caller gets a typed error", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const us = yield* pausable(sound)
      upstream.after = Effect.sleep("100 seconds")
      const one = yield* aProcess({}, us.store)
      const lines: Array<string> = []
      const paused = yield* Effect.forkChild(
        Effect.flip(one.get(id)).pipe(
          Effect.provide(
            Logger.layer([Logger.make(({ logLevel, message }) => lines.push(`${logLevel} ${String(message)}`))])
          )
        )
      )
      yield* TestClock.adjust("1 second")
      yield* us.pause
      yield* TestClock.adjust("15 seconds")
      upstream.generation = 0
      upstream.after = Effect.void
      yield* (yield* aProcess({ takeoverGrace: 0 })).get(id)
      yield* TestClock.adjust("90 seconds")
      yield* us.resume
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(paused)
      assert.deepInclude(error, { _tag: "RefreshNotWritten" })
      assert.match(error.message, /^Could not write the new value of token in memory, so it is lost\. /)
      assert.include(lines, `Error ${error.message}`)
    })
  )
})

describe("a process that was paused right after it took the lock", () => {
  scenario("does not spend what it read, but reads again", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      let slow = true
      const compareAndSwap: typeof sound.compareAndSwap = (id, write) =>
        Effect.tap(sound.compareAndSwap(id, write), () => {
          if (!slow) return Effect.void
          slow = false
          return Effect.sleep("15 seconds")
        })
      const paused = yield* Effect.forkChild((yield* aProcess({}, { ...sound, compareAndSwap })).get(id))
      yield* TestClock.adjust("12 seconds")
      const two = yield* aProcess({ takeoverGrace: 0 })
      assert.strictEqual(generationOf(yield* two.get(id)), 1)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(paused)), 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )

  scenario("notices it without a dry run, too", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      let pause = Effect.void
      const compareAndSwap: typeof sound.compareAndSwap = (id, write) =>
        Effect.tap(sound.compareAndSwap(id, write), () => pause)
      const one = yield* aProcess({}, { ...sound, compareAndSwap })
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      pause = Effect.suspend(() => {
        pause = Effect.void
        return Effect.sleep("15 seconds")
      })
      const paused = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(generationOf(yield* (yield* aProcess({ takeoverGrace: 0 })).get(id)), 2)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(paused)), 2)
      assert.strictEqual(upstream.calls, 2)
    })
  )
})

describe("a crash between the upstream's answer and the writing", () => {
  scenario("makes the upstream refuse the next process once, and a spent token is not tried again", () =>
    Effect.gen(function* () {
      const { aProcess, sound, stored, upstream } = yield* setUp
      const us = yield* pausable(sound)
      const one = yield* aProcess({}, us.store)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      upstream.after = us.pause
      yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      upstream.after = Effect.void
      const two = yield* aProcess()
      const next = yield* Effect.forkChild(
        Effect.all([two.get(id), two.get(id)].map(Effect.flip), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("26 seconds")
      for (const error of yield* Fiber.join(next)) assert.deepInclude(error, { _tag: "Refused", why: "revoked" })
      assert.strictEqual(upstream.calls, 3)
      assert.strictEqual(yield* stored, 1)
      yield* us.resume
      yield* TestClock.adjust("1 second")
    })
  )
})

describe("the write", () => {
  for (const error of passing) {
    scenario(`that is answered ${error._tag} once is sent again (${error.message})`, () =>
      Effect.gen(function* () {
        const { aProcess, faults, stored, upstream } = yield* setUp
        faults.push(["write", "None"], ["write", error])
        const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
        assert.strictEqual(yield* stored, 1)
        assert.strictEqual(upstream.calls, 1)
      })
    )
  }

  scenario("whose answer is lost is read back, without a second refresh", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, faults, stored, upstream } = yield* setUp
      faults.push(["write", "None"], ["write", "Lost"])
      const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.deepStrictEqual(yield* annotations, {})
      assert.strictEqual(upstream.calls, 1)
    })
  )

  scenario("is tried again while the API server is out of reach", () =>
    Effect.gen(function* () {
      const { aProcess, faults, stored, upstream } = yield* setUp
      faults.push(["write", "None"], ...Array.from({ length: 8 }, () => ["write", "Refused"] as const))
      const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )
})

describe("the API server", () => {
  scenario("that is out of reach is asked again, and finally the error says so", () =>
    Effect.gen(function* () {
      const { aProcess, faults, upstream } = yield* setUp
      faults.push(["read", "Refused"], ...Array.from({ length: 3 }, () => ["write", "Refused"] as const))
      const tokens = yield* aProcess()
      const caller = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      faults.push(...Array.from({ length: 500 }, () => ["read", "Refused"] as const))
      const other = yield* Effect.forkChild(Effect.flip((yield* aProcess()).get(id)))
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual((yield* Fiber.join(other))._tag, "LockUnavailable")
      assert.strictEqual(upstream.calls, 1)
    })
  )

  scenario("that says when to come back is not asked earlier", () =>
    Effect.gen(function* () {
      const { aProcess, faults, requests } = yield* setUp
      const overloaded = { object: id, verb: "get", status: 429, detail: "overloaded", retryAfter: Duration.seconds(5) }
      faults.push(["read", new LockError.Unavailable(overloaded)])
      const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("4900 millis")
      assert.lengthOf(requests, 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
    })
  )
})

describe("the stored value", () => {
  scenario("on which a function of the schema throws is the same error, and replace overwrites it", () =>
    Effect.gen(function* () {
      const { store } = yield* setUp
      const made = (schema: Schema.Codec<string, string>) =>
        RefreshOnce.makeFromStore({
          schema,
          isFresh: () => Effect.succeed(true),
          refresh: () => Effect.succeed("old")
        }).pipe(Effect.provideService(ObjectStore, store))
      yield* (yield* made(Schema.String)).get(id)
      const Throwing = Schema.String.pipe(
        Schema.decodeTo(Schema.String, {
          decode: SchemaGetter.transform((text: string) => {
            if (text === "old") throw new Error("a bug in the schema")
            return text
          }),
          encode: SchemaGetter.passthrough()
        })
      )
      const tokens = yield* made(Throwing)
      assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshUnreadable")
      yield* tokens.replace(id, "new")
      assert.strictEqual(yield* tokens.get(id), "new")
    })
  )

  scenario("that does not match the schema is an error, and is left alone", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const tokens = yield* world.aProcess({ location: { ...world.location, path: ["spec"] } })
      const other = yield* world.aProcess({ location: { ...world.location, path: ["spec", "token"] } })
      yield* other.get(id)
      const before = yield* world.sound.read(id)
      const error = yield* Effect.flip(tokens.get(id))
      assert.deepInclude(error, { _tag: "RefreshUnreadable", field: "spec" })
      assert.deepStrictEqual(yield* world.sound.read(id), before)
    })
  )
})

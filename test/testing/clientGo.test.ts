/** The model of client-go's elector beside what the real one does. Each test is a row of what was seen or read there. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import * as Machine from "../simulation/machine.ts"
import * as MemoryLease from "../utils/MemoryLease.ts"

const start = Date.parse("2026-11-28T10:00:00.250Z")

const pass = (millis: number) => TestClock.adjust(Duration.millis(millis))

interface Settings extends Partial<LeaderElector.Options> {
  readonly machine?: Machine.Machine
}

/** A Lease, and electors that contend for it. Times are in milliseconds since the world began. */
const makeWorld = Effect.fnUntraced(function* (spec?: LeaderElector.LeaseSpec) {
  yield* TestClock.setTime(start)
  const memory = yield* MemoryLease.make(spec)
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe() - start
  const elect = Effect.fnUntraced(function* (identity: string, { machine, ...settings }: Settings = {}) {
    const seen = { leads: false, began: [] as Array<number>, ended: [] as Array<number>, leaders: [] as Array<string> }
    const onStartedLeading = Effect.acquireUseRelease(
      Effect.sync(() => {
        seen.leads = true
        seen.began.push(now())
      }),
      () => Effect.never,
      () =>
        Effect.sync(() => {
          seen.leads = false
          seen.ended.push(now())
        })
    )
    const campaign = LeaderElector.run(
      memory.api(identity),
      { ...LeaderElector.defaults, releaseOnCancel: true, identity, ...settings },
      { onStartedLeading, onNewLeader: (leader) => Effect.sync(() => void seen.leaders.push(leader)) }
    ).pipe(Random.withSeed(identity))
    // Detached: at the end of a test nobody lets the time of a release pass.
    const fiber = yield* Effect.forkDetach(
      machine === undefined ? campaign : Effect.provideService(campaign, Clock.Clock, machine.clock),
      { startImmediately: true }
    )
    return Object.assign(seen, {
      fiber,
      /** Ends its context, and lets it go on with that. */
      stop: Effect.gen(function* () {
        yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* pass(50)
      })
    })
  })
  const asked = (by: string) =>
    memory.requests.filter((one) => one.by === by).map(({ status, what }) => `${what} ${status}`)
  return { memory, now, elect, asked, spec: () => memory.lease()!.spec }
})

const pausesOf = (requests: ReadonlyArray<MemoryLease.LeaseRequest>, by: string) => {
  const times = requests.filter((one) => one.by === by).map(({ at }) => at)
  return times.slice(1).map((at, index) => at - times[index]!)
}

const short = {
  leaseDuration: Duration.seconds(6),
  renewDeadline: Duration.seconds(4),
  retryPeriod: Duration.seconds(1)
}

const held = {
  holderIdentity: "other",
  leaseDurationSeconds: 15,
  acquireTime: "2026-11-28T09:00:00.000000Z",
  renewTime: "2026-11-28T09:59:59.000000Z",
  leaseTransitions: 3
}

describe("client-go's elector, modelled", () => {
  it.effect("creates a Lease that is missing, and renews it at once", () =>
    Effect.gen(function* () {
      const { asked, elect, spec } = yield* makeWorld()
      const a = yield* elect("a")
      yield* pass(100)
      assert.isTrue(a.leads)
      assert.deepStrictEqual(asked("a"), ["GET 404", "POST 201", "PUT 200"])
      assert.deepStrictEqual(
        { ...spec() },
        {
          holderIdentity: "a",
          leaseDurationSeconds: 15,
          acquireTime: "2026-11-28T10:00:00.250000Z",
          renewTime: "2026-11-28T10:00:00.258000Z",
          leaseTransitions: 0
        }
      )
    })
  )

  it.effect("takes and releases a Lease with GET, PUT, PUT and then GET, PUT", () =>
    Effect.gen(function* () {
      const { asked, elect, spec } = yield* makeWorld({ holderIdentity: "", leaseTransitions: 4 })
      const a = yield* elect("a")
      yield* pass(100)
      yield* a.stop
      // The application is asked to stop before the release begins.
      assert.deepStrictEqual(a.ended, [100])
      assert.deepStrictEqual(asked("a"), ["GET 200", "PUT 200", "PUT 200", "GET 200", "PUT 200"])
      assert.deepStrictEqual(
        { ...spec() },
        {
          holderIdentity: "",
          leaseDurationSeconds: 1,
          acquireTime: "2026-11-28T10:00:00.354000Z",
          renewTime: "2026-11-28T10:00:00.354000Z",
          leaseTransitions: 5
        }
      )
    })
  )

  it.effect("leaves the Lease as it is if it does not release", () =>
    Effect.gen(function* () {
      const { asked, elect, spec } = yield* makeWorld()
      const a = yield* elect("a", { releaseOnCancel: false })
      yield* pass(100)
      yield* a.stop
      assert.isFalse(a.leads)
      assert.strictEqual(asked("a").length, 3)
      assert.strictEqual(spec().holderIdentity, "a")
    })
  )

  it.effect("renews with one PUT each retry period, and keeps acquireTime and transitions", () =>
    Effect.gen(function* () {
      const { asked, elect, memory, spec } = yield* makeWorld({})
      yield* elect("a")
      yield* pass(20_000)
      assert.deepStrictEqual(new Set(asked("a").slice(1)), new Set(["PUT 200"]))
      assert.deepStrictEqual(new Set(pausesOf(memory.requests, "a").slice(2)), new Set([2004]))
      assert.strictEqual(spec().acquireTime, "2026-11-28T10:00:00.250000Z")
      assert.strictEqual(spec().leaseTransitions, 1)
    })
  )

  it.effect("waits with one GET after 1 to 2.2 retry periods", () =>
    Effect.gen(function* () {
      const { asked, elect, memory } = yield* makeWorld()
      yield* elect("a")
      yield* pass(10)
      yield* elect("b")
      yield* pass(600_000)
      assert.deepStrictEqual(new Set(asked("b")), new Set(["GET 200"]))
      const pauses = pausesOf(memory.requests, "b")
      assert.isAtLeast(Math.min(...pauses), 2000)
      assert.isBelow(Math.min(...pauses), 2200)
      assert.isAtLeast(Math.max(...pauses), 4200)
      assert.isAtMost(Math.max(...pauses), 4404)
    })
  )

  it.effect("takes over after a release when it looks next", () =>
    Effect.gen(function* () {
      const { elect, spec } = yield* makeWorld()
      const a = yield* elect("a")
      yield* pass(10)
      const b = yield* elect("b")
      yield* pass(20_000)
      yield* a.stop
      yield* pass(4500)
      assert.isAtLeast(b.began[0]!, a.ended[0]!)
      assert.isAtMost(b.began[0]! - a.ended[0]!, 4420)
      assert.strictEqual(spec().leaseTransitions, 1)
      assert.deepStrictEqual(b.leaders, ["a", "b"])
    })
  )

  it.effect("takes over from a dead leader a whole lease after it first saw the record, however old that is", () =>
    Effect.gen(function* () {
      const { elect, spec } = yield* makeWorld(held)
      const b = yield* elect("b")
      yield* pass(14_990)
      assert.isFalse(b.leads)
      yield* pass(4500)
      assert.isTrue(b.leads)
      assert.strictEqual(spec().leaseTransitions, 4)
    })
  )

  it.effect.each([
    ["an hour ahead", "2026-11-28T11:00:00.000000Z"],
    ["an hour ago", "2026-11-28T09:00:00.000000Z"],
    ["absent", undefined]
  ] as const)("never looks at a renewTime that is %s", ([, renewTime]) =>
    Effect.gen(function* () {
      const { elect } = yield* makeWorld({ ...held, renewTime })
      const b = yield* elect("b")
      yield* pass(14_990)
      assert.isFalse(b.leads)
      yield* pass(4500)
      assert.isTrue(b.leads)
    })
  )

  it.effect.each([
    ["an empty holder", { ...held, holderIdentity: "" }, 4],
    ["an empty spec", {}, 1]
  ] as const)("takes a Lease with %s at once", ([, spec, transitions]) =>
    Effect.gen(function* () {
      const world = yield* makeWorld(spec)
      const b = yield* world.elect("b")
      yield* pass(100)
      assert.isTrue(b.leads)
      assert.strictEqual(world.spec().leaseTransitions, transitions)
    })
  )

  it.effect("takes a Lease without a duration at its second look", () =>
    Effect.gen(function* () {
      const { asked, elect } = yield* makeWorld({ ...held, leaseDurationSeconds: undefined })
      const b = yield* elect("b", short)
      yield* pass(2300)
      assert.isTrue(b.leads)
      assert.deepStrictEqual(asked("b").slice(0, 3), ["GET 200", "GET 200", "PUT 200"])
    })
  )

  it.effect("goes by the duration on the Lease, not by its own", () =>
    Effect.gen(function* () {
      const { elect } = yield* makeWorld({ ...held, leaseDurationSeconds: 60 })
      const b = yield* elect("b", short)
      yield* pass(59_900)
      assert.isFalse(b.leads)
      yield* pass(2500)
      assert.isTrue(b.leads)
    })
  )

  it.effect("replaces the whole spec, and keeps the metadata of others", () =>
    Effect.gen(function* () {
      const { asked, elect, memory, spec } = yield* makeWorld({ ...held, holderIdentity: "", strategy: "Oldest" })
      memory.write({ annotations: { a: "1" }, labels: { l: "1" } })
      const a = yield* elect("a")
      yield* pass(100)
      assert.isUndefined(spec().strategy)
      memory.write({ annotations: { a: "2" }, labels: { l: "2" } })
      yield* pass(2000)
      assert.deepStrictEqual(asked("a").slice(-3), ["PUT 409", "GET 200", "PUT 200"])
      yield* a.stop
      assert.deepStrictEqual({ ...memory.lease()!.annotations }, { a: "2" })
      assert.deepStrictEqual({ ...memory.lease()!.labels }, { l: "2" })
    })
  )

  it.effect("does not take a change of an annotation for a renewal", () =>
    Effect.gen(function* () {
      const { elect, memory } = yield* makeWorld(held)
      const b = yield* elect("b")
      for (let second = 0; second < 20; second++) {
        memory.write({ annotations: { a: String(second) } })
        yield* pass(1000)
      }
      assert.isTrue(b.leads)
    })
  )

  it.effect("takes two renewals within one second for one", () =>
    Effect.gen(function* () {
      const { elect, memory } = yield* makeWorld({ ...held, renewTime: "2026-11-28T10:00:00.100000Z" })
      const b = yield* elect("b")
      yield* pass(10_000)
      memory.write({ spec: { ...held, renewTime: "2026-11-28T10:00:00.900000Z" } })
      yield* pass(9500)
      assert.isTrue(b.leads)
    })
  )

  it.effect("makes its Lease again if it is deleted while it leads, from memory, and is not told", () =>
    Effect.gen(function* () {
      const { asked, elect, memory, spec } = yield* makeWorld({ holderIdentity: "", leaseTransitions: 4 })
      memory.write({ annotations: { a: "1" } })
      const a = yield* elect("a")
      yield* pass(100)
      memory.remove()
      yield* pass(2000)
      assert.deepStrictEqual(asked("a").slice(-3), ["PUT 409", "GET 404", "POST 201"])
      assert.strictEqual(spec().leaseTransitions, 5)
      assert.strictEqual(spec().acquireTime, "2026-11-28T10:00:00.250000Z")
      assert.deepStrictEqual(memory.lease()!.annotations, {})
      assert.deepStrictEqual([a.began.length, a.ended.length, a.leaders], [1, 0, ["a"]])
    })
  )

  it.effect("takes its Lease again if it is emptied while it leads, and is not told", () =>
    Effect.gen(function* () {
      const { elect, memory, spec } = yield* makeWorld()
      const a = yield* elect("a")
      yield* pass(100)
      memory.write({ spec: { ...spec(), holderIdentity: "" } })
      yield* pass(2000)
      assert.strictEqual(spec().holderIdentity, "a")
      assert.strictEqual(spec().leaseTransitions, 1)
      assert.deepStrictEqual([a.began.length, a.ended.length, a.leaders], [1, 0, ["a"]])
    })
  )

  it.effect.each([true, false])("leads on until its renew deadline if its Lease is stolen (released: %s)", (release) =>
    Effect.gen(function* () {
      const { elect, memory, spec } = yield* makeWorld()
      const a = yield* elect("a", { releaseOnCancel: release })
      yield* pass(2100)
      memory.write({ spec: { ...spec(), holderIdentity: "thief", leaseTransitions: 7 } })
      yield* pass(20_000)
      // It renewed last after 2.016 s, and read the thief after 4.02 s.
      assert.isAtLeast(a.ended[0]!, 14_000)
      assert.isAtMost(a.ended[0]!, 14_050)
      assert.deepStrictEqual(a.leaders, ["a", "thief"])
      assert.strictEqual(spec().holderIdentity, "thief")
    })
  )

  it.effect("takes its Lease again from a thief with a short duration, and is not told", () =>
    Effect.gen(function* () {
      const { elect, memory, spec } = yield* makeWorld()
      const a = yield* elect("a")
      yield* pass(2100)
      memory.write({ spec: { ...spec(), holderIdentity: "thief", leaseDurationSeconds: 1 } })
      yield* pass(20_000)
      assert.strictEqual(spec().holderIdentity, "a")
      assert.deepStrictEqual([a.began.length, a.ended.length], [1, 0])
    })
  )

  it.effect.each([
    [true, 22_000],
    [false, 12_000]
  ] as const)(
    "leads on for a renew deadline if requests hang, and for another if it releases (%s)",
    ([release, after]) =>
      Effect.gen(function* () {
        const { elect, memory } = yield* makeWorld()
        const a = yield* elect("a", { releaseOnCancel: release })
        yield* pass(100)
        memory.hangs = true
        yield* pass(30_000)
        // It renewed last until 12 ms had passed, and then waited for the retry period.
        assert.strictEqual(a.ended[0], after + 12)
      })
  )

  it.effect("gives a release up after a renew deadline", () =>
    Effect.gen(function* () {
      const { elect, memory } = yield* makeWorld()
      const a = yield* elect("a")
      yield* pass(100)
      memory.hangs = true
      yield* a.stop
      yield* pass(9900)
      assert.isUndefined(a.fiber.pollUnsafe())
      yield* pass(100)
      assert.isDefined(a.fiber.pollUnsafe())
    })
  )

  it.effect("looks before it renews a lease that ran out, and leads on if nobody took it", () =>
    Effect.gen(function* () {
      const { asked, elect, spec } = yield* makeWorld({})
      const machine = yield* Machine.make({ name: "a", wall: start, rate: 1, grain: 1 })
      const a = yield* elect("a", { ...short, machine })
      yield* pass(100)
      const { acquireTime } = spec()
      machine.halt("Stall")
      yield* pass(8000)
      machine.proceed()
      yield* pass(100)
      assert.deepStrictEqual(asked("a").slice(3), ["GET 200", "PUT 200"])
      assert.deepStrictEqual([spec().acquireTime, spec().leaseTransitions], [acquireTime, 1])
      assert.deepStrictEqual([a.began.length, a.ended.length], [1, 0])
    })
  )

  it.effect("sees its successor at once when it resumes, and leads on for a renew deadline", () =>
    Effect.gen(function* () {
      const { elect, now, spec } = yield* makeWorld()
      const machine = yield* Machine.make({ name: "a", wall: 0, rate: 1, grain: 1 })
      const a = yield* elect("a", { ...short, machine })
      yield* pass(100)
      const b = yield* elect("b", short)
      machine.halt("Stall")
      yield* pass(10_500)
      assert.isTrue(b.leads)
      machine.proceed()
      const resumed = now()
      yield* pass(50)
      assert.deepStrictEqual([a.leads, b.leads], [true, true])
      yield* pass(10_000)
      assert.deepStrictEqual(a.leaders, ["a", "b"])
      assert.isAtLeast(a.ended[0]! - resumed, 4000)
      assert.isAtMost(a.ended[0]! - resumed, 4020)
      assert.strictEqual(spec().holderIdentity, "b")
    })
  )

  it.effect("empties the Lease of its successor if it resumes in order to stop; that one takes it again, untold", () =>
    Effect.gen(function* () {
      const { elect, spec } = yield* makeWorld()
      const machine = yield* Machine.make({ name: "a", wall: 0, rate: 1, grain: 1 })
      const a = yield* elect("a", { ...short, machine })
      yield* pass(100)
      const b = yield* elect("b", short)
      machine.halt("Stall")
      yield* pass(10_500)
      assert.strictEqual(spec().holderIdentity, "b")
      yield* a.stop
      machine.proceed()
      yield* pass(20)
      assert.deepStrictEqual([spec().holderIdentity, spec().leaseTransitions], ["", 1])
      yield* pass(1050)
      assert.deepStrictEqual([spec().holderIdentity, spec().leaseTransitions], ["b", 2])
      assert.deepStrictEqual([b.began.length, b.ended.length], [1, 0])
    })
  )

  it.effect("leads twice under one identity, and neither is told", () =>
    Effect.gen(function* () {
      const { elect } = yield* makeWorld()
      const one = yield* elect("a")
      yield* pass(100)
      const other = yield* elect("a")
      yield* pass(60_000)
      assert.deepStrictEqual([one.leads, other.leads], [true, true])
      assert.deepStrictEqual([one.ended, other.ended], [[], []])
    })
  )

  it.effect("leaves behind a Lease that it took if it is stopped before the answer has come", () =>
    Effect.gen(function* () {
      const { elect, spec } = yield* makeWorld({})
      const a = yield* elect("a")
      // The PUT arrives after 6 ms, its answer after 8 ms.
      yield* pass(7)
      yield* a.stop
      assert.strictEqual(spec().holderIdentity, "a")
      assert.deepStrictEqual(a.began, [])
    })
  )

  it.effect("decides by its monotonic clock however its wall clock is set, and writes what that shows", () =>
    Effect.gen(function* () {
      const { elect, spec } = yield* makeWorld(held)
      const machine = yield* Machine.make({ name: "b", wall: -600_000, rate: 1, grain: 1 })
      const b = yield* elect("b", { machine })
      yield* pass(10_000)
      machine.setWall(3_600_000)
      yield* pass(4990)
      assert.isFalse(b.leads)
      yield* pass(4500)
      assert.isTrue(b.leads)
      assert.match(spec().renewTime!, /^2026-11-28T10:50:1\d\.\d{3}000Z$/)
    })
  )
})

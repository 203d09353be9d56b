/** Elections in virtual time: terms, hand-overs, expiry beside client-go, and what is written. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as ElectionTiming from "../src/ElectionTiming.ts"
import type * as LeaderElection from "../src/LeaderElection.ts"
import * as LockError from "../src/LockError.ts"
import * as ClockReading from "../src/internal/time/clockReading.ts"
import { foreign, name, setUp } from "./utils/elections.ts"
import { logged } from "./utils/logged.ts"

const soon = TestClock.adjust("1 millis")

describe("a candidate", () => {
  it.effect("makes the Lease, and leads", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const us = yield* aProcess("us")
      const campaign = yield* us.campaigns
      const term = yield* campaign.term
      assert.match(term.identity, /^us\/[a-z0-9]{12}\.1$/)
      assert.isTrue(yield* term.isValid)
      const { acquireTime, renewTime, ...rest } = yield* spec
      assert.deepStrictEqual(rest, { holderIdentity: term.identity, leaseDurationSeconds: 16, leaseTransitions: 0 })
      assert.match(renewTime!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      assert.strictEqual(acquireTime, renewTime)
      assert.deepStrictEqual(us.requests, ["read", "write"])
    })
  )

  it.effect("takes a Lease that was released, and one without any field, at once", () =>
    Effect.gen(function* () {
      const { aProcess, spec, writes } = yield* setUp
      yield* writes({ holderIdentity: "", leaseDurationSeconds: 1, leaseTransitions: 7 })
      const first = yield* (yield* aProcess("us")).campaigns
      assert.isTrue(yield* first.leads)
      assert.propertyVal(yield* spec, "leaseTransitions", 8)
      const world = yield* setUp
      yield* world.writes({})
      const second = yield* (yield* world.aProcess("us")).campaigns
      assert.isTrue(yield* second.leads)
      assert.propertyVal(yield* world.spec, "leaseTransitions", 1)
    })
  )

  it.effect("waits in a queue, makes no request meanwhile, and leads the moment the leader ends", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.campaigns
      const theirs = yield* them.campaigns
      const before = yield* ours.term
      yield* TestClock.adjust("5 seconds")
      them.requests.length = 0
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(them.requests, [])
      assert.isFalse(yield* theirs.leads)
      yield* ours.ends
      yield* soon
      const after = yield* theirs.term
      assert.isAbove(Number(after.fencingToken), Number(before.fencingToken))
      assert.deepInclude(yield* spec, { holderIdentity: after.identity, leaseTransitions: 1 })
      assert.deepStrictEqual(them.requests, [])
    })
  )

  it.effect("leads after a crash once the lease has expired, also if it has just started", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const us = yield* aProcess("us")
      const ours = yield* us.campaigns
      assert.isTrue(yield* ours.leads)
      // It crashes: nothing of it arrives any more.
      us.faults.push(...Array.from({ length: 100 }, () => ["write", "Hangs"] as const))
      yield* TestClock.adjust("10 seconds")
      const them = yield* aProcess("them")
      const theirs = yield* them.campaigns
      yield* TestClock.adjust("3 seconds")
      assert.isFalse(yield* theirs.leads)
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(yield* theirs.leads)
      assert.propertyVal(yield* spec, "leaseTransitions", 1)
    })
  )
})

describe("beside client-go, a candidate", () => {
  it.effect("writes nothing to a Lease that a Go leader renews, however wrong its clock is", () =>
    Effect.gen(function* () {
      const { aProcess, goHolds } = yield* setUp
      for (const skew of [-3_600_000, 0, 3_600_000]) {
        yield* goHolds(`go_${skew}`, { skew })
        const us = yield* aProcess("us")
        const ours = yield* us.campaigns
        for (let renewal = 0; renewal < 30; renewal++) {
          yield* TestClock.adjust("2 seconds")
          yield* goHolds(`go_${skew}`, { skew })
        }
        assert.isFalse(us.requests.includes("write"), String(skew))
        assert.isFalse(yield* ours.leads)
        yield* ours.ends
      }
    })
  )

  it.effect("that stands in the queue of a Lease that a Go leader has taken gives up without a write", () =>
    Effect.gen(function* () {
      const { aProcess, goHolds, spec, store } = yield* setUp
      const them = yield* aProcess("them")
      yield* (yield* them.campaigns).term
      const us = yield* aProcess("us")
      const ours = yield* us.campaigns
      const queued = Object.keys((yield* store.read(name)).annotations).filter((key) => key.includes("-queue"))
      assert.lengthOf(queued, 1)
      them.faults.push(...Array.from({ length: 100 }, () => ["write", "Hangs"] as const))
      yield* goHolds("go")
      yield* TestClock.adjust("16 seconds")
      yield* goHolds("go")
      us.requests.length = 0
      yield* ours.ends
      yield* TestClock.adjust("5 seconds")
      assert.notInclude(us.requests, "write")
      // The leader after a Go leader that crashed takes the leftovers away.
      yield* goHolds("go")
      const next = yield* (yield* aProcess("next")).campaigns
      yield* TestClock.adjust("16 seconds")
      const { identity } = yield* next.term
      assert.propertyVal(yield* spec, "holderIdentity", identity)
      assert.deepStrictEqual({ ...(yield* store.read(name)).annotations }, {})
    })
  )

  it.effect("leads once the record of a Go leader was seen unchanged for its own duration", () =>
    Effect.gen(function* () {
      for (const skew of [-3_600_000, 0, 3_600_000]) {
        const { aProcess, goHolds, spec } = yield* setUp
        yield* goHolds("go", { skew, seconds: 20 })
        yield* TestClock.adjust("1 minute")
        const ours = yield* (yield* aProcess("us")).campaigns
        yield* TestClock.adjust("19900 millis")
        assert.isFalse(yield* ours.leads)
        yield* TestClock.adjust("400 millis")
        assert.isTrue(yield* ours.leads, String(skew))
        assert.propertyVal(yield* spec, "leaseTransitions", 1)
        yield* ours.ends
      }
    })
  )

  it.effect("waits for its own duration if a record names none", () =>
    Effect.gen(function* () {
      const { aProcess, writes } = yield* setUp
      yield* writes({ holderIdentity: "go" })
      const ours = yield* (yield* aProcess("us")).campaigns
      yield* TestClock.adjust("14 seconds")
      assert.isFalse(yield* ours.leads)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* ours.leads)
    })
  )

  it.effect("says once that a holder keeps the Lease for longer than a day", () =>
    Effect.gen(function* () {
      const lines = yield* logged(
        Effect.gen(function* () {
          const { aProcess, goHolds } = yield* setUp
          yield* goHolds("go", { seconds: 2 ** 31 - 1 })
          const us = yield* aProcess("us")
          const ours = yield* us.campaigns
          for (let renewal = 0; renewal < 3; renewal++) {
            yield* TestClock.adjust("2 seconds")
            yield* goHolds("go", { seconds: 2 ** 31 - 1 })
          }
          yield* soon
          assert.isFalse(yield* ours.leads)
        })
      )
      assert.deepStrictEqual(lines, [
        "Warn reports in memory is held by go for 2147483647 s after each renewal. If go is gone, empty spec.holderIdentity: nobody else can lead before."
      ])
    })
  )

  it.effect("leads the moment a Go leader releases", () =>
    Effect.gen(function* () {
      const { aProcess, goHolds, spec, writes } = yield* setUp
      yield* goHolds("go")
      const ours = yield* (yield* aProcess("us")).campaigns
      yield* TestClock.adjust("7 seconds")
      yield* writes({ holderIdentity: "", leaseDurationSeconds: 1 })
      yield* soon
      assert.isTrue(yield* ours.leads)
      assert.propertyVal(yield* spec, "leaseTransitions", 1)
    })
  )
})

describe("a leader", () => {
  it.effect("renews at each retry period, and keeps what others wrote", () =>
    Effect.gen(function* () {
      const { aProcess, spec, store, writes } = yield* setUp
      yield* writes({ holderIdentity: "", strategy: "OldestEmulationVersion" })
      const us = yield* aProcess("us")
      const term = yield* (yield* us.campaigns).term
      const before = yield* spec
      us.requests.length = 0
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(us.requests.length, 1800)
      const after = yield* spec
      assert.deepInclude(after, { holderIdentity: term.identity, acquireTime: before.acquireTime, leaseTransitions: 1 })
      assert.notStrictEqual(after.renewTime, before.renewTime)
      const { annotations, content } = yield* store.read(name)
      assert.deepInclude({ ...annotations }, foreign)
      assert.propertyVal(content!["spec"] as object, "strategy", "OldestEmulationVersion")
    })
  )

  it.effect("renews twice in each lease duration, however long its retry period is", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const timing = ElectionTiming.make({
        leaseDuration: "10 seconds",
        renewDeadline: "9900 millis",
        retryPeriod: "8 seconds"
      })
      const us = yield* aProcess("us", { timing })
      yield* (yield* us.campaigns).term
      us.requests.length = 0
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(us.requests, 12)
    })
  )

  it.effect("releases as client-go does if nobody waits", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const ours = yield* (yield* aProcess("us")).campaigns
      yield* ours.term
      yield* ours.ends
      assert.deepInclude(yield* spec, { holderIdentity: "", leaseDurationSeconds: 1, leaseTransitions: 0 })
    })
  )

  it.effect("that cannot renew stops at the renew deadline, before the lease expires", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const term = yield* (yield* us.campaigns).term
      yield* TestClock.adjust("1990 millis")
      us.faults.push(...Array.from({ length: 100 }, () => ["write", "Refused"] as const))
      yield* TestClock.adjust("7900 millis")
      assert.isTrue(yield* term.isValid)
      yield* TestClock.adjust("100 millis")
      assert.isFalse(yield* term.isValid)
      assert.propertyVal(yield* Effect.flip(term.lost), "reason", "Expired")
    })
  )

  it.effect("relies on a Lease that it finds to be its own for no longer than a client-go respects it", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const us = yield* aProcess("us")
      const refused = Array.from({ length: 1000 }, () => ["write", "Refused"] as const)
      yield* TestClock.adjust("100 millis")
      const term = yield* (yield* us.campaigns).term
      yield* TestClock.adjust("1900 millis")
      // The first renewal is applied, but its answer is lost. One reading is answered just before the deadline.
      us.faults.push(["write", "Lost"], ...refused)
      yield* TestClock.adjust("7500 millis")
      us.faults.length = 0
      us.faults.push(["write", "Conflicts"], ...refused)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* term.isValid)
      // A client-go has seen the record unchanged since the renewal.
      const respects = (yield* spec).leaseDurationSeconds! * 1000 * (1 - ClockReading.maxDrift)
      yield* TestClock.adjust(respects - 8400)
      assert.isFalse(yield* term.isValid)
    })
  )

  it.effect("whose Lease is emptied, stolen or deleted is told at its next renewal", () =>
    Effect.gen(function* () {
      const reasons: Array<string> = []
      for (const harm of ["emptied", "stolen", "deleted"] as const) {
        const { aProcess, delete: remove, goHolds, writes } = yield* setUp
        const term = yield* (yield* (yield* aProcess("us")).campaigns).term
        yield* harm === "emptied"
          ? writes({ holderIdentity: "", leaseDurationSeconds: 1 })
          : harm === "stolen"
            ? goHolds("thief")
            : remove(name)
        yield* TestClock.adjust("2 seconds")
        const lost = yield* Effect.flip(term.lost)
        reasons.push(lost.reason)
        if (harm === "stolen") assert.strictEqual(lost.holder, "thief")
      }
      assert.deepStrictEqual(reasons, ["Removed", "TakenOver", "Deleted"])
    })
  )

  it.effect("that loses its Lease is told, in a line and an error about leadership", () =>
    Effect.gen(function* () {
      const messages: Array<string> = []
      const lines = yield* logged(
        Effect.gen(function* () {
          for (const harm of ["emptied", "stolen"] as const) {
            const { aProcess, goHolds, writes } = yield* setUp
            const term = yield* (yield* (yield* aProcess("us")).campaigns).term
            yield* harm === "emptied" ? writes({ holderIdentity: "" }) : goHolds("thief")
            yield* TestClock.adjust("2 seconds")
            messages.push((yield* Effect.flip(term.lost)).message)
          }
        })
      )
      assert.match(
        messages[0]!,
        /^Lost leadership of "reports" \(reports in memory\) after 2s.*: another client removed the holder from the Lease\.$/
      )
      assert.match(
        messages[1]!,
        /^Lost leadership of "reports" .*: another contender took it over\. Holder now: thief until /
      )
      assert.deepStrictEqual(
        lines,
        messages.map((message) => `Warn ${message}`)
      )
    })
  )

  it.effect("guards an effect: it ends with the term", () =>
    Effect.gen(function* () {
      const { aProcess, goHolds } = yield* setUp
      const us = yield* aProcess("us")
      const ours = yield* us.campaigns
      const term = yield* ours.term
      assert.strictEqual(yield* term.guard(Effect.succeed(7)), 7)
      const guarded = yield* Effect.forkChild(Effect.flip(term.guard(Effect.never)), { startImmediately: true })
      yield* goHolds("thief")
      yield* TestClock.adjust("2 seconds")
      assert.propertyVal(yield* Fiber.join(guarded), "reason", "TakenOver")
      yield* ours.ends
      yield* TestClock.adjust("16 seconds")
      const again = yield* (yield* us.campaigns).term
      const stopped = yield* Effect.forkChild(Effect.flip(again.guard(Effect.never)), { startImmediately: true })
      yield* again.stepDown
      assert.propertyVal(yield* Fiber.join(stopped), "reason", "Released")
    })
  )

  it.effect("that steps down hands over, is told, and does not come back at once", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const us = yield* aProcess("us")
      const ours = yield* us.campaigns
      const term = yield* ours.term
      yield* term.stepDown
      assert.propertyVal(yield* Effect.flip(term.lost), "reason", "Released")
      assert.isFalse(yield* term.isValid)
      assert.propertyVal(yield* spec, "holderIdentity", "")
      const again = yield* us.campaigns
      yield* TestClock.adjust("4300 millis")
      assert.isFalse(yield* again.leads)
      yield* TestClock.adjust("200 millis")
      assert.isTrue(yield* again.leads)
    })
  )
})

describe("lead", () => {
  it.effect("runs the effect while this process leads, and again after a loss", () =>
    Effect.gen(function* () {
      const { aProcess, writes } = yield* setUp
      const us = yield* aProcess("us")
      const terms: Array<bigint> = []
      let running = 0
      const fiber = yield* us.works(({ fencingToken }) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            running++
            terms.push(fencingToken)
          }),
          () => Effect.never,
          () => Effect.sync(() => void running--)
        )
      )
      assert.strictEqual(running, 1)
      yield* writes({ holderIdentity: "thief", leaseDurationSeconds: 15 })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(running, 0)
      yield* TestClock.adjust("16 seconds")
      assert.strictEqual(running, 1)
      assert.isAbove(Number(terms[1]), Number(terms[0]))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(running, 0)
    })
  )

  it.effect("ends with the effect, and frees the Lease", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const us = yield* aProcess("us")
      assert.strictEqual(yield* Fiber.join(yield* us.works(Effect.succeed(7))), 7)
      assert.propertyVal(yield* spec, "holderIdentity", "")
      assert.strictEqual(yield* Effect.flip(Fiber.join(yield* us.works(Effect.fail("no")))), "no")
      assert.propertyVal(yield* spec, "holderIdentity", "")
    })
  )

  it.effect("steps down in the effect: the effect has ended when the next one begins", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const events: Array<string> = []
      const work = (who: string) => (term: LeaderElection.Term) =>
        Effect.sync(() => events.push(`${who} begins`)).pipe(
          Effect.andThen(Effect.sleep("10 seconds")),
          Effect.andThen(term.stepDown),
          Effect.andThen(Effect.never),
          Effect.onExit(() =>
            Effect.andThen(
              Effect.sleep("1 second"),
              Effect.sync(() => events.push(`${who} ended`))
            )
          )
        )
      const fibers = [yield* us.works(work("us")), yield* them.works(work("them"))]
      yield* TestClock.adjust("23 seconds")
      assert.deepStrictEqual(events, ["us begins", "us ended", "them begins", "them ended", "us begins"])
      yield* Effect.forEach(fibers, (fiber) => Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true }))
      yield* TestClock.adjust("5 seconds")
    })
  )

  it.effect("fails with what no repetition mends", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const error = new LockError.Rejected({ object: name, verb: "get", status: 422, detail: "no" })
      us.faults.push(["read", error])
      assert.strictEqual(yield* Effect.flip(Fiber.join(yield* us.works(Effect.never))), error)
    })
  )
})

describe("an observer", () => {
  it.effect("is told who leads, and of each change", () =>
    Effect.gen(function* () {
      const { aProcess, goHolds } = yield* setUp
      const us = yield* aProcess("us")
      const seen: Array<string | undefined> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(us.elections.observe(name), (leader) =>
          Effect.sync(() =>
            seen.push(
              Option.getOrUndefined(Option.map(leader, ({ identity, transitions }) => `${identity} ${transitions}`))
            )
          )
        ),
        { startImmediately: true }
      )
      yield* soon
      yield* goHolds("go")
      yield* soon
      yield* goHolds("go")
      yield* TestClock.adjust("1 minute")
      const ours = yield* us.campaigns
      yield* TestClock.adjust("16 seconds")
      const { identity } = yield* ours.term
      yield* TestClock.adjust("16 seconds")
      yield* ours.ends
      yield* soon
      assert.deepStrictEqual(seen, [undefined, "go 0", `${identity} 1`, undefined])
      yield* Fiber.interrupt(fiber)
    })
  )
})

describe("the times", () => {
  it("are client-go's by default, and checked as client-go checks them", () => {
    const { leaseDuration, renewDeadline, retryPeriod } = ElectionTiming.make()
    assert.deepStrictEqual([leaseDuration, renewDeadline, retryPeriod].map(Duration.toSeconds), [15, 10, 2])
    for (const wrong of [
      { leaseDuration: "10 seconds" },
      { renewDeadline: "15 seconds" },
      { renewDeadline: "2400 millis" },
      { retryPeriod: 0 },
      { leaseDuration: "2 days" }
    ] as const) {
      assert.throws(() => ElectionTiming.make(wrong), RangeError)
    }
    assert.doesNotThrow(() => ElectionTiming.make({ renewDeadline: "2401 millis" }))
  })
})

describe("elections", () => {
  it.effect("that end leave a term to its own scope, which releases the Lease", () =>
    Effect.gen(function* () {
      const { aProcess, spec } = yield* setUp
      const us = yield* aProcess("us")
      const ours = yield* us.campaigns
      yield* ours.term
      yield* Scope.close(us.scope, Exit.void)
      yield* ours.ends
      assert.propertyVal(yield* spec, "holderIdentity", "")
    })
  )
})

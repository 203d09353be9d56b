/** Locks that are held under a session, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore, type SessionLeases } from "../../../src/ObjectStore.ts"
import { contend } from "../../utils/contend.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { logged } from "../../utils/logged.ts"
import * as SkewedClock from "../../utils/SkewedClock.ts"
import { type Between, key, setUp, setUpTwo, withSession } from "../../utils/lockSessions.ts"
import { type Mutation, withoutComparison, withoutFence } from "./mutations.ts"

const soon = TestClock.adjust("1 millis")

const patient = { waitSchedule: LockPolicy.fixedPolls("1 second", 100) }

const veryPatient = { waitSchedule: LockPolicy.fixedPolls("1 second", 1_000_000) }

const names = (count: number) => Array.from({ length: count }, (_, index) => `lock-${index}`)

describe("a lock under a session", () => {
  it.effect("names it, and its expiry is far ahead", () =>
    Effect.gen(function* () {
      const { aProcess, annotations, leaseOf, record } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const { held } = yield* us.has("a")
      const { reference, spec } = (yield* leaseOf("a"))!
      const { expiresAt, expiry, holderId } = (yield* record("a"))!
      assert.strictEqual(holderId, (yield* held).holderId)
      assert.strictEqual(spec.holderIdentity, reference.incarnation)
      assert.isAbove(expiresAt, 86_000_000)
      const { incarnation, name, uid } = reference
      assert.deepStrictEqual(
        { ...(yield* annotations("a")) },
        {
          [key]: expiry,
          [`${key}-holder`]: `${holderId} memory/${name} ${uid} ${incarnation}@${expiry}`
        }
      )
      assert.deepStrictEqual(us.locks.requests, ["read", "write"])
    })
  )

  it.effect("costs no renewal: many are renewed by one write every third of the TTL", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const helds = yield* Effect.forEach(names(100), (id) => us.has(id))
      // Those that were acquired before the session was open come under it when they are renewed.
      yield* TestClock.adjust("4 seconds")
      yield* us.forgets
      yield* TestClock.adjust("60 seconds")
      assert.notInclude(us.locks.requests, "write")
      assert.lengthOf(us.leases.requests, 18)
      for (const { held } of helds) assert.isTrue(yield* (yield* held).isValid)
    })
  )

  it.effect("is under the one session that its process opens, however many are acquired meanwhile", () =>
    Effect.gen(function* () {
      const { aProcess, leaseOf } = yield* setUp
      const us = yield* aProcess("us", {
        between: {
          leases: (store) => ({
            ...store,
            create: (id, annotations, content) => Effect.delay(store.create(id, annotations, content), "1 second")
          })
        }
      })
      yield* Effect.forEach(names(5), (id) => us.has(id))
      yield* TestClock.adjust("5 seconds")
      const sessions = yield* Effect.forEach(names(5), leaseOf)
      assert.lengthOf(new Set(sessions.map((session) => session!.reference.incarnation)), 1)
      assert.strictEqual(us.leases.requests.filter((request) => request === "write").length, 2)
    })
  )

  it.effect("is renewed itself once half of its expiry is over, however long it is held", () =>
    Effect.gen(function* () {
      const { aProcess, record } = yield* setUp
      const us = yield* withSession(aProcess("us", { ttl: "1 hour" }))
      const { held } = yield* us.has("a")
      yield* us.forgets
      for (let hours = 0; hours < 60; hours += 6) {
        yield* TestClock.adjust("6 hours")
        assert.isAbove((yield* record("a"))!.expiresAt, (hours + 6 + 11) * 3_600_000)
      }
      assert.isTrue(yield* (yield* held).isValid)
      assert.isAtMost(us.locks.requests.filter((request) => request === "write").length, 6)
    })
  )

  it.effect("is lost once its own lease has run out, although its session lives", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(aProcess("us", { ttl: "1 hour" }))
      const { isValid, lost } = yield* (yield* us.has("a")).held
      const losing = yield* Effect.forkChild(Effect.flip(lost), { startImmediately: true })
      yield* TestClock.adjust("11 hours")
      FaultyStore.failAll(us.locks, "Refused")
      yield* TestClock.adjust("12 hours")
      assert.isTrue(yield* isValid)
      assert.isUndefined(losing.pollUnsafe())
      yield* TestClock.adjust("1 hour")
      assert.deepInclude(losing.pollUnsafe(), { _tag: "Success" })
      const error = yield* Fiber.join(losing)
      assert.strictEqual(error.reason, "Expired")
      assert.isUndefined(error.withSession)
      assert.isFalse(yield* isValid)
      assert.isAbove(us.leases.requests.length, 48)
    }).pipe(logged)
  )

  it.effect("is renewed itself at once after a commit that may still be applied, and is valid then", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const { commitAndRelease, isValid } = yield* (yield* us.has("a")).held
      const rejected = new LockError.Rejected({ object: "a", verb: "patch", status: 422, detail: "Invalid" })
      us.locks.faults.push(["write", "Refused"], ["write", rejected], ["read", rejected], ["write", "Refused"])
      const commit = yield* Effect.forkChild(Effect.flip(commitAndRelease([])), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(commit), rejected)
      assert.isFalse(yield* isValid)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isValid)
      // From then on its session keeps it again.
      yield* us.forgets
      yield* TestClock.adjust("1 minute")
      assert.notInclude(us.locks.requests, "write")
    })
  )

  it.effect("is released and handed over as any other, and the next holder has it under its own session", () =>
    Effect.gen(function* () {
      const { aProcess, holder, leaseOf } = yield* setUp
      const [us, them] = [yield* withSession(aProcess("us")), yield* withSession(aProcess("them"))]
      const ours = yield* us.has("a")
      const before = yield* leaseOf("a")
      const theirs = yield* them.wants("a")
      yield* TestClock.adjust("5 seconds")
      yield* us.forgets
      yield* ours.letGo
      yield* soon
      assert.isTrue(yield* theirs.has)
      // It had looked since the waiter came.
      assert.deepStrictEqual(us.locks.requests, ["write"])
      assert.strictEqual(yield* holder("a"), "them")
      assert.isUndefined(yield* leaseOf("a"))
      yield* TestClock.adjust("2 seconds")
      const after = yield* leaseOf("a")
      assert.match(after!.reference.incarnation, /^them\//)
      assert.notStrictEqual(after!.reference.name, before!.reference.name)
      yield* them.forgets
      yield* TestClock.adjust("1 minute")
      assert.notInclude(them.locks.requests, "write")
      assert.isTrue(yield* (yield* theirs.held).isValid)
    })
  )

  it.effect("stays with its holder for as long as the session lives, whoever waits", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const { held } = yield* us.has("a")
      const theirs = yield* them.wants("a", { waitSchedule: LockPolicy.fixedPolls("1 second", 100_000) })
      yield* TestClock.adjust("2 minutes")
      yield* them.forgets
      yield* TestClock.adjust("1 hour")
      assert.isFalse(yield* theirs.has)
      assert.isTrue(yield* (yield* held).isValid)
      // Neither the lock nor the session is asked for.
      assert.deepStrictEqual([...them.locks.requests, ...them.leases.requests], [])
    })
  )
})

describe("the locks of a process that died", () => {
  for (const session of [true, false]) {
    it.effect(
      `are taken once its session has expired and is fenced, by a process ${session ? "with" : "without"} one`,
      () =>
        Effect.gen(function* () {
          const { aProcess, holder } = yield* setUp
          const us = yield* withSession(aProcess("us"))
          const them = yield* aProcess("them", { session })
          const ids = names(100)
          yield* Effect.forEach(ids, (id) => us.has(id))
          const theirs = yield* Effect.forEach(ids, (id) => them.wants(id, patient))
          yield* TestClock.adjust("1 minute")
          yield* us.crashes
          yield* TestClock.adjust("6 seconds")
          for (const one of theirs) assert.isFalse(yield* one.has)
          yield* them.forgets
          yield* TestClock.adjust("6 seconds")
          for (const one of theirs) assert.isTrue(yield* one.has)
          for (const id of ids) assert.strictEqual(yield* holder(id), "them")
          // One write fences all, one write takes each.
          assert.isAtMost(them.leases.requests.length, 6)
          assert.isAtMost(them.locks.requests.length, 205)
        }).pipe(logged)
    )
  }

  it.effect("are taken with one write each, however long that takes", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      let latency = 0
      let readings = 0
      const slow: Between = {
        locks: (store) => ({
          ...store,
          // A holder looks at its locks, too, and takes an answer from a cache.
          read: (id, options) =>
            Effect.suspend(() => {
              if (options?.mayBeStale !== true) readings++
              return store.read(id, options)
            }),
          compareAndSwap: (id, patch) => Effect.suspend(() => Effect.delay(store.compareAndSwap(id, patch), latency))
        })
      }
      const them = yield* withSession(aProcess("them", { between: slow }))
      const ids = names(100)
      yield* Effect.forEach(ids, (id) => us.has(id))
      const theirs = yield* Effect.forEach(ids, (id) => them.wants(id, patient))
      yield* TestClock.adjust("5 seconds")
      readings = 0
      // Sixteen at a time, which takes longer than a third of the TTL.
      latency = 1000
      yield* us.ends
      yield* TestClock.adjust("8 seconds")
      for (const one of theirs) assert.isTrue(yield* one.has)
      assert.strictEqual(readings, 0)
    }).pipe(logged)
  )

  for (const trouble of ["the first looks at the session get no answer", "the waiter may not watch"] as const) {
    it.effect(`are taken once its session has expired, also if ${trouble}`, () =>
      Effect.gen(function* () {
        const { them, us } = yield* setUpTwo
        yield* us.has("a")
        if (trouble === "the waiter may not watch") {
          const detail = "no"
          them.locks.watching.fault = new LockError.Forbidden({ object: "locks", verb: "watch", status: 403, detail })
        }
        const theirs = yield* them.wants("a", { waitSchedule: LockPolicy.fixedPolls("1 hour", 100) })
        yield* TestClock.adjust("5 seconds")
        yield* us.crashes
        if (trouble === "the first looks at the session get no answer") {
          them.leases.faults.push(["read", "Refused"], ["read", "Refused"], ["read", "Refused"])
        }
        yield* TestClock.adjust("16 seconds")
        assert.isTrue(yield* theirs.has)
      }).pipe(logged)
    )
  }

  it.effect("are taken at once by a process that comes later", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      yield* us.has("a")
      yield* us.has("b")
      yield* us.crashes
      yield* TestClock.adjust("1 hour")
      for (const id of ["a", "b"]) {
        const theirs = yield* them.wants(id)
        yield* soon
        assert.isTrue(yield* theirs.has)
      }
    }).pipe(logged)
  )

  it.effect("cannot be taken by a process that may not write its Lease, until they expire", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const forbidden = new LockError.Forbidden({ object: "leases", verb: "patch", status: 403, detail: "no" })
      const us = yield* withSession(aProcess("us"))
      const them = yield* aProcess("them", {
        ttl: "1 hour",
        session: false,
        between: { leases: (store) => ({ ...store, compareAndSwap: () => Effect.fail(forbidden) }) }
      })
      yield* us.has("a")
      yield* us.crashes
      const theirs = yield* them.wants("a", { waitSchedule: LockPolicy.fixedPolls("1 hour", 100) })
      yield* TestClock.adjust("10 minutes")
      assert.isFalse(yield* theirs.has)
      yield* TestClock.adjust("25 hours")
      assert.isTrue(yield* theirs.has)
    }).pipe(logged)
  )
})

describe("the waiters of a process that died", () => {
  // They wait for the locks of a process that has taken another lock over from theirs, in front of the living.
  const queues = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
    const world = yield* setUp
    const us = yield* withSession(world.aProcess("us"))
    const them = yield* withSession(world.aProcess("them"))
    const others = yield* world.aProcess("others", { session: false })
    yield* us.has("a")
    const held = yield* Effect.forEach(ids, (id) => them.has(id))
    const dead = yield* Effect.forEach(ids, (id) => us.wants(id, veryPatient))
    const living = yield* Effect.forEach(ids, (id) => others.wants(id, veryPatient))
    yield* TestClock.adjust("5 seconds")
    yield* us.crashes
    const taking = yield* them.wants("a", patient)
    yield* TestClock.adjust("13 seconds")
    assert.isTrue(yield* taking.has)
    return { ...world, us, them, others, held, dead, living }
  })

  it.effect("cost a hand-over nothing if the one that hands over knows that their session has ended", () =>
    Effect.gen(function* () {
      const { held, living, waiting } = yield* queues(["b", "c"])
      for (const [index, id] of ["b", "c"].entries()) {
        assert.deepStrictEqual(yield* waiting(id), ["us", "others"])
        yield* held[index]!.letGo
        yield* soon
        assert.isTrue(yield* living[index]!.has, id)
        assert.deepStrictEqual(yield* waiting(id), [])
      }
    }).pipe(logged)
  )

  it.effect("join again and keep their order if they live on", () =>
    Effect.gen(function* () {
      const { dead, held, living, them, us, waiting } = yield* queues(["b"])
      yield* held[0]!.letGo
      yield* soon
      assert.isTrue(yield* living[0]!.has)
      yield* them.wants("b", veryPatient)
      yield* us.recovers
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* waiting("b"), ["us", "them"])
      yield* living[0]!.letGo
      yield* soon
      assert.isTrue(yield* dead[0]!.has)
    }).pipe(logged)
  )
})

describe("a session that is lost", () => {
  it.effect("takes all its locks with it: each holder is told once, at once, in one line of log", () =>
    Effect.gen(function* () {
      const { aProcess, leaseOf } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const helds = yield* Effect.forEach(names(50), (id) => Effect.flatMap(us.has(id), ({ held }) => held))
      const { reference } = (yield* leaseOf("lock-0"))!
      const lost = yield* Effect.forEach(helds, ({ lost }) =>
        Effect.forkChild(Effect.flip(lost), { startImmediately: true })
      )
      yield* us.crashes
      yield* TestClock.adjust("11 seconds")
      for (const [index, fiber] of lost.entries()) {
        assert.isDefined(fiber.pollUnsafe())
        const error = yield* Fiber.join(fiber)
        assert.deepInclude(error, { _tag: "LockLost", id: `lock-${index}`, reason: "Expired", withSession: true })
        assert.include(error.message, "with the session of this process: it expired before it was renewed")
        assert.isFalse(yield* helds[index]!.isValid)
      }
      // What comes next is under another session.
      yield* us.recovers
      yield* TestClock.adjust("10 seconds")
      yield* (yield* us.has("other")).letGo
      yield* TestClock.adjust("1 second")
      yield* us.has("another")
      assert.notStrictEqual((yield* leaseOf("another"))!.reference.incarnation, reference.incarnation)
    }).pipe(
      logged,
      Effect.tap((lines) =>
        Effect.sync(() =>
          assert.lengthOf(
            lines.filter((line) => line.includes("Lost")),
            1
          )
        )
      )
    )
  )

  for (const what of ["fenced", "deleted"] as const) {
    it.effect(`since its Lease was ${what} is noticed at its next renewal`, () =>
      Effect.gen(function* () {
        const { aProcess, leaseOf, leases, writeLease } = yield* setUp
        const us = yield* withSession(aProcess("us"))
        const { held } = yield* us.has("a")
        const { reference } = (yield* leaseOf("a"))!
        if (what === "deleted") yield* leases.delete(reference.name)
        else yield* writeLease(reference.name, { holderIdentity: "" })
        const lost = yield* Effect.forkChild(Effect.flip((yield* held).lost), { startImmediately: true })
        yield* TestClock.adjust("4 seconds")
        const error = yield* Fiber.join(lost)
        assert.deepInclude(error, { reason: what === "deleted" ? "Deleted" : "Removed", withSession: true })
      }).pipe(logged)
    )
  }

  it.effect("since its Lease got another end by hand is ended by its process, which leaves its locks to others", () =>
    Effect.gen(function* () {
      const { holder, leaseOf, them, us, writeLease } = yield* setUpTwo
      const { held } = yield* us.has("a")
      const { reference } = (yield* leaseOf("a"))!
      const theirs = yield* them.wants("a", patient)
      yield* writeLease(reference.name, { renewTime: "1970-02-01T00:00:00.000000Z" })
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(yield* (yield* held).isValid)
      assert.isTrue(yield* theirs.has)
      assert.strictEqual(yield* holder("a"), "them")
    }).pipe(logged)
  )

  it.effect("is relied on for no longer than its last renewal, also before any timer fires: the machine slept", () =>
    Effect.gen(function* () {
      const machine = yield* SkewedClock.make
      const onMachine = Effect.provideService(Clock.Clock, machine.clock)
      const { aProcess, record } = yield* setUp
      const us = yield* onMachine(aProcess("us"))
      yield* Effect.scoped(onMachine(us.lock.scoped("first")))
      yield* TestClock.adjust("100 millis")
      const { isValid } = yield* onMachine(us.lock.scoped("a"))
      assert.isDefined((yield* record("a"))!.session)
      machine.skew = 9_000
      assert.isTrue(yield* isValid)
      machine.skew = 10_000
      assert.isFalse(yield* isValid)
      yield* onMachine(us.lock.scoped("b"))
      assert.isUndefined((yield* record("b"))!.session)
    }).pipe(Effect.scoped, logged)
  )

  it.effect("is told also to the holder of a lock that came under it when it was renewed", () =>
    Effect.gen(function* () {
      const { aProcess, record } = yield* setUp
      const us = yield* aProcess("us")
      const { isValid, lost } = yield* (yield* us.has("a")).held
      assert.isUndefined((yield* record("a"))!.session)
      yield* TestClock.adjust("4 seconds")
      assert.isDefined((yield* record("a"))!.session)
      const losing = yield* Effect.forkChild(Effect.flip(lost), { startImmediately: true })
      yield* us.crashes
      yield* TestClock.adjust("11 seconds")
      assert.deepInclude(losing.pollUnsafe(), { _tag: "Success" })
      assert.isTrue((yield* Fiber.join(losing)).withSession)
      assert.isFalse(yield* isValid)
    }).pipe(logged)
  )

  it.effect("leaves no lock valid that was renewed under it without an answer", () =>
    Effect.gen(function* () {
      const { holder, record, them, us } = yield* setUpTwo
      // The renewals of the session stop while the lock has a lease of its own, whose renewal brings it under the session.
      const first = yield* them.has("a")
      const ours = yield* us.wants("a")
      yield* TestClock.adjust("6 seconds")
      FaultyStore.failAll(us.leases, "Hangs")
      yield* TestClock.adjust("2500 millis")
      yield* first.letGo
      yield* soon
      const held = yield* ours.held
      assert.isUndefined((yield* record("a"))!.session)
      us.locks.faults.push(["write", "Unanswered"])
      FaultyStore.failAll(us.locks, "Hangs")
      yield* TestClock.adjust("1200 millis")
      assert.isDefined((yield* record("a"))!.session)
      const theirs = yield* them.wants("a", patient)
      for (let millis = 0; millis < 20_000; millis += 50) {
        yield* TestClock.adjust(50)
        if ((yield* holder("a")) === "them") assert.isFalse(yield* held.isValid)
      }
      assert.isTrue(yield* theirs.has)
    }).pipe(logged)
  )

  it.effect("while its process was suspended between reading and writing gives it no lock", () =>
    Effect.gen(function* () {
      const { aProcess, holder } = yield* setUp
      let suspended: Effect.Effect<void> = Effect.void
      const us = yield* withSession(
        aProcess("us", {
          between: {
            locks: (store) => ({
              ...store,
              compareAndSwap: (id, patch) => Effect.andThen(suspended, store.compareAndSwap(id, patch))
            })
          }
        })
      )
      const them = yield* aProcess("them")
      yield* (yield* them.has("a")).letGo
      suspended = Effect.sleep("30 seconds")
      const ours = yield* us.wants("a", patient)
      yield* us.crashes
      us.locks.faults.length = 0
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(yield* ours.has)
      const held = yield* ours.held
      assert.isFalse(yield* held.isValid)
      const lost = yield* Effect.forkChild(Effect.flip(held.lost), { startImmediately: true })
      assert.isDefined(lost.pollUnsafe())
      assert.isTrue((yield* Fiber.join(lost)).withSession)
      const theirs = yield* them.wants("a")
      yield* soon
      assert.isTrue(yield* theirs.has)
      assert.strictEqual(yield* holder("a"), "them")
    }).pipe(logged)
  )
})

describe("a look at a living session that is answered after the expiry that it shows", () => {
  const takesFromTheLiving = (mutation: Mutation) =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const leases: Mutation = (store) => ({
        ...mutation(store),
        read: (name) => Effect.tap(store.read(name), () => Effect.sleep("21 seconds")),
        watch: () => Stream.never
      })
      const them = yield* aProcess("them", { session: false, between: { leases } })
      const ours = yield* us.has("a")
      const theirs = yield* them.wants("a", patient)
      for (let seconds = 0; seconds < 60; seconds++) {
        yield* TestClock.adjust("1 second")
        if (yield* theirs.has) return yield* (yield* ours.held).isValid
      }
      return false
    })

  it.effect("takes nothing from it", () =>
    Effect.gen(function* () {
      assert.isFalse(yield* takesFromTheLiving((leases) => leases))
    })
  )

  it.effect("would, if a session were not fenced, or without comparing", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* takesFromTheLiving(withoutFence))
      assert.isTrue(yield* takesFromTheLiving(withoutComparison))
    }).pipe(logged)
  )
})

describe("a lock that could not be released", () => {
  for (const who of ["us", "them"] as const) {
    it.effect(
      `does not stay with a session that lives: ${who === "us" ? "its process" : "another one"} can have it`,
      () =>
        Effect.gen(function* () {
          const { holder, leaseOf, them, us } = yield* setUpTwo
          const ours = yield* us.has("a")
          FaultyStore.failAll(us.locks, "Refused")
          const leaving = yield* Effect.forkChild(ours.letGo)
          yield* TestClock.adjust("6 seconds")
          yield* Fiber.join(leaving)
          us.locks.faults.length = 0
          assert.isDefined(yield* leaseOf("a"))
          const next = yield* { us, them }[who].wants("a")
          yield* TestClock.adjust(who === "us" ? "1 second" : "8 seconds")
          assert.isTrue(yield* next.has)
          assert.strictEqual(yield* holder("a"), who)
        }).pipe(logged)
    )
  }

  it.effect("since the write that took it landed late does not stay either", () =>
    Effect.gen(function* () {
      const { aProcess, leaseOf, record } = yield* setUp
      let isLate = false
      const us = yield* withSession(
        aProcess("us", {
          between: {
            locks: (store) => ({
              ...store,
              create: (id, annotations) =>
                isLate
                  ? Effect.andThen(
                      Effect.forkDetach(Effect.delay(Effect.ignore(store.create(id, annotations)), "8 seconds"), {
                        startImmediately: true
                      }),
                      Effect.never
                    )
                  : store.create(id, annotations)
            })
          }
        })
      )
      isLate = true
      const ours = yield* us.wants("a")
      yield* Fiber.interrupt(ours.fiber)
      yield* TestClock.adjust("8500 millis")
      assert.isDefined(yield* leaseOf("a"))
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(yield* record("a"))
    }).pipe(logged)
  )
})

describe("a session whose layer closes", () => {
  it.effect("ends with one write, and frees what it still held", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const ours = yield* us.has("a")
      const held = yield* ours.held
      yield* us.has("b")
      const waiting = yield* them.wants("a")
      yield* TestClock.adjust("2 seconds")
      const lost = yield* Effect.forkChild(Effect.flip(held.lost), { startImmediately: true })
      yield* us.forgets
      yield* us.ends
      yield* soon
      assert.deepInclude(yield* Fiber.join(lost), { reason: "Released", withSession: true })
      assert.deepStrictEqual(us.leases.requests, ["write"])
      assert.isTrue(yield* waiting.has)
      const late = yield* them.wants("b")
      yield* soon
      assert.isTrue(yield* late.has)
      // There is nothing left to release.
      yield* ours.letGo
      assert.deepStrictEqual(us.locks.requests, [])
    }).pipe(logged)
  )

  it.effect("leaves each lock to the first that waits for it", () =>
    Effect.gen(function* () {
      const { aProcess, them, us, waiting } = yield* setUpTwo
      const others = yield* aProcess("others")
      yield* us.has("a")
      const first = yield* them.wants("a", patient)
      yield* TestClock.adjust("2 seconds")
      const next = yield* others.wants("a", patient)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* waiting("a"), ["them", "others"])
      yield* us.ends
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([yield* first.has, yield* next.has], [true, false])
      yield* first.letGo
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* next.has)
    }).pipe(logged)
  )
})

describe("a session that a thread of its own renews", () => {
  const named = (number: number) => `memory/kubelock-session-${number} uid-${number} us/000000000000.1`

  // A process whose sessions a test opens, and the objects that it locks.
  const setUpThread = (open: SessionLeases["open"]) =>
    Effect.gen(function* () {
      const world = yield* setUp
      const ours = FaultyStore.over(world.objects)
      const lock = yield* Lock.make({ identity: "us", policy: LockPolicy.make({ session: true }) }).pipe(
        Effect.provideService(
          ObjectStore,
          ObjectStore.of({
            ...ours.store,
            sessionLeases: { namespace: "memory", leases: () => world.leases.store, open }
          })
        )
      )
      return { ...world, ...ours, lock }
    })

  it.effect("has a lock that was handed over before its holder works under it, also if a write gets no answer", () =>
    Effect.gen(function* () {
      const { faults, lock, objects, record } = yield* setUpThread(() =>
        Effect.succeed({ session: named(1), isValid: () => true, lost: Effect.never })
      )
      const them = yield* contend(yield* Lock.make().pipe(Effect.provideService(ObjectStore, objects.store)), "a")
      yield* them.held
      const us = yield* contend(lock, "a", patient)
      yield* TestClock.adjust("100 millis")
      faults.push(["write", "Refused"], ["write", "Refused"])
      yield* them.letGo
      yield* soon
      assert.isFalse(yield* us.has)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* us.has)
      assert.strictEqual((yield* record("a"))?.session, named(1))
    }).pipe(Effect.scoped)
  )

  it.effect("has the next lock as well if it has run out and is not told to be lost yet", () =>
    Effect.gen(function* () {
      let opened = 0
      let isFirstValid = true
      const firstLost = Deferred.makeUnsafe<never, LockError.Lost["reason"]>()
      const { lock, record } = yield* setUpThread(() =>
        Effect.sync(() =>
          ++opened === 1
            ? { session: named(1), isValid: () => isFirstValid, lost: Deferred.await(firstLost) }
            : { session: named(2), isValid: () => true, lost: Effect.never }
        )
      )
      yield* (yield* contend(lock, "a")).held
      assert.strictEqual((yield* record("a"))?.session, named(1))
      isFirstValid = false
      const next = yield* contend(lock, "b")
      yield* TestClock.adjust("500 millis")
      assert.isFalse(yield* next.has)
      yield* Deferred.fail(firstLost, "Expired")
      yield* TestClock.adjust("100 millis")
      assert.isTrue(yield* next.has)
      assert.strictEqual((yield* record("b"))?.session, named(2))
    }).pipe(Effect.scoped, logged)
  )
})

describe("a lock is not held under the session of its process", () => {
  it.effect("if Dex may contend for it", () =>
    Effect.gen(function* () {
      const { aProcess, annotations } = yield* setUp
      for (const policy of [{ sharedWithDex: true }, { annotation: LockPolicy.dexAnnotation }]) {
        const us = yield* aProcess("us", policy)
        const one = yield* us.has("a")
        yield* TestClock.adjust("1 minute")
        const expiry = (yield* annotations("a"))[LockPolicy.dexAnnotation]!
        assert.isBelow(Date.parse(expiry), 600_000)
        assert.deepStrictEqual(us.leases.requests, [])
        yield* one.letGo
      }
    })
  )

  it.effect("if its acquisition asks for another TTL, or for no renewal", () =>
    Effect.gen(function* () {
      const { aProcess, leaseOf } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      for (const options of [
        { ttl: "5 seconds" },
        { renewDeadline: "5 seconds" },
        { renewEvery: "1 second" },
        { renewEvery: false }
      ] as const) {
        const one = yield* us.wants("a", options)
        yield* one.held
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(yield* leaseOf("a"), JSON.stringify(options))
        yield* one.letGo
      }
    }).pipe(logged)
  )

  it.effect("if its role grants no Leases, which is said once", () =>
    Effect.gen(function* () {
      const { aProcess, leaseOf } = yield* setUp
      const forbidden = Effect.fail(
        new LockError.Forbidden({ object: "leases", verb: "create", status: 403, detail: "no" })
      )
      let asked = 0
      const asking = Effect.suspend(() => {
        asked++
        return forbidden
      })
      const us = yield* aProcess("us", {
        between: { leases: (store) => ({ ...store, create: () => asking, read: () => asking }) }
      })
      const { held } = yield* us.has("a")
      yield* TestClock.adjust("12 minutes")
      assert.isTrue(yield* (yield* held).isValid)
      assert.isUndefined(yield* leaseOf("a"))
      // It is asked for again every five minutes.
      assert.strictEqual(asked, 3)
      assert.isAbove(us.locks.requests.length, 200)
    }).pipe(
      logged,
      Effect.tap((lines) =>
        Effect.sync(() => assert.match(lines.join("\n"), /^Warn Each lock is renewed by itself.*$/))
      )
    )
  )
})

describe("a contender that knows no sessions", () => {
  it.effect("never has a lock beside a holder under a session, and takes turns with it", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const old = yield* aProcess("old", { knows: false })
      let ours = yield* us.has("a")
      for (let turn = 0; turn < 5; turn++) {
        const theirs = yield* old.wants("a", veryPatient)
        yield* TestClock.adjust("1 minute")
        assert.isFalse(yield* theirs.has)
        assert.isTrue(yield* (yield* ours.held).isValid)
        const next = yield* us.wants("a", veryPatient)
        yield* ours.letGo
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* theirs.has)
        assert.isFalse(yield* next.has)
        yield* theirs.letGo
        yield* soon
        assert.isTrue(yield* next.has)
        ours = next
      }
    })
  )

  it.effect("waits for the expiry of a lock whose process died, unless another takes it first and hands it over", () =>
    Effect.gen(function* () {
      const { aProcess, holder } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const old = yield* aProcess("old", { knows: false })
      const them = yield* aProcess("them")
      yield* us.has("a")
      const theirs = yield* old.wants("a", veryPatient)
      yield* us.crashes
      yield* TestClock.adjust("1 hour")
      assert.isFalse(yield* theirs.has)
      const other = yield* them.wants("a", veryPatient)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* other.has)
      yield* TestClock.adjust("1 minute")
      yield* other.letGo
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* holder("a"), "old")
    }).pipe(logged)
  )
})

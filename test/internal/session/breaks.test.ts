/** Locks under sessions that somebody takes from their holders: with `Lock.break`, or by hand. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../../../src/Held.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import * as sessionLease from "../../../src/internal/session/sessionLease.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"
import { logged } from "../../utils/logged.ts"
import { type Between, key, type Process, setUp, setUpTwo, withSession } from "../../utils/lockSessions.ts"

const patient = { waitSchedule: LockPolicy.fixedPolls("1 second", 100_000) }

const names = (count: number) => Array.from({ length: count }, (_, index) => `lock-${index}`)

const isOver = <A, E>(fiber: Fiber.Fiber<A, E>) => fiber.pollUnsafe() !== undefined

const breaking = ({ lock }: Process, id: string) => Effect.forkChild(lock.break(id), { startImmediately: true })

const losing = ({ lost }: Held) => Effect.forkChild(Effect.flip(lost), { startImmediately: true })

// Until it is over, at most for so many milliseconds of virtual time. `meanwhile` runs every 10 of them.
const within = Effect.fnUntraced(function* <A, E>(
  fiber: Fiber.Fiber<A, E>,
  millis: number,
  meanwhile: Effect.Effect<void> = Effect.void
) {
  for (let passed = 0; passed < millis && !isOver(fiber); passed += 10) {
    yield* TestClock.adjust(10)
    yield* meanwhile
  }
  assert.isTrue(isOver(fiber), `not within ${millis} ms`)
  return yield* Fiber.join(fiber)
})

// The lock of `us` is nobody else's, nor free, as long as it is valid.
const staysOursWhileValid = Effect.fnUntraced(function* (holder: Effect.Effect<string | undefined>, { isValid }: Held) {
  if ((yield* holder) !== "us") assert.isFalse(yield* isValid)
})

describe("a lock under a session that is broken", () => {
  it.effect("is lost at the next renewal of the session, and not free before its holder knows", () =>
    Effect.gen(function* () {
      const { annotations, holder, leaseOf, leases, them, us } = yield* setUpTwo
      const held = yield* (yield* us.has("a")).held
      const other = yield* (yield* us.has("b")).held
      const { reference } = (yield* leaseOf("a"))!
      const lost = yield* losing(held)
      const theirs = yield* them.wants("a", patient)
      const check = staysOursWhileValid(holder("a"), held)
      const state = yield* within(yield* breaking(them, "a"), 4500, check)
      assert.deepInclude(state, { _tag: "Held", holder: held.holderId })
      const error = yield* Fiber.join(lost)
      assert.deepInclude(error, { _tag: "LockLost", reason: "Removed" })
      assert.isUndefined(error.withSession)
      assert.isTrue(yield* theirs.has)
      assert.strictEqual(yield* holder("a"), "them")
      // The session goes on, and all else that it holds. Nothing stays on its Lease.
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* other.isValid)
      assert.deepStrictEqual({ ...(yield* Effect.orDie(leases.store.read(reference.name))).annotations }, {})
      assert.isDefined((yield* annotations("b"))[key])
      assert.strictEqual((yield* leaseOf("b"))!.reference.incarnation, reference.incarnation)
    }).pipe(logged)
  )

  it.effect("is free then if nobody waits, and can be had again", () =>
    Effect.gen(function* () {
      const { record, them, us } = yield* setUpTwo
      const first = yield* us.has("a")
      yield* within(yield* breaking(them, "a"), 4500)
      assert.isUndefined(yield* record("a"))
      yield* first.letGo
      const again = yield* us.has("a")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* (yield* again.held).isValid)
    }).pipe(logged)
  )

  it.effect("is released by its holder if the one that breaks it dies on the way", () =>
    Effect.gen(function* () {
      const { holder, them, us } = yield* setUpTwo
      const ours = yield* us.has("a")
      const lost = yield* losing(yield* ours.held)
      const theirs = yield* them.wants("a", patient)
      const breaks = yield* breaking(them, "a")
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(breaks)
      yield* within(lost, 4000)
      yield* Effect.forkChild(ours.letGo)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* theirs.has)
      assert.strictEqual(yield* holder("a"), "them")
    }).pipe(logged)
  )

  it.effect("is lost with many others, each of them told apart", () =>
    Effect.gen(function* () {
      const { holder, them, us } = yield* setUpTwo
      const ids = names(200)
      const helds = yield* Effect.forEach(ids, (id) => Effect.flatMap(us.has(id), ({ held }) => held))
      yield* TestClock.adjust("4 seconds")
      const broken = yield* Effect.forkChild(
        Effect.forEach(ids.slice(0, 150), (id) => them.lock.break(id), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* within(broken, 15_000)
      for (const [index, held] of helds.entries()) {
        assert.strictEqual(yield* held.isValid, index >= 150)
        assert.strictEqual(yield* holder(ids[index]!), index < 150 ? undefined : "us")
      }
    }).pipe(logged)
  )

  it.effect(
    "is lost before it is free, also if another one is broken between a reading of the Lease and its write",
    () =>
      Effect.gen(function* () {
        const { aProcess, holder } = yield* setUp
        const us = yield* withSession(aProcess("us"))
        const helds = yield* Effect.forEach(["a", "b"], (id) => Effect.flatMap(us.has(id), ({ held }) => held))
        const [secondHasRead, firstHasWritten] = [Latch.makeUnsafe(false), Latch.makeUnsafe(false)]
        const first: Between = {
          leases: (store) => ({
            ...store,
            compareAndSwap: (id, patch) =>
              secondHasRead.await.pipe(
                Effect.andThen(store.compareAndSwap(id, patch)),
                Effect.tap(() => firstHasWritten.open)
              )
          })
        }
        const second: Between = {
          leases: (store) => ({
            ...store,
            compareAndSwap: (id, patch) =>
              secondHasRead.open.pipe(
                Effect.andThen(firstHasWritten.await),
                Effect.andThen(store.compareAndSwap(id, patch))
              )
          })
        }
        const breaks = [
          yield* breaking(yield* aProcess("first", { session: false, between: first }), "a"),
          yield* breaking(yield* aProcess("second", { session: false, between: second }), "b")
        ]
        const check = Effect.all([
          staysOursWhileValid(holder("a"), helds[0]!),
          staysOursWhileValid(holder("b"), helds[1]!)
        ])
        for (const one of breaks) yield* within(one, 6000, Effect.asVoid(check))
        assert.deepStrictEqual([yield* holder("a"), yield* holder("b")], [undefined, undefined])
      }).pipe(logged)
  )

  it.effect("is told once, also if a look finds at the same time that it is gone", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(
        aProcess("us", {
          between: {
            locks: (store) => ({
              ...store,
              read: (id, options) =>
                Effect.delay(store.read(id, options), options?.mayBeStale === true ? "6 seconds" : 0)
            })
          }
        })
      )
      const them = yield* aProcess("them")
      const held = yield* (yield* us.has("a")).held
      // The look is under way.
      yield* TestClock.adjust("4 seconds")
      yield* within(yield* breaking(them, "a"), 4000)
      assert.isFalse(yield* held.isValid)
      yield* TestClock.adjust("20 seconds")
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

  it.effect("is not held by an acquisition whose answer comes after the holder was told", () =>
    Effect.gen(function* () {
      const { aProcess, record } = yield* setUp
      let isLate = false
      const us = yield* withSession(
        aProcess("us", {
          between: {
            locks: (store) => ({
              ...store,
              create: (id, annotations) =>
                Effect.tap(store.create(id, annotations), () => (isLate ? Effect.sleep("5 seconds") : Effect.void))
            })
          }
        })
      )
      const them = yield* aProcess("them")
      isLate = true
      const ours = yield* us.wants("a", patient)
      assert.isDefined(yield* record("a"))
      yield* within(yield* breaking(them, "a"), 4500)
      assert.isUndefined(yield* record("a"))
      for (let millis = 0; millis < 6000; millis += 10) {
        yield* TestClock.adjust(10)
        if (yield* ours.has) assert.isFalse(yield* (yield* ours.held).isValid)
      }
      assert.isTrue(yield* ours.has)
    }).pipe(logged)
  )

  for (const fault of ["Lost", "Unanswered", "Refused", "Hangs", "Conflicts"] as const) {
    it.effect(`is lost before it is free if the next renewal of the session is ${fault}`, () =>
      Effect.gen(function* () {
        const { holder, them, us } = yield* setUpTwo
        const held = yield* (yield* us.has("a")).held
        us.leases.faults.push(["write", fault], ["write", fault])
        const check = staysOursWhileValid(holder("a"), held)
        yield* within(yield* breaking(them, "a"), 20_000, check)
        assert.isUndefined(yield* holder("a"))
      }).pipe(logged)
    )
  }

  it.effect("is lost before it is free, also if the Lease of the session is reported missing by mistake", () =>
    Effect.gen(function* () {
      const { holder, leaseOf, them, us } = yield* setUpTwo
      const held = yield* (yield* us.has("a")).held
      const { name } = (yield* leaseOf("a"))!.reference
      them.leases.faults.push(["read", new LockError.NotFound({ id: name, object: name, missing: "object" })])
      const check = staysOursWhileValid(holder("a"), held)
      yield* within(yield* breaking(them, "a"), 4500, check)
      yield* check
      assert.isUndefined(yield* holder("a"))
    }).pipe(logged)
  )

  it.effect("and whose process is suspended is free once the session has expired", () =>
    Effect.gen(function* () {
      const { holder, leaseOf, leases, them, us } = yield* setUpTwo
      const held = yield* (yield* us.has("a")).held
      const { reference } = (yield* leaseOf("a"))!
      yield* us.crashes
      const check = staysOursWhileValid(holder("a"), held)
      yield* within(yield* breaking(them, "a"), 13_000, check)
      assert.isUndefined(yield* holder("a"))
      // A renewal that is still under way would bring the session back.
      assert.isFalse(sessionLease.isOf(reference, yield* leases.store.read(reference.name)))
      yield* us.recovers
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* held.isValid)
    }).pipe(logged)
  )

  it.effect("stays its holder's if that cannot be told", () =>
    Effect.gen(function* () {
      const { aProcess, holder } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const held = yield* (yield* us.has("a")).held
      const forbidden = new LockError.Forbidden({ object: "leases", verb: "patch", status: 403, detail: "no" })
      const them = yield* aProcess("them", {
        session: false,
        between: { leases: (store) => ({ ...store, compareAndSwap: () => Effect.fail(forbidden) }) }
      })
      assert.deepStrictEqual(yield* Effect.flip(them.lock.break("a")), forbidden)
      assert.strictEqual(yield* holder("a"), "us")
      assert.isTrue(yield* held.isValid)
    }).pipe(logged)
  )

  it.effect("stays its holder's if that renews its session and does not let go, which is an error", () =>
    Effect.gen(function* () {
      const { aProcess, holder, leaseOf, writeLease } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      yield* us.has("a")
      const { reference } = (yield* leaseOf("a"))!
      yield* us.crashes
      const them = yield* aProcess("them")
      const renew = Effect.gen(function* () {
        const renewTime = new Date(yield* Effect.clockWith((clock) => clock.currentTimeMillis)).toISOString()
        yield* writeLease(reference.name, { renewTime: renewTime.replace("Z", "000Z") })
      })
      const error = yield* within(yield* Effect.forkChild(Effect.flip(them.lock.break("a"))), 40_000, renew)
      assert.deepInclude(error, { _tag: "LockUnavailable" })
      assert.include(error.message, "does not let go")
      assert.strictEqual(yield* holder("a"), "us")
    }).pipe(logged)
  )

  it.effect("is not taken for told by the process that had the Lease before", () =>
    Effect.gen(function* () {
      const { aProcess, leaseOf, leases, writeLease } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      yield* us.has("a")
      const { name } = (yield* leaseOf("a"))!.reference
      const next: Readonly<Record<string, string>> = { [sessionLease.brokenKey]: "next/0a1b2c3d4e5f.2" }
      yield* writeLease(name, { holderIdentity: "next/ffffffffffff.1" }, next)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual({ ...(yield* Effect.orDie(leases.store.read(name))).annotations }, next)
    }).pipe(logged)
  )

  it.effect("costs one write and a few readings of the Lease, and nothing while nothing is broken", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      yield* us.has("a")
      yield* TestClock.adjust("10 seconds")
      yield* us.forgets
      yield* within(yield* breaking(them, "a"), 4500)
      assert.deepStrictEqual(them.locks.requests, ["read", "read", "write"])
      assert.strictEqual(them.leases.requests.filter((request) => request === "write").length, 1)
      assert.isAtMost(them.leases.requests.length, 10)
      yield* TestClock.adjust("4 seconds")
      yield* us.forgets
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(
        us.leases.requests,
        Array.from({ length: 18 }, () => "write")
      )
    }).pipe(logged)
  )
})

describe("a lock under a session whose record is changed by hand", () => {
  const expiry = "1970-01-01T06:00:00Z"
  const changes = {
    "is removed": { reason: "Removed", patch: LockRecord.removal(key) },
    "is overwritten by Dex": { reason: "TakenOver", patch: { [key]: expiry, [LockRecord.holderKey(key)]: null } },
    "is overwritten by another": {
      reason: "TakenOver",
      patch: { [key]: expiry, [LockRecord.holderKey(key)]: `other/0a1b2c3d4e5f.1@${expiry}` }
    }
  } as const
  for (const [what, { patch, reason }] of Object.entries(changes)) {
    it.effect(`is lost within a third of the TTL if it ${what}`, () =>
      Effect.gen(function* () {
        const { annotate, aProcess } = yield* setUp
        const us = yield* withSession(aProcess("us"))
        const helds = yield* Effect.forEach(["a", "b"], (id) => Effect.flatMap(us.has(id), ({ held }) => held))
        yield* TestClock.adjust("1 minute")
        const lost = yield* losing(helds[0]!)
        yield* annotate("a", patch)
        const error = yield* within(lost, 3400)
        assert.deepInclude(error, { reason })
        assert.isUndefined(error.withSession)
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* helds[1]!.isValid)
      }).pipe(logged)
    )
  }

  it.effect("is lost if its object is deleted and made again", () =>
    Effect.gen(function* () {
      const { aProcess, objects } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const lost = yield* losing(yield* (yield* us.has("a")).held)
      yield* objects.delete("a")
      yield* Effect.orDie(objects.store.create("a", {}))
      assert.deepInclude(yield* within(lost, 3400), { reason: "Deleted" })
    }).pipe(logged)
  )

  it.effect("of many is lost within a quarter of a second for each of them", () =>
    Effect.gen(function* () {
      const { aProcess, annotate } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const ids = names(100)
      const helds = yield* Effect.forEach(ids, (id) => Effect.flatMap(us.has(id), ({ held }) => held))
      yield* TestClock.adjust("1 minute")
      yield* us.forgets
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([...new Set(us.locks.requests)], ["read"])
      assert.isAtMost(us.locks.requests.length, 240)
      const losses = yield* Effect.forEach(helds, losing)
      for (const id of ids) yield* annotate(id, LockRecord.removal(key))
      yield* TestClock.adjust("25 seconds")
      for (const loss of losses) assert.isTrue(isOver(loss))
    }).pipe(logged)
  )

  it.effect("is held for as long as nobody could look", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* withSession(aProcess("us"))
      const held = yield* (yield* us.has("a")).held
      FaultyStore.failAll(us.locks, "Hangs")
      yield* TestClock.adjust("2 minutes")
      assert.isTrue(yield* held.isValid)
    }).pipe(logged)
  )

  it.effect("is not lost to an answer from a cache that is older than its acquisition", () =>
    Effect.gen(function* () {
      const { aProcess, annotate, objects } = yield* setUp
      yield* Effect.orDie(objects.store.create("a", {}))
      const stale = yield* Effect.orDie(objects.store.read("a"))
      const us = yield* withSession(
        aProcess("us", {
          between: {
            locks: (store) => ({
              ...store,
              read: (id, options) =>
                id === "a" && options?.mayBeStale === true ? Effect.succeed(stale) : store.read(id, options)
            })
          }
        })
      )
      const held = yield* (yield* us.has("a")).held
      const lost = yield* losing(held)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* held.isValid)
      yield* annotate("a", LockRecord.removal(key))
      assert.deepInclude(yield* within(lost, 3400), { reason: "Removed" })
    }).pipe(logged)
  )
})

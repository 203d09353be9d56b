/** Sessions in virtual time: how they are kept, lost and ended, and how others fence them. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../../src/LockError.ts"
import type { SessionReference } from "../../../src/internal/session/sessionLease.ts"
import { logged } from "../../utils/logged.ts"
import { namespace, setUp, setUpTwo } from "../../utils/sessions.ts"

const soon = TestClock.adjust("1 millis")

const isOver = <A, E>(fiber: Fiber.Fiber<A, E>) => fiber.pollUnsafe() !== undefined

describe("a session", () => {
  it.effect("has a Lease that names it, and is renewed by one write every third of its TTL", () =>
    Effect.gen(function* () {
      const { aProcess, spec, store } = yield* setUp
      const us = yield* aProcess("us")
      const session = yield* us.opens
      assert.deepStrictEqual(us.requests, ["read", "write"])
      const { incarnation, name, uid } = session.reference
      assert.deepStrictEqual(session.reference, { namespace, name, uid, incarnation })
      assert.match(name, /^kubelock-session-\d+$/)
      assert.match(incarnation, /^us\/[a-z0-9]{12}\.1$/)
      assert.strictEqual((yield* store.read(name)).uid, uid)
      assert.propertyVal(yield* spec(session.reference), "holderIdentity", incarnation)
      us.requests.length = 0
      yield* TestClock.adjust("60 seconds")
      assert.lengthOf(us.requests, 18)
      assert.deepStrictEqual([...new Set(us.requests)], ["write"])
      assert.isTrue(session.isValid())
    })
  )

  it.effect("survives renewals that are refused, lost on their way, or lost on the way back", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const session = yield* us.opens
      for (const fault of ["Refused", "Lost", "Hangs", "Unanswered", "Conflicts"] as const) {
        us.faults.push(["write", fault])
        yield* TestClock.adjust("20 seconds")
        assert.isTrue(session.isValid(), fault)
      }
    })
  )

  it.effect("is relied on for no longer than its last renewal, and its loss is told at once", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const session = yield* us.opens
      const lost = yield* Effect.forkChild(Effect.flip(session.lost), { startImmediately: true })
      yield* us.crashes
      yield* TestClock.adjust("9850 millis")
      assert.isTrue(session.isValid())
      assert.isFalse(isOver(lost))
      yield* TestClock.adjust("100 millis")
      assert.isFalse(session.isValid())
      assert.isTrue(isOver(lost))
      const { message, reason, what } = yield* Fiber.join(lost)
      assert.deepInclude({ reason, what }, { reason: "Expired", what: "session" })
      assert.include(message, 'Lost session "kubelock-session-')
    }).pipe(
      logged,
      Effect.tap((lines) => Effect.sync(() => assert.lengthOf(lines, 1)))
    )
  )

  it.effect("ends in order with one write, and its Lease is left for the next", () =>
    Effect.gen(function* () {
      const { spec, them, us } = yield* setUpTwo
      const session = yield* us.opens
      us.requests.length = 0
      yield* session.close
      assert.deepStrictEqual(us.requests, ["write"])
      assert.isFalse(session.isValid())
      assert.propertyVal(yield* spec(session.reference), "holderIdentity", "")
      assert.deepStrictEqual(yield* them.ask(session.reference), { _tag: "Ended" })
      yield* us.ends
      assert.deepStrictEqual(us.requests, ["write"])
    })
  )

  it.effect("ends when its scope closes", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const { reference } = yield* us.opens
      yield* us.ends
      assert.deepStrictEqual(yield* them.ask(reference), { _tag: "Ended" })
    })
  )

  it.effect("is closed within seconds if the API server gives no answer", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const session = yield* us.opens
      yield* us.crashes
      const closing = yield* Effect.forkChild(session.close, { startImmediately: true })
      yield* TestClock.adjust("11 seconds")
      assert.isTrue(isOver(closing))
    }).pipe(logged)
  )

  it.effect("can be renewed at once, and tells whether the API server confirmed it", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const session = yield* us.opens
      us.requests.length = 0
      assert.isTrue(yield* session.renew)
      assert.deepStrictEqual(us.requests, ["write"])
      us.faults.push(["write", "Refused"])
      assert.isFalse(yield* session.renew)
      assert.isTrue(yield* session.renew)
      yield* session.close
      assert.isFalse(yield* session.renew)
    })
  )

  it.effect("is another one after each opening, also on the same Lease", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const references: Array<SessionReference> = []
      for (let times = 0; times < 200; times++) {
        const session = yield* us.opens
        references.push(session.reference)
        yield* session.close
      }
      assert.strictEqual(new Set(references.map(({ incarnation }) => incarnation)).size, 200)
      // All Leases together are no more than a session looks through first.
      assert.isAtMost(new Set(references.map(({ name }) => name)).size, 16)
      for (const reference of references) assert.deepStrictEqual(yield* us.ask(reference), { _tag: "Ended" })
    })
  )

  it.effect("never has the Lease of another that lives", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const open = yield* Effect.forEach(Array.from({ length: 50 }), (_, index) => (index % 2 === 0 ? us : them).opens)
      assert.strictEqual(new Set(open.map(({ reference }) => reference.name)).size, 50)
      yield* TestClock.adjust("1 minute")
      for (const session of open) assert.isTrue(session.isValid())
    })
  )

  it.effect("takes the Lease of one that died, so that those of the dead stay few", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const names = new Set<string>()
      for (let times = 0; times < 40; times++) {
        const us = yield* aProcess("us")
        names.add((yield* us.opens).reference.name)
        yield* us.crashes
        yield* TestClock.adjust("1 minute")
      }
      assert.isAtMost(names.size, 16)
    }).pipe(logged)
  )
})

describe("a fence", () => {
  it.effect("says until when a session lives, and does not end it before", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const { reference } = yield* us.opens
      const first = yield* them.ask(reference)
      assert.deepStrictEqual(them.requests, ["read"])
      assert.strictEqual(first._tag === "Lives" && first.until >= 10_000, true)
      yield* us.crashes
      yield* TestClock.adjust(first._tag === "Lives" ? first.until : 0)
      assert.deepStrictEqual(yield* them.ask(reference), first)
      yield* soon
      assert.deepStrictEqual(yield* them.ask(reference), { _tag: "Ended" })
    }).pipe(logged)
  )

  it.effect("ends an expired session for good: its owner cannot renew it, also with a write under way", () =>
    Effect.gen(function* () {
      const { aProcess, spec, store } = yield* setUp
      let lands: Effect.Effect<unknown, LockError.StoreError> = Effect.void
      // From its second write on the process is suspended between reading and writing.
      let writes = 0
      const us = yield* aProcess("us", (given) => ({
        ...given,
        compareAndSwap: (name, patch) =>
          Effect.suspend(() => {
            if (++writes < 2) return given.compareAndSwap(name, patch)
            lands = Effect.map(store.compareAndSwap(name, patch), (answer) => assert.isTrue(Option.isNone(answer)))
            return Effect.never
          })
      }))
      const them = yield* aProcess("them")
      const session = yield* us.opens
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* them.ask(session.reference), { _tag: "Ended" })
      yield* lands
      assert.propertyVal(yield* spec(session.reference), "holderIdentity", "")
      assert.isFalse(session.isValid())
    }).pipe(logged)
  )

  it.effect("loses against a renewal that comes between its reading and its write", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      const session = yield* us.opens
      us.faults.push(["write", "Hangs"], ["write", "Hangs"], ["write", "Hangs"])
      let renew: Effect.Effect<unknown, LockError.StoreError> = Effect.void
      const them = yield* aProcess("them", (given) => ({
        ...given,
        compareAndSwap: (name, patch) => Effect.andThen(renew, given.compareAndSwap(name, patch))
      }))
      yield* TestClock.adjust("11 seconds")
      us.faults.length = 0
      // The owner does not rely on the session any more, but its Lease may still be written.
      assert.isFalse(session.isValid())
      renew = Effect.flatMap(us.sound.read(session.reference.name), ({ content, resourceVersion }) =>
        us.sound.compareAndSwap(session.reference.name, {
          expect: { resourceVersion },
          annotations: {},
          content: [
            { path: ["spec"], value: { ...(content?.["spec"] as object), renewTime: "1970-01-01T00:00:11.000000Z" } }
          ]
        })
      )
      const answer = yield* them.ask(session.reference)
      assert.strictEqual(answer._tag, "Lives")
    }).pipe(logged)
  )

  it.effect("counts only if the answer to its write shows it", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const us = yield* aProcess("us")
      // As by a webhook that undoes the change.
      const them = yield* aProcess("them", (given) => ({
        ...given,
        compareAndSwap: (name) => Effect.asSome(given.read(name))
      }))
      const { reference } = yield* us.opens
      yield* us.crashes
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Effect.flip(them.ask(reference)))._tag, "LockUnavailable")
      assert.isFalse(them.hasEnded(reference))
    }).pipe(logged)
  )

  it.effect("ends it although its own answer was lost", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const { reference } = yield* us.opens
      yield* us.crashes
      yield* TestClock.adjust("20 seconds")
      them.faults.push(["write", "Lost"])
      const failed = yield* Effect.exit(them.ask(reference))
      assert.isTrue(Exit.isFailure(failed))
      assert.deepStrictEqual(yield* them.ask(reference), { _tag: "Ended" })
    }).pipe(logged)
  )

  it.effect("does not take another session of the same name for the one that was", () =>
    Effect.gen(function* () {
      const { them, us, ...memory } = yield* setUpTwo
      const { reference } = yield* us.opens
      yield* us.crashes
      yield* memory.delete(reference.name)
      yield* memory.store.create(
        reference.name,
        {},
        {
          spec: {
            holderIdentity: reference.incarnation,
            leaseDurationSeconds: 10,
            renewTime: "1970-01-01T00:00:00.000000Z"
          }
        }
      )
      assert.deepStrictEqual(yield* them.ask(reference), { _tag: "Ended" })
    }).pipe(logged)
  )
})

describe("a Lease that is missing", () => {
  it.effect("by a single answer may be there all the same: its session has not ended", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const { reference } = yield* us.opens
      const { name } = reference
      them.faults.push(["read", new LockError.NotFound({ id: name, object: name, missing: "object" })])
      assert.strictEqual((yield* them.ask(reference))._tag, "Lives")
      assert.isFalse(them.hasEnded(reference))
    })
  )

  for (const missing of ["resource", "namespace"] as const) {
    it.effect(`with its ${missing}, as a server that is about to start says, tells nothing of its session`, () =>
      Effect.gen(function* () {
        const { them, us } = yield* setUpTwo
        const { reference } = yield* us.opens
        const { name } = reference
        const notFound = new LockError.NotFound({ id: name, object: name, missing })
        them.faults.push(["read", notFound], ["read", notFound])
        assert.strictEqual(yield* Effect.flip(them.ask(reference)), notFound)
        assert.isFalse(them.hasEnded(reference))
      })
    )
  }

  it.effect("when a fence is written to it has ended its session", () =>
    Effect.gen(function* () {
      const { aProcess, ...memory } = yield* setUp
      const us = yield* aProcess("us")
      const { reference } = yield* us.opens
      const them = yield* aProcess("them", (given) => ({
        ...given,
        compareAndSwap: (name, patch) => Effect.andThen(memory.delete(name), given.compareAndSwap(name, patch))
      }))
      yield* us.crashes
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* them.ask(reference), { _tag: "Ended" })
    }).pipe(logged)
  )

  it.effect("and is made anew after its session has ended is one for the next session", () =>
    Effect.gen(function* () {
      const { aProcess, ...memory } = yield* setUp
      const us = yield* aProcess("us")
      const names = new Set<string>()
      for (let times = 0; times < 100; times++) {
        const session = yield* us.opens
        const { name } = session.reference
        names.add(name)
        yield* session.close
        const { content } = yield* memory.store.read(name)
        yield* memory.delete(name)
        yield* memory.store.create(name, {}, content)
      }
      assert.isAtMost(names.size, 16)
    })
  )

  it.effect("and is made anew is not that of the session, for its owner as for others", () =>
    Effect.gen(function* () {
      const { them, us, ...memory } = yield* setUpTwo
      const session = yield* us.opens
      const { name } = session.reference
      const { content } = yield* memory.store.read(name)
      yield* memory.delete(name)
      yield* memory.store.create(name, {}, content)
      assert.deepStrictEqual(yield* them.ask(session.reference), { _tag: "Ended" })
      yield* TestClock.adjust("4 seconds")
      assert.isFalse(session.isValid())
      assert.strictEqual((yield* Effect.flip(session.lost)).reason, "Deleted")
    }).pipe(logged)
  )
})

describe("a process that waits for the end of a session", () => {
  it.effect("hears of it at once if it ends in order, by one watch for all that wait", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const session = yield* us.opens
      const waiting = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        Effect.forkChild(them.wait(session.reference), { startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(them.requests, ["read"])
      assert.strictEqual(them.watching.opened, 1)
      assert.isFalse(waiting.some(isOver))
      yield* session.close
      yield* soon
      assert.isTrue(waiting.every(isOver))
      assert.isTrue(them.hasEnded(session.reference))
    })
  )

  for (const fault of [undefined, "Silent", "forbidden"] as const) {
    it.effect(
      `fences it once it has expired${fault === undefined ? "" : `, also if its watch is ${fault.toLowerCase()}`}`,
      () =>
        Effect.gen(function* () {
          const { spec, them, us } = yield* setUpTwo
          const session = yield* us.opens
          them.watching.fault =
            fault === "forbidden"
              ? new LockError.Forbidden({ object: "leases", verb: "watch", status: 403, detail: "no" })
              : fault
          const waiting = yield* Effect.forkChild(them.wait(session.reference), { startImmediately: true })
          yield* TestClock.adjust("1 minute")
          assert.isFalse(isOver(waiting))
          yield* us.crashes
          yield* TestClock.adjust("12 seconds")
          assert.isTrue(isOver(waiting))
          assert.propertyVal(yield* spec(session.reference), "holderIdentity", "")
        }).pipe(logged)
    )
  }

  it.effect(
    "hears within a minute that it ended in order although its watch is silent, however long a session lives",
    () =>
      Effect.gen(function* () {
        const { aProcess } = yield* setUp
        const us = yield* aProcess("us", undefined, Duration.hours(12))
        const them = yield* aProcess("them")
        const session = yield* us.opens
        them.watching.fault = "Silent"
        const waiting = yield* Effect.forkChild(them.wait(session.reference), { startImmediately: true })
        yield* TestClock.adjust("10 minutes")
        yield* session.close
        assert.isFalse(isOver(waiting))
        yield* TestClock.adjust("61 seconds")
        assert.isTrue(isOver(waiting))
        assert.isAtMost(them.requests.length, 12)
      })
  )

  it.effect("hears at once that the Lease was deleted", () =>
    Effect.gen(function* () {
      const { them, us, ...memory } = yield* setUpTwo
      const session = yield* us.opens
      const waiting = yield* Effect.forkChild(them.wait(session.reference), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* memory.delete(session.reference.name)
      yield* soon
      assert.isTrue(isOver(waiting))
      yield* TestClock.adjust("4 seconds")
      assert.isFalse(session.isValid())
    }).pipe(logged)
  )

  it.effect("stops following it a while after nobody waits any more", () =>
    Effect.gen(function* () {
      const { them, us } = yield* setUpTwo
      const session = yield* us.opens
      const waiting = yield* Effect.forkChild(them.wait(session.reference), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("15 seconds")
      yield* session.close
      yield* TestClock.adjust("15 seconds")
      assert.isFalse(them.hasEnded(session.reference))
      assert.deepStrictEqual(them.requests, ["read"])
      // It asks anew.
      yield* them.wait(session.reference)
    })
  )
})

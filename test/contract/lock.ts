/** How the lock behaves on any store, with live clocks. */
import { assert, type Vitest } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as Once from "../../src/Once.ts"
import { annotate, annotationsOf, anObject, freshId, World } from "../utils/World.ts"
import { giving } from "./giving.ts"
import { aNumber } from "./increments.ts"
import { queue } from "./queue.ts"

const longAgo = "2001-01-01T00:00:00Z"
const farAway = "2999-01-01T01:00:00+01:00"

/** Another process: a lock of its own on the same store. */
const asAnother = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, Lock.layer({ identity: "another" }), { local: true })

/** On objects that Dex does not share. */
const exclusively = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, Lock.layer({ policy: LockPolicy.make({ sharedWithDex: false }) }), { local: true })

const quick = LockPolicy.fixedPolls("20 millis", 3000)

/** A full lease that is renewed often: a holder soon notices what happened to its lock, and survives a busy machine. */
const watchful = { renewEvery: "200 millis" } as const

/**
 * Declares the suite for locks on objects whose annotation is `key`. `it` is that of a layer that provides
 * `World | ObjectStore | Lock`, on live clocks.
 */
export const behaviour = (key: string) => (it: Vitest.MethodsNonLive<World | ObjectStore | Lock.Lock>) => {
  const holderKey = `${key}-holder`

  it.effect("writes the lock when it is acquired, and leaves the object as it was when it is released", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ "example.com/other": "o" })
      yield* Effect.gen(function* () {
        const held = yield* Lock.scoped(id)
        const annotations = yield* annotationsOf(id)
        assert.match(annotations[key]!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
        assert.strictEqual(annotations[holderKey], `${held.holderId}@${annotations[key]}`)
        assert.isTrue(yield* held.isValid)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/other": "o" })
    })
  )

  it.effect("refuses a try while it is held, and names the holder and the expiry", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const held = yield* Lock.scoped(id)
      const conflict = yield* Effect.flip(asAnother(Lock.tryScoped(id)))
      assert.deepInclude(conflict, {
        _tag: "LockConflict",
        reason: "Held",
        holder: held.holderId,
        expiry: (yield* annotationsOf(id))[key]!
      })
    }).pipe(Effect.scoped)
  )

  it.effect("excludes: no increment of a plain number under it is lost", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const { increment, value } = aNumber()
      yield* Effect.forEach(
        [1, 2, 3, 4, 5, 6, 7, 8],
        () => asAnother(Lock.withLock(id, { waitSchedule: quick })(increment)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(value(), 8)
    })
  )

  it.effect("releases however its scope closes", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const endings: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        Effect.void,
        Effect.fail("failure"),
        Effect.die("defect"),
        Effect.interrupt
      ]
      for (const ending of endings) {
        yield* Effect.exit(Lock.withLock(id)(ending))
        assert.deepStrictEqual(yield* Lock.inspect(id), { _tag: "Free" })
      }
    })
  )

  it.effect("deletes an object that it made once nobody holds the lock or waits for it, and makes it again", () =>
    Effect.gen(function* () {
      const id = freshId()
      const hold = Effect.scoped(Lock.scoped(id, { createIfMissing: true }))
      const first = yield* hold
      assert.strictEqual(yield* Lock.removeIdle(id), "Removed")
      assert.strictEqual(yield* Lock.removeIdle(id), "Missing")
      const second = yield* hold
      assert.isTrue(second.fencingToken > first.fencingToken)
      assert.strictEqual(yield* Lock.removeIdle(id), "Removed")
    }).pipe(exclusively)
  )

  it.effect("deletes no object while somebody holds the lock or is in the queue, but one whose holder is gone", () =>
    Effect.gen(function* () {
      const id = freshId()
      const dead = LockQueue.holderId("dead", "deaddeaddead", 1)
      yield* Effect.scoped(
        Effect.andThen(
          Lock.scoped(id, { createIfMissing: true }),
          Effect.map(Lock.removeIdle(id), (removal) => assert.strictEqual(removal, "InUse"))
        )
      )
      yield* annotate(id, LockQueue.joinPatch(key, dead, "1"))
      assert.strictEqual(yield* Lock.removeIdle(id), "InUse")
      yield* annotate(id, { [LockQueue.joinKey(key, dead)]: null, [key]: "soon" })
      assert.strictEqual(yield* Lock.removeIdle(id), "InUse")
      yield* annotate(id, { [key]: longAgo, [holderKey]: `gone@${longAgo}` })
      assert.strictEqual(yield* Lock.removeIdle(id), "Removed")
    }).pipe(exclusively)
  )

  it.effect("deletes no object that it did not make, or that carries something else", () =>
    Effect.gen(function* () {
      const theirs = yield* anObject()
      assert.strictEqual(yield* Lock.removeIdle(theirs), "Foreign")
      const id = freshId()
      yield* Effect.scoped(Lock.scoped(id, { createIfMissing: true }))
      yield* annotate(id, { "example.com/lock": longAgo })
      assert.strictEqual(yield* Lock.removeIdle(id), "Foreign")
      yield* annotate(id, { "example.com/lock": null, "example.com/a": "1" })
      const store = yield* ObjectStore
      const expect = { annotations: { "example.com/a": "1" } }
      const content = [(yield* World).field]
      yield* store.compareAndSwap(id, { expect, annotations: { "example.com/a": null }, content })
      assert.strictEqual(yield* Lock.removeIdle(id), "Foreign")
      yield* (yield* World).delete(id)
    }).pipe(exclusively)
  )

  it.effect("deletes no object that records a run", () =>
    Effect.gen(function* () {
      const id = freshId()
      yield* Once.run(id, "2026-11-28T02:00:00Z", { createIfMissing: true })(Effect.void)
      assert.strictEqual(yield* Lock.removeIdle(id), "Foreign")
      yield* (yield* World).delete(id)
    }).pipe(exclusively)
  )

  it.effect("loses no hold to a deletion: of a contender and a deletion at the same time, one comes first", () =>
    Effect.gen(function* () {
      const id = freshId()
      let inside = 0
      const work = Effect.gen(function* () {
        assert.strictEqual(++inside, 1)
        yield* Effect.sleep("2 millis")
        inside--
      })
      const hold = asAnother(Lock.withLock(id, { createIfMissing: true, waitSchedule: quick })(work))
      yield* Effect.all(
        [1, 2, 3].flatMap(() => [
          Effect.repeat(hold, { times: 5 }),
          Effect.repeat(Effect.andThen(Lock.removeIdle(id), Effect.sleep("3 millis")), { times: 10 })
        ]),
        { concurrency: "unbounded" }
      )
      assert.include(["Removed", "Missing"], yield* Lock.removeIdle(id))
    }).pipe(exclusively)
  )

  it.effect("writes an annotation of its caller and releases in one request", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ "example.com/other": "o" })
      yield* Lock.withLock(id)((held) => held.commitAndRelease([], { "example.com/done": "yes" }))
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/other": "o", "example.com/done": "yes" })
      yield* Lock.withLock(id)((held) => held.commitAndRelease([], { "example.com/done": null }))
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/other": "o" })
    })
  )

  it.effect("lets one of several processes do a run that is due, and records it", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      let runs = 0
      const run = Once.run(
        id,
        "2026-11-28T02:00:00Z"
      )(
        Effect.delay(
          Effect.sync(() => ++runs),
          "50 millis"
        )
      )
      const results = yield* Effect.all([asAnother(run), asAnother(run), asAnother(run)], { concurrency: "unbounded" })
      assert.lengthOf(results.filter(Option.isSome), 1)
      assert.strictEqual(runs, 1)
      assert.strictEqual((yield* annotationsOf(id))[Once.lastRunKey(key)], "2026-11-28T02:00:00Z")
    })
  )

  it.effect("waits for a lock without a holder, as Dex writes it, and never writes to it", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ [key]: farAway })
      const before = yield* annotationsOf(id)
      const conflict = yield* Effect.flip(Lock.tryScoped(id))
      assert.deepInclude(conflict, { _tag: "LockConflict", expiry: farAway })
      assert.notProperty(conflict, "holder")
      const waiting = yield* Effect.forkChild(Effect.scoped(Lock.scoped(id, { waitSchedule: quick })))
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(yield* annotationsOf(id), before)
      yield* annotate(id, { [key]: null })
      yield* Fiber.join(waiting)
    }).pipe(Effect.scoped)
  )

  it.effect("lets one of several processes take over an expired lock", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ [key]: longAgo, [holderKey]: `gone@${longAgo}`, "example.com/other": "o" })
      assert.deepInclude(yield* Lock.inspect(id), { _tag: "Expired", holder: "gone" })
      const attempts = yield* Effect.forEach([1, 2, 3, 4], () => Effect.exit(asAnother(Lock.tryScoped(id))), {
        concurrency: "unbounded"
      })
      assert.lengthOf(attempts.filter(Exit.isSuccess), 1)
      assert.propertyVal(yield* annotationsOf(id), "example.com/other", "o")
    }).pipe(Effect.scoped)
  )

  it.effect("fails on a malformed lock and leaves it alone, until an operator breaks it", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ [key]: "soon" })
      const error = yield* Effect.flip(Lock.scoped(id))
      assert.deepInclude(error, { _tag: "LockMalformed", value: "soon" })
      assert.propertyVal(yield* annotationsOf(id), key, "soon")
      assert.deepStrictEqual(yield* Lock.break(id), { _tag: "Malformed", key, value: "soon" })
      yield* Lock.tryScoped(id)
    }).pipe(Effect.scoped)
  )

  it.effect("leaves the lock of another process alone if it is released late", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const theirs: Record<string, string> = { [key]: farAway, [holderKey]: `them@${farAway}` }
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Lock.scoped(id)
          yield* annotate(id, theirs)
        })
      )
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, theirs)
    })
  )

  it.effect("works the same on an object of a megabyte", () =>
    Effect.gen(function* () {
      const id = freshId()
      yield* (yield* World).make(id, {}, 1_000_000)
      yield* Effect.gen(function* () {
        yield* Lock.scoped(id)
        assert.strictEqual((yield* Effect.flip(asAnother(Lock.tryScoped(id))))._tag, "LockConflict")
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(yield* Lock.inspect(id), { _tag: "Free" })
    })
  )

  it.effect("survives other writes to the object", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const held = yield* Lock.scoped(id, watchful)
          const { [key]: expiry } = yield* annotationsOf(id)
          yield* annotate(id, { "example.com/data": "1" })
          yield* Effect.repeat(annotationsOf(id), { until: (annotations) => annotations[key] !== expiry })
          assert.isTrue(yield* held.isValid)
          assert.strictEqual((yield* Effect.flip(asAnother(Lock.tryScoped(id))))._tag, "LockConflict")
        })
      )
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/data": "1" })
    })
  )

  it.effect("tells a holder that the lock was taken over, names the new holder, and interrupts the work", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const started = yield* Deferred.make<void>()
      let interrupted = false
      const working = yield* Effect.forkChild(
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Effect.sync(() => (interrupted = true))),
          Lock.withLock(id, watchful)
        )
      )
      yield* Deferred.await(started)
      yield* annotate(id, { [key]: farAway, [holderKey]: `them@${farAway}` })
      const error = yield* Effect.flip(Fiber.join(working))
      assert.deepInclude(error, { _tag: "LockLost", reason: "TakenOver", holder: "them", expiry: farAway })
      assert.isTrue(interrupted)
    })
  )

  it.effect("tells a holder that the lock was removed, or the object deleted", () =>
    Effect.gen(function* () {
      const lose = (how: (id: string) => Effect.Effect<unknown, unknown, World | ObjectStore>) =>
        Effect.gen(function* () {
          const id = yield* anObject()
          const held = yield* Lock.scoped(id, watchful)
          yield* how(id)
          return (yield* Effect.flip(held.lost)).reason
        })
      const wipe = (id: string) => annotate(id, { [key]: null, [holderKey]: null })
      const remove = (id: string) => Effect.flatMap(World, (world) => world.delete(id))
      const replace = (id: string) => Effect.flatMap(World, (world) => Effect.andThen(world.delete(id), world.make(id)))
      const reasons = yield* Effect.all([lose(wipe), lose(remove), lose(replace)], { concurrency: "unbounded" })
      assert.deepStrictEqual(reasons, ["Removed", "Deleted", "Deleted"])
    }).pipe(Effect.scoped)
  )

  it.effect("gives every acquisition a larger fencing token, whichever process acquires", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const tokens: Array<bigint> = []
      const acquire = Effect.scoped(Effect.map(Lock.scoped(id), (held) => tokens.push(held.fencingToken)))
      for (let round = 0; round < 3; round++) {
        yield* acquire
        yield* asAnother(acquire)
        yield* annotate(id, { [key]: longAgo })
      }
      assert.deepStrictEqual(
        tokens,
        [...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1))
      )
    })
  )

  it.effect("creates a missing object if `createIfMissing` is set, also if several processes do so at once", () =>
    Effect.gen(function* () {
      const id = freshId()
      assert.deepInclude(yield* Effect.flip(Effect.scoped(Lock.scoped(id))), {
        _tag: "LockNotFound",
        missing: "object"
      })
      let inside = 0
      const enter = Effect.gen(function* () {
        assert.strictEqual(++inside, 1)
        yield* Effect.sleep("1 millis")
        inside--
      })
      yield* Effect.forEach(
        [1, 2, 3, 4, 5],
        () => asAnother(Lock.withLock(id, { createIfMissing: true, waitSchedule: quick })(enter)),
        { concurrency: "unbounded" }
      )
      yield* (yield* World).delete(id)
    })
  )

  // From the tests that Dex has of its lock: storage/kubernetes/lock_test.go
  it.effect("times out if it is acquired within itself, and the outer update is kept", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const outer = Effect.gen(function* () {
        const inner = annotate(id, { "example.com/value": "inner" }).pipe(
          Lock.withLock(id, { waitSchedule: LockPolicy.fixedPolls("10 millis", 5) })
        )
        const timeout = yield* Effect.flip(inner)
        assert.deepInclude(timeout, { _tag: "LockTimeout", attempts: 0 })
        yield* annotate(id, { "example.com/value": "outer" })
      })
      yield* Lock.withLock(id)(outer)
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/value": "outer" })
    })
  )

  it.effect("is taken over once it has expired, and the first update wins", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ [key]: longAgo })
      const update = (value: string) =>
        Effect.gen(function* () {
          if ((yield* annotationsOf(id))["example.com/value"] !== undefined) return false
          yield* annotate(id, { "example.com/value": value })
          return true
        }).pipe(Lock.withLock(id, { waitSchedule: quick }), asAnother)
      const updated = yield* Effect.all([update("first"), update("second"), update("third")], {
        concurrency: "unbounded"
      })
      assert.lengthOf(
        updated.filter((won) => won),
        1
      )
    })
  )

  giving(it)
  queue(it)
}

/** Locks that are given away and adopted, on any store, with live clocks. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { Handle } from "../../src/Handle.ts"
import * as Lock from "../../src/Lock.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import { annotationsOf, anObject, type World } from "../utils/World.ts"

/** Another process: a lock of its own on the same store. */
const asAnother = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, Lock.layer({ identity: "another" }), { local: true })

/** A handle as it arrives in another process. */
const sent = (handle: Handle) =>
  Schema.decodeSync(Schema.toCodecJson(Handle))(Schema.encodeSync(Schema.toCodecJson(Handle))(handle))

const given = (id: string, ...ttl: Parameters<Effect.Success<ReturnType<typeof Lock.scoped>>["give"]>) =>
  Effect.scoped(Effect.flatMap(Lock.scoped(id), (held) => held.give(...ttl)))

const leaseOf = (id: string) =>
  Effect.gen(function* () {
    const { annotation } = yield* ObjectStore
    return LockRecord.leaseOf(LockRecord.fromAnnotations(annotation, yield* annotationsOf(id)))
  })

const held = (id: string) => Effect.map(Lock.inspect(id), ({ _tag }) => _tag === "Held")

/** Declares the suite. */
export const giving = (it: Vitest.MethodsNonLive<World | ObjectStore | Lock.Lock>) => {
  it.effect(
    "that is given away outlives its scope, and is adopted by another process with a greater fencing token",
    () =>
      Effect.gen(function* () {
        const id = yield* anObject()
        const { handle, isValid } = yield* Effect.gen(function* () {
          const held = yield* Lock.scoped(id)
          const handle = yield* held.give()
          assert.isFalse(yield* held.isValid)
          assert.strictEqual((yield* Effect.flip(held.guard(Effect.void))).reason, "Released")
          assert.strictEqual((yield* Effect.flip(held.give())).reason, "Released")
          return { handle, isValid: held.isValid }
        }).pipe(Effect.scoped)
        assert.isFalse(yield* isValid)
        assert.deepInclude(yield* leaseOf(id), { holderId: handle.holderId })
        yield* Effect.gen(function* () {
          const adopted = yield* Lock.adopt(sent(handle))
          assert.isTrue(yield* adopted.isValid)
          assert.isTrue(adopted.fencingToken > handle.fencingToken)
          assert.notStrictEqual(adopted.holderId, handle.holderId)
          assert.deepInclude(yield* leaseOf(id), { holderId: adopted.holderId })
          yield* adopted.guard(Effect.void)
        }).pipe(Effect.scoped, asAnother)
        assert.isFalse(yield* held(id))
        const { annotation: key } = yield* ObjectStore
        assert.notProperty(yield* annotationsOf(id), key)
      })
  )

  it.effect("that is given away by work that it guards is not lost for that work", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const handle = yield* Lock.withLock(id)((held) => held.give())
      assert.isTrue(yield* held(id))
      yield* Lock.releaseGiven(handle)
    })
  )

  it.effect("has exactly one winner of those that adopt it by one handle", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const handle = yield* given(id)
      const adoptions = yield* Effect.all(
        [1, 2, 3, 4, 5].map(() => asAnother(Effect.scoped(Effect.result(Lock.adopt(handle))))),
        { concurrency: "unbounded" }
      )
      const reasons = adoptions.map((adoption) => (adoption._tag === "Success" ? "Adopted" : adoption.failure._tag))
      assert.deepStrictEqual(
        reasons.toSorted(),
        ["Adopted", ...Array.from({ length: 4 }, () => "LockStale")].toSorted()
      )
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Lock.adopt(handle))))._tag, "LockStale")
    })
  )

  it.effect("that is given away is had by nobody else, until it is released by its handle", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const handle = yield* given(id)
      const conflict = yield* Effect.flip(Effect.scoped(asAnother(Lock.tryScoped(id))))
      assert.deepInclude(conflict, { _tag: "LockConflict", holder: handle.holderId })
      const waiter = yield* Effect.forkChild(Effect.scoped(asAnother(Lock.scoped(id))), { startImmediately: true })
      yield* Lock.releaseGiven(handle)
      yield* Fiber.join(waiter)
      const { object, reason } = yield* Effect.flip(Lock.releaseGiven(handle)).pipe(
        Effect.filterOrFail((error) => error._tag === "LockStale")
      )
      assert.deepStrictEqual([object, reason], [(yield* ObjectStore).describe(id), "Removed"])
    })
  )

  it.effect("that is given away lasts for as long as was asked for, and is never shortened", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const handle = yield* given(id, "5 minutes")
      const left = Effect.map(leaseOf(id), (lease) => ((lease?.expiresAt ?? 0) - Date.now()) / 60_000)
      assert.strictEqual((yield* leaseOf(id))?.expiry, handle.expiry)
      assert.isAbove(yield* left, 4)
      yield* Lock.renewGiven(handle, "1 hour")
      yield* Lock.renewGiven(handle, "1 minute")
      assert.isAbove(yield* left, 50)
      yield* Effect.scoped(Lock.adopt(handle))
    })
  )

  it.effect("that was broken after it was given away is not adopted, and the next holder keeps it", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const handle = yield* given(id)
      yield* Lock.break(id)
      const next = yield* Lock.scoped(id)
      for (const use of [Lock.adopt(handle), Lock.renewGiven(handle, "1 minute"), Lock.releaseGiven(handle)]) {
        assert.deepInclude(yield* Effect.flip(Effect.asVoid(use)), {
          _tag: "LockStale",
          reason: "TakenOver",
          holder: next.holderId
        })
      }
      assert.isTrue(yield* next.isValid)
      assert.deepInclude(yield* leaseOf(id), { holderId: next.holderId })
    }).pipe(Effect.scoped)
  )

  it.effect("that is adopted goes to the next one that waits, and may be given away again", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const first = yield* given(id)
      const second = yield* Effect.scoped(asAnother(Effect.flatMap(Lock.adopt(first), (held) => held.give())))
      const waiter = yield* Effect.forkChild(Effect.scoped(Lock.scoped(id)), { startImmediately: true })
      const third = yield* Effect.scoped(Effect.as(Lock.adopt(second), "adopted"))
      assert.strictEqual(third, "adopted")
      assert.strictEqual((yield* Fiber.join(waiter)).id, id)
    })
  )

  it.effect("of an object that was deleted is not adopted", () =>
    Effect.gen(function* () {
      const handle = new Handle({ id: "never-there", holderId: "a/0123456789ab.1", fencingToken: 1n, expiry: "" })
      const error = yield* Effect.flip(Effect.scoped(Lock.adopt(handle)))
      assert.deepInclude(error, { _tag: "LockStale", reason: "Deleted" })
    })
  )
}

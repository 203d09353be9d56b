/** Two keys on one object: what happens while a roll-out changes the key. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lock from "../../src/Lock.ts"
import * as LockKind from "../../src/LockKind.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import { type ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { contend, type Contender } from "../utils/contend.ts"
import { annotate, annotationsOf, anObject, freshId, type World } from "../utils/World.ts"
import { aNumber } from "./increments.ts"

const keys = [LockPolicy.dexAnnotation, LockPolicy.neutralAnnotation] as const
const longAgo = "2001-01-01T00:00:00Z"
const farAway = "2999-01-01T00:00:00Z"

const aProcess = (annotation: string) =>
  Lock.make({ identity: annotation.split(".")[0]!, policy: LockPolicy.make({ annotation, sharedWithDex: false }) })

const snapshotOf = (id: string) => Effect.flatMap(ObjectStore, (store) => store.read(id))

const waiting = ({ annotations }: ObjectSnapshot): number =>
  keys.flatMap((key) => LockQueue.fromAnnotations(key, annotations).waiters).length

const quick = LockPolicy.fixedPolls("20 millis", 3000)

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const twoKeys = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  it.effect("processes with either default key exclude each other, and no increment is lost", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const { increment, value } = aNumber()
      yield* Effect.forEach(
        [0, 1, 2, 3, 4, 5, 6, 7],
        (index) =>
          Effect.flatMap(aProcess(keys[index % 2]!), (lock) =>
            Effect.scoped(Effect.andThen(lock.scoped(id, { waitSchedule: quick }), increment)).pipe(
              Effect.repeat({ times: 2 })
            )
          ),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(value(), 24)
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
    }).pipe(Effect.scoped)
  )

  for (const [own, other] of [keys, keys.toReversed()] as ReadonlyArray<readonly [string, string]>) {
    it.effect(`a lock under ${other} is refused under ${own}, with the name of its holder`, () =>
      Effect.gen(function* () {
        const id = yield* anObject()
        const { holderId } = yield* (yield* aProcess(other)).tryScoped(id)
        const ours = yield* aProcess(own)
        const conflict = yield* Effect.flip(Effect.scoped(ours.tryScoped(id)))
        assert.deepInclude(conflict, { _tag: "LockConflict", reason: "Held", holder: holderId })
        assert.deepInclude(yield* ours.inspect(id), { _tag: "Held", holder: holderId, key: other })
      }).pipe(Effect.scoped)
    )

    it.effect(`a holder under ${own} hands over to waiters with either key by turns, each under its own`, () =>
      Effect.gen(function* () {
        const id = yield* anObject()
        const holder = yield* contend(yield* aProcess(own), id)
        yield* holder.held
        const waiters: Array<readonly [string, Contender]> = []
        for (const key of [own, own, other]) {
          waiters.push([key, yield* contend(yield* aProcess(key), id)])
          yield* Effect.repeat(snapshotOf(id), { until: (snapshot) => waiting(snapshot) === waiters.length })
        }
        yield* holder.letGo
        const [first, second, third] = waiters
        for (const [key, waiter] of [third!, first!, second!]) {
          const { holderId } = yield* waiter.held
          const { annotations, labels } = yield* snapshotOf(id)
          assert.sameMembers(
            Object.keys(annotations).filter((name) => !name.includes("-queue")),
            [key, `${key}-holder`]
          )
          assert.deepStrictEqual({ ...labels }, { [LockQueue.labelKey(key)]: LockQueue.processIdOf(holderId) })
          yield* waiter.letGo
        }
        const { annotations, labels } = yield* snapshotOf(id)
        assert.deepStrictEqual({ ...annotations }, {})
        assert.deepStrictEqual({ ...labels }, {})
      }).pipe(Effect.scoped)
    )

    it.effect(
      `under ${own} a contender takes over from an expired holder under ${other} and its waiters, and its renewal fails`,
      () =>
        Effect.gen(function* () {
          const theirs = LockKind.exclusive(other)
          const lease = { holderId: "gone/deaddeaddead.1", expiry: longAgo }
          const id = yield* anObject({
            ...theirs.encode(lease),
            [LockQueue.queueKey(other)]: "gone/deaddeaddead.2",
            [LockQueue.joinKey(other, "gone/deaddeaddead.3")]: "gone/deaddeaddead.3@1",
            "example.com/other": "o"
          })
          const held = yield* (yield* aProcess(own)).tryScoped(id)
          const store = yield* ObjectStore
          const renewal = yield* store.compareAndSwap(id, {
            expect: { annotations: theirs.encode(lease) },
            annotations: theirs.encode({ ...lease, expiry: farAway })
          })
          assert.isTrue(Option.isNone(renewal))
          const annotations = yield* annotationsOf(id)
          assert.sameMembers(Object.keys(annotations), [own, `${own}-holder`, "example.com/other"])
          assert.isTrue(annotations[`${own}-holder`]!.startsWith(`${held.holderId}@`))
        }).pipe(Effect.scoped)
    )

    it.effect(`a value under ${other} that cannot be read is named, left alone, and broken, under ${own}`, () =>
      Effect.gen(function* () {
        const id = yield* anObject({ [other]: "soon" })
        const lock = yield* aProcess(own)
        const error = yield* Effect.flip(lock.scoped(id))
        assert.deepInclude(error, { _tag: "LockMalformed", key: other, value: "soon" })
        assert.propertyVal(yield* annotationsOf(id), other, "soon")
        assert.deepStrictEqual(yield* lock.break(id), { _tag: "Malformed", key: other, value: "soon" })
        assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
      }).pipe(Effect.scoped)
    )

    it.effect(`breaks under ${own} what is held under ${other}, and both if both are there`, () =>
      Effect.gen(function* () {
        const id = yield* anObject({ [other]: farAway })
        const lock = yield* aProcess(own)
        assert.deepStrictEqual(yield* lock.break(id), {
          _tag: "Held",
          until: Date.parse(farAway),
          expiry: farAway,
          key: other
        })
        yield* annotate(id, { [own]: longAgo, [other]: farAway })
        yield* lock.break(id)
        assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
      }).pipe(Effect.scoped)
    )

    it.effect(`a holder under ${own} keeps its lock, and releases only that, whatever else writes under ${other}`, () =>
      Effect.gen(function* () {
        const id = yield* anObject()
        const holder = yield* contend(yield* aProcess(own), id, { renewEvery: "50 millis" })
        const held = yield* holder.held
        for (const value of [longAgo, farAway, "soon"]) {
          yield* annotate(id, { [other]: value })
          const before = yield* annotationsOf(id)
          yield* Effect.repeat(annotationsOf(id), { until: (annotations) => annotations[own] !== before[own] })
          assert.isTrue(yield* held.isValid)
        }
        yield* annotate(id, { [other]: farAway })
        yield* holder.letGo
        assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { [other]: farAway })
      }).pipe(Effect.scoped)
    )

    it.effect(
      `deletes under ${own} no object that is held or awaited under ${other}, but one whose holder is gone`,
      () =>
        Effect.gen(function* () {
          const id = freshId()
          const lock = yield* aProcess(own)
          const waiter = LockQueue.holderId("dead", "deaddeaddead", 1)
          yield* Effect.scoped(lock.scoped(id, { createIfMissing: true }))
          yield* annotate(id, { [other]: farAway })
          assert.strictEqual(yield* lock.removeIdle(id), "InUse")
          yield* annotate(id, { [other]: null, ...LockQueue.joinPatch(other, waiter, "1") })
          assert.strictEqual(yield* lock.removeIdle(id), "InUse")
          yield* annotate(id, { [LockQueue.joinKey(other, waiter)]: null, [other]: longAgo })
          assert.strictEqual(yield* lock.removeIdle(id), "Removed")
        }).pipe(Effect.scoped)
    )
  }

  it.effect("a key of your own respects only itself, and is respected by no other", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      for (const annotation of [...keys, "example.com/lock"]) {
        assert.deepStrictEqual(
          LockKind.exclusive(annotation).otherKeys,
          keys.includes(annotation as never) ? keys.filter((key) => key !== annotation) : []
        )
      }
      yield* (yield* aProcess("example.com/lock")).tryScoped(id)
      yield* (yield* aProcess(keys[0])).tryScoped(id)
      yield* (yield* aProcess("example.com/other-lock")).tryScoped(id)
    }).pipe(Effect.scoped)
  )
}

/** Locks under sessions on any store, with live clocks. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as LockError from "../../src/LockError.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import { annotationsOf, anObject, type World } from "../utils/World.ts"
import { aNumber } from "./increments.ts"

const patient = LockPolicy.fixedPolls("100 millis", 600)

const crashed = new LockError.Unavailable({ object: "lock", verb: "patch", detail: "the process has crashed" })

interface Options {
  readonly knows?: boolean
  readonly session?: boolean
}

/**
 * A process. When it crashes, nothing of it arrives any more. `session: false`: it has none of its own. `knows: false`: it is of a version
 * that knows none.
 */
const aProcess = Effect.fnUntraced(function* (identity: string, { knows = true, session = knows }: Options = {}) {
  const given = yield* ObjectStore
  let hasCrashed = false
  const mortal = (store: ObjectStore["Service"]): ObjectStore["Service"] => {
    const unlessCrashed = <A>(request: Effect.Effect<A, LockError.StoreError>) =>
      Effect.suspend(() => (hasCrashed ? Effect.fail(crashed) : request))
    return {
      ...store,
      read: (id, options) => unlessCrashed(store.read(id, options)),
      create: (id, annotations, content) => unlessCrashed(store.create(id, annotations, content)),
      compareAndSwap: (id, patch) => unlessCrashed(store.compareAndSwap(id, patch))
    }
  }
  const { leases, namespace } = given.sessionLeases!
  const policy = LockPolicy.make({ ttl: "4 seconds", session, waitSchedule: patient, sharedWithDex: false })
  const scope = yield* Scope.fork(yield* Effect.scope)
  const lock = yield* Lock.make({ identity, policy }).pipe(
    Effect.provideService(ObjectStore, {
      ...mortal(given),
      sessionLeases: knows ? { namespace, leases: (namespace) => mortal(leases(namespace)) } : undefined
    }),
    Scope.provide(scope)
  )
  const sessionOf = (id: string) =>
    Effect.map(annotationsOf(id), (annotations) => {
      return LockRecord.leaseOf(LockRecord.fromAnnotations(lock.annotation, annotations))?.session
    })
  return {
    ...lock,
    /** Has the lock, under its session. */
    has: (id: string) =>
      Effect.tap(lock.scoped(id), () =>
        sessionOf(id).pipe(Effect.delay("100 millis"), Effect.repeat({ until: (session) => session !== undefined }))
      ),
    crashes: Effect.sync(() => {
      hasCrashed = true
    }),
    ends: Scope.close(scope, Exit.void)
  }
})

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const session = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  for (const others of [{}, { session: false }]) {
    const who = others.session === false ? "without" : "with"
    it.effect(`those of a process that died are taken by one ${who} a session, once that has expired`, () =>
      Effect.gen(function* () {
        const ids = yield* Effect.forEach(["a", "b", "c", "d"], () => anObject())
        const [us, them] = [yield* aProcess("us"), yield* aProcess("them", others)]
        const ours = yield* Effect.forEach(ids, us.has, { concurrency: "unbounded" })
        const waiting = yield* Effect.forkScoped(
          Effect.forEach(
            ids,
            (id, index) =>
              Effect.flatMap(them.scoped(id), ({ fencingToken }) =>
                Effect.map(ours[index]!.isValid, (isValid) => ({ isValid, fencingToken }))
              ),
            { concurrency: "unbounded" }
          ),
          { startImmediately: true }
        )
        yield* Effect.sleep("5 seconds")
        assert.isUndefined(waiting.pollUnsafe())
        yield* us.crashes
        for (const [index, { fencingToken, isValid }] of (yield* Fiber.join(waiting)).entries()) {
          assert.isFalse(isValid)
          assert.isAbove(Number(fencingToken - ours[index]!.fencingToken), 0)
        }
      }).pipe(Effect.scoped)
    )
  }

  it.effect("one that is broken is free once its holder knows, and no other is lost", () =>
    Effect.gen(function* () {
      const [id, other] = [yield* anObject(), yield* anObject()]
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them", { session: false })]
      const [ours, kept] = [yield* us.has(id), yield* us.has(other)]
      const waiting = yield* Effect.forkScoped(
        Effect.flatMap(them.scoped(id), ({ fencingToken }) =>
          Effect.map(ours.isValid, (isValid) => ({ isValid, fencingToken }))
        ),
        { startImmediately: true }
      )
      yield* Effect.sleep("500 millis")
      assert.deepInclude(yield* them.break(id), { _tag: "Held", holder: ours.holderId })
      assert.isFalse(yield* ours.isValid)
      assert.deepInclude(yield* Effect.flip(ours.lost), { reason: "Removed" })
      const { fencingToken, isValid } = yield* Fiber.join(waiting)
      assert.isFalse(isValid)
      assert.isAbove(Number(fencingToken - ours.fencingToken), 0)
      yield* Effect.sleep("5 seconds")
      assert.isTrue(yield* kept.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("one whose record is removed by hand is lost, and no other", () =>
    Effect.gen(function* () {
      const [id, other] = [yield* anObject(), yield* anObject()]
      const us = yield* aProcess("us")
      const [ours, kept] = [yield* us.has(id), yield* us.has(other)]
      const store = yield* ObjectStore
      const { resourceVersion } = yield* store.read(id)
      const annotations = LockRecord.removal(us.annotation)
      assert.isTrue(Option.isSome(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations })))
      assert.deepInclude(yield* Effect.timeout(Effect.flip(ours.lost), "10 seconds"), { reason: "Removed" })
      assert.isTrue(yield* kept.isValid)
    }).pipe(Effect.scoped)
  )

  it.effect("those that are held when the layer closes are free at once", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.has(id)
      const waiting = yield* Effect.forkScoped(them.scoped(id), { startImmediately: true })
      yield* Effect.sleep("1 second")
      yield* us.ends
      assert.isFalse(yield* ours.isValid)
      yield* Effect.timeout(Fiber.join(waiting), "3 seconds")
    }).pipe(Effect.scoped)
  )

  it.effect(
    "processes with and without one, and of a version that knows none, exclude each other, and none starves",
    () =>
      Effect.gen(function* () {
        const id = yield* anObject()
        const processes = yield* Effect.forEach(
          [{}, {}, { session: false }, { knows: false }, { knows: false }],
          (options, index) => aProcess(`process-${index}`, options)
        )
        const { increment, value } = aNumber()
        yield* Effect.forEach(
          processes,
          (lock, index) =>
            Effect.gen(function* () {
              for (let round = 0; round < 8; round++) {
                yield* Effect.provideService(Lock.withLock(id)(increment), Lock.Lock, lock)
                yield* Effect.sleep(index * 7)
              }
            }),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(value(), 40)
        assert.deepStrictEqual(yield* processes[0]!.inspect(id), { _tag: "Free" })
      }).pipe(Effect.scoped)
  )
}

/**
 * The queue of a lock on a live store: a few smoke tests. The tests in `test/internal/engine` prove the details in virtual time,
 * among them every number of requests.
 */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Lock from "../../src/Lock.ts"
import * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import { type MetadataPatch, type ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { contend, type Contender } from "../utils/contend.ts"
import { written } from "../utils/store.ts"
import { annotationsOf, anObject, type World } from "../utils/World.ts"

/** An object with an annotation and a label of its owner. */
const labelledObject = Effect.gen(function* () {
  const id = yield* anObject({ "example.com/other": "o" })
  const store = yield* ObjectStore
  const { resourceVersion } = yield* store.read(id)
  const labels: MetadataPatch = { app: "x" }
  written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: {}, labels }))
  return id
})

/** Another process. Its store may override some methods. */
const aProcess = (identity: string, change: Partial<ObjectStore["Service"]> = {}) =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    const lock = yield* Effect.provideService(Lock.make({ identity }), ObjectStore, { ...store, ...change })
    return { contend: (id: string, options?: Lock.AcquireOptions) => contend(lock, id, options) }
  })

/** Begins to acquire the lock in a process of its own. */
const contender = (id: string, identity: string, change?: Partial<ObjectStore["Service"]>) =>
  Effect.flatMap(aProcess(identity, change), (process) => process.contend(id))

/** Reads the object until it is as wanted. */
const until = (id: string, wanted: (snapshot: ObjectSnapshot) => boolean) =>
  Effect.flatMap(ObjectStore, (store) => store.read(id)).pipe(Effect.repeat({ until: wanted }))

const untilWaiting = (id: string, wanted: number) =>
  Effect.flatMap(ObjectStore, ({ annotation: key }) =>
    until(id, ({ annotations }) => LockQueue.fromAnnotations(key, annotations).waiters.length === wanted)
  )

/** Starts waiters in processes of their own, one after the other. */
const lineUp = (id: string, ...identities: ReadonlyArray<string>) =>
  Effect.forEach(identities, (identity, index) =>
    Effect.tap(contender(id, identity), () => untilWaiting(id, index + 1))
  )

/** Asserts that the lock comes free and leaves nothing but what the owner wrote. */
const isFreed = Effect.fnUntraced(function* (id: string) {
  const { annotation: key } = yield* ObjectStore
  const { annotations, labels } = yield* until(id, ({ annotations }) => !(key in annotations))
  assert.deepStrictEqual({ ...annotations }, { "example.com/other": "o" })
  assert.deepStrictEqual({ ...labels }, { app: "x" })
})

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const queue = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  it.effect("passes from process to process in the order of arrival", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject
      const { annotation: key } = yield* ObjectStore
      const tokens: Array<bigint> = []
      /** Waits until a contender holds the lock, and asserts what the object says about it. */
      const holds = Effect.fnUntraced(function* ({ held }: Contender) {
        const { fencingToken, holderId, isValid } = yield* held
        tokens.push(fencingToken)
        assert.isTrue(yield* isValid)
        const { annotations, labels } = yield* Effect.flatMap(ObjectStore, (store) => store.read(id))
        assert.isTrue(annotations[`${key}-holder`]?.startsWith(`${holderId}@`))
        assert.strictEqual(labels[LockQueue.labelKey(key)], LockQueue.processIdOf(holderId))
      })

      const holder = yield* contender(id, "holder")
      tokens.push((yield* holder.held).fencingToken)
      const waiters = yield* lineUp(id, "a", "b", "c")
      yield* holder.letGo
      for (const [index, waiter] of waiters.entries()) {
        yield* holds(waiter)
        for (const later of waiters.slice(index + 1)) assert.isFalse(yield* later.has)
        yield* waiter.letGo
      }
      yield* isFreed(id)
      assert.deepStrictEqual(
        tokens,
        [...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1))
      )
    }).pipe(Effect.scoped)
  )

  it.effect("passes in the order of arrival also to waiters that watch the whole object by then", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject
      const store = yield* ObjectStore
      const holder = yield* contender(id, "holder")
      yield* holder.held
      const watching = new Set<string>()
      const waiters: Array<Contender> = []
      for (const identity of ["a", "b"]) {
        const watch: typeof store.watch = (id, options) => {
          if (options?.label === undefined) watching.add(identity)
          return store.watch(id, options)
        }
        waiters.push(yield* contender(id, identity, { watch }))
        yield* untilWaiting(id, waiters.length)
      }
      yield* until(id, () => watching.size === 2)
      yield* holder.letGo
      for (const waiter of waiters) {
        yield* waiter.held
        yield* waiter.letGo
      }
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )

  it.effect("skips a waiter that was interrupted, in the queue or as a join", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject
      const holder = yield* contender(id, "holder")
      yield* holder.held
      const [newcomer, first, second, third] = yield* lineUp(id, "a", "b", "c", "d")
      yield* Fiber.interrupt(newcomer!.fiber)
      yield* untilWaiting(id, 3)
      yield* holder.letGo
      yield* first!.held
      assert.property(yield* annotationsOf(id), LockQueue.queueKey((yield* ObjectStore).annotation))
      yield* Fiber.interrupt(second!.fiber)
      yield* untilWaiting(id, 1)
      yield* first!.letGo
      yield* third!.held
      yield* third!.letGo
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )

  it.effect("is acquired by polling if watching is not allowed", () =>
    Effect.gen(function* () {
      const id = yield* labelledObject
      const watch: ObjectStore["Service"]["watch"] = () =>
        Stream.fail(new LockError.Forbidden({ object: id, verb: "watch", status: 403, detail: "no" }))
      const holder = yield* contender(id, "holder")
      yield* holder.held
      const process = yield* aProcess("waiter", { watch })
      const waiter = yield* process.contend(id, { waitSchedule: LockPolicy.fixedPolls("20 millis", 3000) })
      yield* untilWaiting(id, 1)
      yield* holder.letGo
      yield* waiter.held
      yield* waiter.letGo
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )
}

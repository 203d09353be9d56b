/** One object, and processes that acquire its lock in virtual time. Each process has a store with faults of its own. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../src/Lock.ts"
import * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import { type MetadataPatch, type ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import { contend } from "./contend.ts"
import * as FaultyStore from "./FaultyStore.ts"

export const id = "token"
export const key = LockPolicy.dexAnnotation
export const line = LockQueue.queueKey(key)

/** The annotations of the object before any acquisition of its lock. */
export const untouched: Readonly<Record<string, string>> = { "example.com/other": "o" }

/** The holder ID of an acquisition of a process that is gone. */
export const dead = (acquisition: number) => LockQueue.holderId("dead", "deaddeaddead", acquisition)

/** The annotations of a lock as Dex writes it. */
export const dexLockUntil = (seconds: number) => ({ [key]: LockRecord.expiryAt(seconds * 1000) })

/** What a process is told that may not watch the object. */
export const mayNotWatch = new LockError.Forbidden({
  object: id,
  verb: "watch",
  status: 403,
  refusedBy: "Authorizer",
  detail: "no"
})

/** Makes the object, and functions that read it and write to it as a stranger would. */
export const setUp = Effect.gen(function* () {
  const memory = yield* ObjectStoreMemory.make({ objects: [id], createIfMissing: false, annotation: key })
  const read: Effect.Effect<ObjectSnapshot> = Effect.orDie(memory.store.read(id))
  const annotate = (annotations: MetadataPatch) =>
    Effect.flatMap(read, ({ resourceVersion }) =>
      memory.store.compareAndSwap(id, { expect: { resourceVersion }, annotations })
    )
  yield* annotate(untouched)
  const aProcess = Effect.fnUntraced(function* (
    name: string,
    options: LockPolicy.Options = {},
    change: (store: ObjectStore["Service"]) => ObjectStore["Service"] = (store) => store
  ) {
    const faulty = FaultyStore.over(memory)
    const scope = yield* Scope.make()
    const lock = yield* Lock.make({ identity: name, policy: LockPolicy.make(options) }).pipe(
      Effect.provideService(ObjectStore, change(faulty.store)),
      Scope.provide(scope)
    )
    const wants = (options?: Lock.AcquireOptions) =>
      Effect.tap(contend(lock, id, options), () => TestClock.adjust("1 millis"))
    return { ...faulty, lock, scope, wants }
  })
  const annotations = Effect.map(read, ({ annotations }) => annotations)
  /** Wipes the queue, as Dex does. Returns the number of waiters in it. */
  const wipe = Effect.gen(function* () {
    const queue = LockQueue.fromAnnotations(key, (yield* read).annotations)
    yield* annotate(LockQueue.queuePatch(key, queue, { waiters: [], chainStartedAt: undefined }))
    return queue.waiters.length
  })
  return {
    read,
    annotations,
    annotate,
    wipe,
    aProcess,
    holder: Effect.map(annotations, (annotations) => {
      return LockRecord.leaseOf(LockRecord.fromAnnotations(key, annotations))?.holderId?.split("/")[0]
    }),
    waiting: Effect.map(annotations, (annotations) =>
      LockQueue.fromAnnotations(key, annotations).waiters.map((name) => name.split("/")[0])
    ),
    /** Asserts that nothing of the lock is left. */
    isUntouched: Effect.map(read, ({ annotations, labels }) => {
      assert.deepStrictEqual({ ...annotations }, untouched)
      assert.deepStrictEqual({ ...labels }, {})
    })
  }
})

/** One of the processes. */
export type Process = Effect.Success<ReturnType<Effect.Success<typeof setUp>["aProcess"]>>

/** A fiber that acquires the lock again and again, for 20 ms each time, and the times at which it got it. */
export const busy = (process: Process, options?: Lock.AcquireOptions) =>
  Effect.gen(function* () {
    const had: Array<number> = []
    const hold = Effect.gen(function* () {
      yield* process.lock.scoped(id, options)
      had.push(yield* Clock.currentTimeMillis)
      yield* Effect.sleep("20 millis")
    }).pipe(Effect.scoped)
    const fiber = yield* Effect.forkChild(Effect.forever(hold), { startImmediately: true })
    return { had, fiber }
  })

/** Lets time pass in steps. */
export const pass = (millis: number, step = 20) =>
  Effect.gen(function* () {
    for (let passed = 0; passed < millis; passed += step) yield* TestClock.adjust(step)
  })

/** How many requests each round of loops costs that acquire the lock again and again (`busy`), after they have run in. */
export const requestsPerRound = Effect.fnUntraced(function* (
  processes: ReadonlyArray<Process>,
  options?: Lock.AcquireOptions
) {
  const loops = yield* Effect.forEach(processes, (process) => busy(process, options))
  const total = () => processes.reduce((sum, { requests }) => sum + requests.length, 0)
  const rounds = () => loops.reduce((sum, { had }) => sum + had.length, 0)
  yield* pass(1000)
  const before = [total(), rounds()] as const
  yield* pass(4000)
  for (const { fiber } of loops) yield* Fiber.interrupt(fiber)
  return (total() - before[0]) / (rounds() - before[1])
})

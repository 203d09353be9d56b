/** How a lock goes from process to process, on any store, with live clocks: a part of the lock's behaviour. */
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
import { annotate, annotationsOf, World } from "../utils/World.ts"

const key = LockPolicy.dexAnnotation

let count = 0

/** An object with an annotation and a label of its owner's. */
const anObject = Effect.gen(function* () {
  const id = `queue-${process.pid}-${++count}`
  yield* (yield* World).make(id, { "example.com/other": "o" })
  const store = yield* ObjectStore
  const { resourceVersion } = yield* store.read(id)
  const labels: MetadataPatch = { app: "x" }
  written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: {}, labels }))
  return id
})

/** A process of its own, and the requests that it makes. Its watches can be something else than the store's. */
const aProcess = (holder: string, changes?: ObjectStore["Service"]["watch"]) =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    const requests: Array<"read" | "write"> = []
    const counting =
      <Args extends ReadonlyArray<unknown>, A>(verb: "read" | "write", request: (...args: Args) => A) =>
      (...args: Args): A => {
        requests.push(verb)
        return request(...args)
      }
    const counted: ObjectStore["Service"] = {
      ...store,
      read: counting("read", store.read),
      create: counting("write", store.create),
      compareAndSwap: counting("write", store.compareAndSwap),
      watch: changes ?? store.watch
    }
    const lock = yield* Effect.provideService(Lock.make({ identity: holder }), ObjectStore, counted)
    return { lock, requests, contend: (id: string, options?: Lock.AcquireOptions) => contend(lock, id, options) }
  })

const deaf: ObjectStore["Service"]["watch"] = () => Stream.never

const queueOf = (id: string) =>
  Effect.map(annotationsOf(id), (annotations) => LockQueue.fromAnnotations(key, annotations).waiters)

/** Reads the object until it is as wanted. */
const until = (id: string, wanted: (metadata: ObjectSnapshot) => boolean) =>
  Effect.flatMap(ObjectStore, (store) => store.read(id)).pipe(
    Effect.repeat({ until: wanted }),
    Effect.timeout("5 seconds")
  )

const untilWaiting = (id: string, wanted: number) =>
  until(id, ({ annotations }) => LockQueue.fromAnnotations(key, annotations).waiters.length === wanted)

/** Lets several processes line up for a lock, one after the other. */
const lineUp = (id: string, processes: ReadonlyArray<Effect.Success<ReturnType<typeof aProcess>>>) =>
  Effect.forEach(processes, (process, index) => Effect.tap(process.contend(id), () => untilWaiting(id, index + 1)))

/** That nothing of the lock is left, and nothing of the owner's is gone. */
const leftAsItWas = Effect.fnUntraced(function* (id: string) {
  const { annotations, labels } = yield* Effect.flatMap(ObjectStore, (store) => store.read(id))
  assert.deepStrictEqual({ ...annotations }, { "example.com/other": "o" })
  assert.deepStrictEqual({ ...labels }, { app: "x" })
})

/** That the lock comes free, and leaves the object so. */
const isFreed = (id: string) =>
  Effect.andThen(
    until(id, ({ annotations }) => !(key in annotations)),
    leftAsItWas(id)
  )

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const queue = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  it.effect("goes from process to process, by one write each time, in the order in which they came", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const arrive = Effect.fnUntraced(function* (name: string, wanted: number) {
        const process = yield* aProcess(name)
        const contender = yield* process.contend(id)
        yield* untilWaiting(id, wanted)
        process.requests.length = 0
        return { ...process, ...contender }
      })
      const tokens: Array<bigint> = []
      /** That a contender has the lock, with all that goes with it. */
      const has = Effect.fnUntraced(function* ({ held }: Contender) {
        const { fencingToken, holderId: holder, isValid } = yield* held
        tokens.push(fencingToken)
        assert.isTrue(yield* isValid)
        const { annotations, labels } = yield* Effect.flatMap(ObjectStore, (store) => store.read(id))
        assert.isTrue(annotations[`${key}-holder`]?.startsWith(`${holder}@`))
        assert.strictEqual(labels[LockQueue.labelKey(key)], LockQueue.processIdOf(holder))
      })

      const holder = yield* aProcess("holder")
      const holding = yield* holder.contend(id)
      tokens.push((yield* holding.held).fencingToken)
      const first = yield* arrive("a", 1)
      const second = yield* arrive("b", 2)
      const third = yield* arrive("c", 3)
      holder.requests.length = 0
      yield* holding.letGo
      yield* has(first)
      const fourth = yield* arrive("d", 3)
      yield* first.letGo
      yield* second.held
      const fifth = yield* arrive("e", 3)
      yield* has(second)
      assert.isFalse(yield* third.has)
      yield* second.letGo
      yield* has(third)
      assert.isFalse(yield* fourth.has)
      yield* third.letGo
      yield* has(fourth)
      assert.isFalse(yield* fifth.has)
      yield* fourth.letGo
      yield* has(fifth)
      yield* fifth.letGo
      yield* isFreed(id)

      assert.deepStrictEqual(
        [first, second, third, fourth, fifth].map(({ requests }) => requests),
        [["write"], ["write"], ["write"], ["write"], ["write"]]
      )
      // Nobody was there when the holder acquired it: it finds the first of them in the answer to its release.
      assert.deepStrictEqual(holder.requests, ["write", "write"])
      assert.deepStrictEqual(
        tokens,
        [...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1))
      )
    }).pipe(Effect.scoped)
  )

  it.effect("is handed over by the same write with which it is released, where the holder has heard of who waits", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.contend(id, { ttl: "1 second" })
      yield* ours.held
      const [theirs] = yield* lineUp(id, [them])
      yield* Effect.sleep("600 millis")
      us.requests.length = 0
      yield* ours.letGo
      yield* theirs!.held
      assert.deepStrictEqual(us.requests, ["write"])
      yield* theirs!.letGo
      yield* leftAsItWas(id)
    }).pipe(Effect.scoped)
  )

  it.effect("outlasts the wait of others, and is theirs afterwards", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them")]
      const ours = yield* us.contend(id, { ttl: "1 second" })
      const held = yield* ours.held
      const theirs = yield* them.contend(id, { ttl: "1 second" })
      yield* Effect.sleep("2500 millis")
      assert.isFalse(yield* theirs.has)
      assert.isTrue(yield* held.isValid)
      yield* ours.letGo
      yield* theirs.held.pipe(Effect.timeout("1 second"))
      yield* Effect.sleep("3500 millis")
      assert.isTrue(yield* (yield* theirs.held).isValid)
      yield* theirs.letGo
      yield* leftAsItWas(id)
    }).pipe(Effect.scoped)
  )

  it.effect("is queued for in vain by who is interrupted, and leaves the queue: just arrived, or in the line", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const holder = yield* aProcess("holder")
      const processes = yield* Effect.forEach(["a", "b", "c", "d"], (name) => aProcess(name))
      const holding = yield* holder.contend(id)
      yield* holding.held
      const [gaveUp, first, second, third] = yield* lineUp(id, processes)
      yield* Fiber.interrupt(gaveUp!.fiber)
      yield* untilWaiting(id, 3)
      yield* holding.letGo
      yield* first!.held
      assert.property(yield* annotationsOf(id), LockQueue.queueKey(key))
      yield* Fiber.interrupt(second!.fiber)
      yield* untilWaiting(id, 1)
      yield* first!.letGo
      yield* third!.held
      yield* third!.letGo
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )

  it.effect("is passed on by who is interrupted in the moment of the grant, and freed where nobody waits", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const isHeldBy = (name: string) =>
        until(id, ({ annotations }) => annotations[`${key}-holder`]?.startsWith(`${name}/`) === true)
      const ours = yield* Effect.flatMap(aProcess("holder"), (process) => process.contend(id))
      yield* ours.held
      // It does not hear that it has it.
      const granted = yield* Effect.flatMap(aProcess("granted", deaf), (process) => process.contend(id))
      yield* untilWaiting(id, 1)
      yield* ours.letGo
      yield* isHeldBy("granted")
      const next = yield* Effect.flatMap(aProcess("next"), (process) => process.contend(id))
      yield* untilWaiting(id, 1)
      assert.isFalse(yield* granted.has)
      yield* Fiber.interrupt(granted.fiber)
      yield* next.held.pipe(Effect.timeout("2 seconds"))

      const last = yield* Effect.flatMap(aProcess("last", deaf), (process) => process.contend(id))
      yield* untilWaiting(id, 1)
      yield* next.letGo
      yield* isHeldBy("last")
      assert.isFalse(yield* last.has)
      yield* Fiber.interrupt(last.fiber)
      yield* until(id, ({ annotations }) => !(key in annotations)).pipe(Effect.timeout("2 seconds"))
      yield* leftAsItWas(id)
    }).pipe(Effect.scoped)
  )

  it.effect("is handed on in order after a long hold, too, at no more requests for who waits", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const holder = yield* aProcess("holder")
      const ours = yield* holder.contend(id)
      yield* ours.held
      const processes = yield* Effect.forEach(["a", "b", "c"], (name) => aProcess(name))
      const contenders = yield* lineUp(id, processes)
      yield* Effect.sleep("1500 millis")
      for (const { requests } of [holder, ...processes]) requests.length = 0
      yield* ours.letGo
      for (const [index, contender] of contenders.entries()) {
        yield* contender.held
        for (const { requests } of processes.slice(index)) assert.deepStrictEqual(requests, [])
        yield* contender.letGo
      }
      assert.deepStrictEqual(holder.requests, ["write", "write"])
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )

  it.effect("costs those who wait one write where the queue is wiped, and they get it as it is released", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const ours = yield* Effect.flatMap(aProcess("holder"), (process) => process.contend(id))
      yield* ours.held
      const processes = yield* Effect.forEach(["a", "b"], (name) => aProcess(name))
      const contenders = yield* lineUp(id, processes)
      yield* Effect.sleep("1500 millis")
      for (const { requests } of processes) requests.length = 0
      const queue = LockQueue.fromAnnotations(key, yield* annotationsOf(id))
      yield* annotate(id, LockQueue.queuePatch(key, queue, { waiters: [], chainStartedAt: undefined }))
      yield* untilWaiting(id, 2)
      assert.sameMembers([...(yield* queueOf(id))], [...queue.waiters])
      for (const { requests } of processes) assert.deepStrictEqual(requests, ["write"])
      yield* ours.letGo
      for (const contender of contenders) {
        yield* contender.held.pipe(Effect.timeout("1 second"))
        yield* contender.letGo
      }
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )

  it.effect("costs a short lease where the first of the queue is no more, however long it was held before", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const ours = yield* Effect.flatMap(aProcess("holder"), (process) => process.contend(id))
      yield* ours.held
      const dead = LockQueue.holderId("dead", LockQueue.newProcessId(), 1)
      yield* annotate(id, LockQueue.joinPatch(key, dead, "1"))
      const theirs = yield* Effect.flatMap(aProcess("them"), (process) => process.contend(id))
      yield* untilWaiting(id, 2)
      yield* ours.letGo
      yield* until(id, ({ annotations }) => annotations[`${key}-holder`]?.startsWith(dead) === true)
      yield* theirs.held.pipe(Effect.timeout("5500 millis"))
      yield* theirs.letGo
      yield* isFreed(id)
    }).pipe(Effect.scoped)
  )

  it.effect("is had by polling where watching is not allowed", () =>
    Effect.gen(function* () {
      const id = yield* anObject
      const forbidden: ObjectStore["Service"]["watch"] = () =>
        Stream.fail(new LockError.Forbidden({ object: id, verb: "watch", status: 403, detail: "no" }))
      const [us, them] = [yield* aProcess("us"), yield* aProcess("them", forbidden)]
      const ours = yield* us.contend(id)
      yield* ours.held
      const theirs = yield* them.contend(id, { waitSchedule: LockPolicy.fixedPolls("20 millis", 500) })
      yield* untilWaiting(id, 1)
      yield* ours.letGo
      yield* theirs.held.pipe(Effect.timeout("1 second"))
      assert.deepStrictEqual(yield* queueOf(id), [])
      yield* theirs.letGo
      yield* leftAsItWas(id)
    }).pipe(Effect.scoped)
  )
}

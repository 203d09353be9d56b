/**
 * What kubelock costs by itself, on the store in memory: `node --expose-gc bench/peers/memory.ts SECONDS` prints JSON.
 *
 * A process of its own: nothing else is on its heap, and nobody else's code is warm.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Lock from "../../src/Lock.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import { quantile } from "./samples.ts"
import { now } from "./task.ts"

/** What was measured. */
export interface MemoryFigures {
  readonly cycleMicrosP50: number
  readonly contended: { readonly fibers: number; readonly handoffMicrosP50: number; readonly perSecond: number }
  readonly ids: ReadonlyArray<{
    readonly ids: number
    readonly cycleMicrosP50: number
    readonly bytesPerId: number | null
  }>
}

const fibers = 16
const idCounts = [1, 10, 100, 1000, 10_000]

/** Fewer weigh less than the heap varies by itself. */
const fewestWeighed = 100

const name = (index: number): string => `token-${index}`

const cycle = (id: string) => Effect.scoped(Lock.scoped(id))

/** One fiber, one lock after the other: how long a cycle takes. */
const uncontended = Effect.fnUntraced(function* (names: ReadonlyArray<string>, seconds: number) {
  const samples: Array<number> = []
  const end = now() + seconds * 1000
  for (let before = now(), next = 0; before < end; next = (next + 1) % names.length) {
    yield* cycle(names[next]!)
    const after = now()
    samples.push((after - before) * 1000)
    before = after
  }
  return quantile(
    samples.toSorted((a, b) => a - b),
    0.5
  )!
})

/** Many fibers, one id: how long from one's leaving to the next one's entry. */
const contended = Effect.fnUntraced(function* (seconds: number) {
  const handoffs: Array<number> = []
  let left: number | undefined
  let acquisitions = 0
  const entered = () => {
    acquisitions++
    if (left !== undefined) handoffs.push((now() - left) * 1000)
  }
  // The section lasts until the others had their turn to ask for the lock: otherwise nobody waits, and nothing is handed on.
  const turn = Effect.scoped(
    Effect.gen(function* () {
      yield* Effect.map(Lock.scoped("token"), entered)
      yield* Effect.yieldNow
      left = now()
    })
  )
  const contenders = yield* Effect.forEach(Array.from({ length: fibers }), () => Effect.forkChild(Effect.forever(turn)))
  yield* Effect.sleep(seconds * 1000)
  const perSecond = acquisitions / seconds
  yield* Fiber.interruptAll(contenders)
  const sorted = handoffs.toSorted((a, b) => a - b)
  return { fibers, handoffMicrosP50: quantile(sorted, 0.5)!, perSecond }
})

const heapUsed = Effect.sync(() => {
  for (let times = 0; times < 4; times++) globalThis.gc!()
  return process.memoryUsage().heapUsed
})

/** Many ids, one after the other: what a cycle takes, and what an id that nobody holds any more leaves on the heap. */
const manyIds = Effect.fnUntraced(function* (ids: number, seconds: number) {
  const { store } = yield* ObjectStoreMemory.make({ objects: Array.from({ length: ids }, (_, id) => name(id)) })
  const names = Array.from({ length: ids }, (_, id) => name(id))
  const all = Effect.forEach(names, cycle, { discard: true })
  const makeLock = Effect.map(Lock.make(), (lock) => Context.make(Lock.Lock, lock)).pipe(
    Effect.provideService(ObjectStore, store)
  )
  // the store is then as it will be, and what is measured next is the lock's alone
  yield* Effect.scoped(Effect.flatMap(makeLock, (lock) => Effect.provideContext(all, lock)))
  const before = yield* heapUsed
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const lock = yield* makeLock
      yield* Effect.provideContext(all, lock)
      const bytes = (yield* heapUsed) - before
      const cycleMicrosP50 = yield* Effect.provideContext(uncontended(names, seconds), lock)
      return { ids, cycleMicrosP50, bytesPerId: ids < fewestWeighed ? null : Math.max(0, bytes / ids) }
    })
  )
})

const program = Effect.gen(function* () {
  const seconds = Number(process.argv[2])
  const lock = yield* Layer.build(Lock.layerMemory())
  const warmUp = uncontended(["token"], seconds)
  yield* Effect.provideContext(warmUp, lock)
  const figures: MemoryFigures = {
    cycleMicrosP50: yield* Effect.provideContext(uncontended(["token"], seconds), lock),
    contended: yield* Effect.provideContext(contended(seconds), lock),
    ids: yield* Effect.forEach(idCounts, (ids) => manyIds(ids, seconds / 2))
  }
  yield* Console.log(JSON.stringify(figures))
})

if (import.meta.main) NodeRuntime.runMain(Effect.scoped(program))

/** What kubelock itself costs, on the store in memory: a worker that answers with `MemoryFigures`. It needs `gc`. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Lock from "../../src/Lock.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import { now } from "../../src/cli/bench/contest/task.ts"
import { quantile, sorted } from "../../src/cli/bench/harness/statistics.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"

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

/** Fewer ids weigh less than the heap varies by itself. */
const fewestWeighed = 100

const cycle = (id: string) => Effect.scoped(Lock.scoped(id))

/** One fiber, one lock after the other: how long a cycle takes, in microseconds. */
const uncontended = Effect.fnUntraced(function* (names: ReadonlyArray<string>, seconds: number) {
  const samples: Array<number> = []
  const end = now() + seconds * 1000
  for (let before = now(), next = 0; before < end; next = (next + 1) % names.length) {
    yield* cycle(names[next]!)
    const after = now()
    samples.push((after - before) * 1000)
    before = after
  }
  return quantile(sorted(samples), 0.5)!
})

/** Many fibers, one id: how long it takes from leaving to the next entry. */
const contended = Effect.fnUntraced(function* (seconds: number) {
  const handoffs: Array<number> = []
  let left: number | undefined
  let acquisitions = 0
  const entered = () => {
    acquisitions++
    if (left !== undefined) handoffs.push((now() - left) * 1000)
  }
  // The section lasts until the other fibers have asked for the lock. Otherwise none would wait for a hand-off.
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
  return { fibers, handoffMicrosP50: quantile(sorted(handoffs), 0.5)!, perSecond }
})

const heapUsed = Effect.sync(() => {
  for (let times = 0; times < 4; times++) globalThis.gc!()
  return process.memoryUsage().heapUsed
})

/** Many ids, one after the other: how long a cycle takes, and what an id that is no longer held leaves on the heap. */
const manyIds = Effect.fnUntraced(function* (ids: number, seconds: number) {
  const names = Array.from({ length: ids }, (_, id) => `token-${id}`)
  const { store } = yield* ObjectStoreMemory.make({ objects: names })
  const all = Effect.forEach(names, cycle, { discard: true })
  const makeLock = Effect.map(Lock.make(), (lock) => Context.make(Lock.Lock, lock)).pipe(
    Effect.provideService(ObjectStore, store)
  )
  // The store then stays as it is, and only the next lock is weighed.
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

const measure = (seconds: number): Effect.Effect<MemoryFigures, { readonly message: string }> =>
  Effect.gen(function* () {
    const lock = yield* Layer.build(Lock.layerMemory())
    const warmUp = uncontended(["token"], seconds)
    yield* Effect.provideContext(warmUp, lock)
    return {
      cycleMicrosP50: yield* Effect.provideContext(uncontended(["token"], seconds), lock),
      contended: yield* Effect.provideContext(contended(seconds), lock),
      ids: yield* Effect.forEach(idCounts, (ids) => manyIds(ids, seconds / 2))
    }
  }).pipe(Effect.scoped)

Workers.main(Workers.serve(measure))

/** One object, and processes that take permits of it in virtual time. Each process has a store with faults of its own. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import * as FaultyStore from "./FaultyStore.ts"

/** The object that is locked. */
export const id = "gate"
const untouched: Readonly<Record<string, string>> = { "example.com/other": "o" }

export const waitSchedule = LockPolicy.fixedPolls("100 millis", 1000)

/** A process: its semaphores, shared locks and locks. */
export const servicesOver = Effect.fnUntraced(function* (store: ObjectStore["Service"], identity?: string) {
  const semaphore = yield* Semaphore.make({ identity }).pipe(Effect.provideService(ObjectStore, store))
  const shared = yield* SharedLock.make({ identity }).pipe(Effect.provideService(ObjectStore, store))
  const lock = yield* Lock.make({ identity }).pipe(Effect.provideService(ObjectStore, store))
  return { semaphore, shared, lock }
})

export type Process = Effect.Success<ReturnType<typeof servicesOver>>

/** One object, and processes with faults of their own. */
export const setUp = Effect.gen(function* () {
  const memory = yield* ObjectStoreMemory.make({ objects: [id], createIfMissing: false })
  const read = Effect.orDie(memory.store.read(id))
  const { resourceVersion } = yield* read
  yield* memory.store.compareAndSwap(id, {
    expect: { resourceVersion },
    annotations: untouched,
    labels: { "app.kubernetes.io/managed-by": null }
  })
  const aProcess = Effect.fnUntraced(function* (identity: string) {
    const faulty = FaultyStore.over(memory)
    return { ...faulty, ...(yield* servicesOver(faulty.store, identity)) }
  })
  return {
    memory,
    aProcess,
    read,
    isUntouched: Effect.map(read, ({ annotations }) => assert.deepStrictEqual({ ...annotations }, untouched))
  }
})

/** Begins to take something, in a scope of its own. */
export const wants = <A, E>(take: Effect.Effect<A, E, Scope.Scope>) => Effect.map(wantTogether([take]), ([one]) => one!)

/** Begins to take several things at the same moment, each in a scope of its own. */
export const wantTogether = <A, E>(takes: ReadonlyArray<Effect.Effect<A, E, Scope.Scope>>) =>
  Effect.gen(function* () {
    const begun = yield* Effect.forEach(takes, (take) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const fiber = yield* take.pipe(Scope.provide(scope), Effect.forkChild({ startImmediately: true }))
        return { fiber, scope }
      })
    )
    yield* TestClock.adjust(1)
    return begun.map(({ fiber, scope }) => ({
      fiber,
      has: () => {
        const exit = fiber.pollUnsafe()
        return exit !== undefined && Exit.isSuccess(exit)
      },
      letGo: Effect.andThen(Scope.close(scope, Exit.void), TestClock.adjust(1))
    }))
  })

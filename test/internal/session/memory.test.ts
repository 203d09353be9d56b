/** What a process keeps for each lock that it holds. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapUsed = Effect.sync(() => {
  for (let times = 0; times < 4; times++) collect()
  return process.memoryUsage().heapUsed
})

const names = (count: number) => Array.from({ length: count }, (_, index) => `lock-${index}`)

describe("a held lock", () => {
  for (const session of [false, true]) {
    it.effect(`takes little memory, ${session ? "with" : "without"} a session`, () =>
      Effect.gen(function* () {
        const count = 3000
        const { store } = yield* ObjectStoreMemory.make({ objects: names(count) })
        // A request takes its time, so that others wait for a slot.
        const slow = ObjectStore.of({
          ...store,
          compareAndSwap: (id, patch) => Effect.andThen(Effect.yieldNow, store.compareAndSwap(id, patch))
        })
        const lock = yield* Lock.make({ policy: LockPolicy.make({ session }) }).pipe(
          Effect.provideService(ObjectStore, slow)
        )
        // A caller with a scope of its own.
        const acquire = Effect.fnUntraced(function* (id: string) {
          const scope = yield* Scope.make()
          return { scope, held: yield* Scope.provide(lock.scoped(id), scope) }
        })
        const [first = "", ...others] = names(count)
        yield* acquire(first)
        yield* TestClock.adjust("100 millis")
        const before = yield* heapUsed
        const all = yield* Effect.forEach(others, acquire, { concurrency: 64 })
        const each = ((yield* heapUsed) - before) / all.length
        assert.isBelow(each, 2700)
        assert.isTrue(yield* all[0]!.held.isValid)
      })
    )
  }
})

/** Waiters for permits whose watches open late, on stores that tell all that has happened since a version. */
import { assert, type Vitest } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import { anObject, type World } from "../utils/World.ts"

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore`, on live clocks. */
export const lateWatch = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  it.effect("a waiter hears that it was let in, also if another one was let in before its watch was open", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const store = yield* ObjectStore
      const mayWatch = yield* Deferred.make<void>()
      const late: ObjectStore["Service"] = {
        ...store,
        watch: (id, options) => Stream.unwrap(Effect.as(Deferred.await(mayWatch), store.watch(id, options)))
      }
      const aProcess = (identity: string, store: ObjectStore["Service"]) =>
        Semaphore.make({ identity }).pipe(Effect.provideService(ObjectStore, store))
      const wants = Effect.fnUntraced(function* (process: Semaphore.Semaphore["Service"]) {
        const scope = yield* Scope.make()
        const fiber = yield* Effect.forkChild(Scope.provide(process.take(id, { limit: 2 }), scope))
        return { had: Fiber.join(fiber), letGo: Scope.close(scope, Exit.void) }
      })
      const inLine = (size: number) =>
        Effect.repeat(process.inspect(id), { until: ({ waiters }) => waiters.length === size })
      const process = yield* aProcess("a", store)
      const holders = [yield* wants(process), yield* wants(yield* aProcess("b", store))]
      for (const { had } of holders) yield* had
      const first = yield* wants(yield* aProcess("c", late))
      yield* inLine(1)
      const second = yield* wants(yield* aProcess("d", store))
      yield* inLine(2)
      for (const { letGo } of holders) yield* letGo
      yield* second.had
      yield* Deferred.succeed(mayWatch, undefined)
      // Sooner than it would look by itself.
      yield* Effect.timeout(first.had, "2 seconds")
      assert.lengthOf((yield* process.inspect(id)).holders, 2)
      yield* first.letGo
      yield* second.letGo
    }).pipe(Effect.scoped)
  )
}

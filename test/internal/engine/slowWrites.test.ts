/** Writes that take seconds, as behind a slow webhook: the lock goes on, since a lease counts from when it was sent. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { id, pass, setUp } from "../../utils/processes.ts"

/** A lock of a process whose writes take so long, before they are stored or after. */
const slow = Effect.fnUntraced(function* (
  world: Effect.Success<typeof setUp>,
  name: string,
  millis: number,
  stored: "First" | "Last"
) {
  const { sound } = yield* world.aProcess(name)
  const store: ObjectStore["Service"] = {
    ...sound,
    compareAndSwap: (id, patch) => {
      const write = sound.compareAndSwap(id, patch)
      return stored === "Last" ? Effect.delay(write, millis) : Effect.tap(write, () => Effect.sleep(millis))
    }
  }
  return yield* Lock.make({ identity: name }).pipe(Effect.provideService(ObjectStore, store))
})

/** Interrupts fibers, and lets them release what they have. */
const end = (fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>) =>
  Effect.gen(function* () {
    for (const fiber of fibers) fiber.interruptUnsafe()
    yield* pass(30_000, 100)
  })

const waitSchedule = LockPolicy.fixedPolls("1 second", 300)

for (const stored of ["First", "Last"] as const) {
  describe(`writes that take long and are stored ${stored === "First" ? "at once" : "at the end"}`, () => {
    for (const millis of [3400, 4000, 4900]) {
      it.effect(`of ${millis} ms do not cost a holder its lock`, () =>
        Effect.gen(function* () {
          const lock = yield* slow(yield* setUp, "us", millis, stored)
          const fiber = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(lock.scoped(id), ({ lost }) => lost)), {
            startImmediately: true
          })
          yield* pass(120_000, 100)
          const exit = fiber.pollUnsafe()
          yield* end([fiber])
          assert.isUndefined(exit)
        }).pipe(Effect.scoped)
      )
    }

    for (const millis of [500, 1000, 1500, 2000, 2500, 3000, 4000, 4900]) {
      it.effect(`of ${millis} ms cost no process its lock that was handed it`, () =>
        Effect.gen(function* () {
          const world = yield* setUp
          let had = 0
          const lost: Array<string> = []
          const work = (lock: Lock.Lock["Service"]) =>
            lock.scoped(id, { waitSchedule }).pipe(
              Effect.flatMap((held) => held.guard(Effect.sleep("12 seconds"))),
              Effect.tap(() => Effect.sync(() => had++)),
              Effect.catchTag("LockLost", ({ message }) =>
                Effect.map(Clock.currentTimeMillis, (now) => lost.push(`${now}: ${message}`))
              ),
              Effect.scoped,
              Effect.forever
            )
          const fibers = yield* Effect.forEach(["us", "them", "others"], (name) =>
            Effect.flatMap(slow(world, name, millis, stored), (lock) =>
              Effect.forkChild(work(lock), { startImmediately: true })
            )
          )
          yield* pass(240_000, 100)
          yield* end(fibers)
          assert.deepStrictEqual(lost, [])
          assert.isAtLeast(had, 6)
        }).pipe(Effect.scoped)
      )
    }
  })
}

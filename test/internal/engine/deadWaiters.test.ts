/** Waiters that die together, as when a node goes down: they cost one hand-over lease in all, and the living keep their order. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import { id, pass, setUp } from "../../utils/processes.ts"

/** How long the dead may keep the lock from the living, in milliseconds. */
const longestStall = 5000

type World = Effect.Success<typeof setUp>

/** A process that can be killed: from then on nothing comes from it any more, and nothing reaches it. */
const mortal = Effect.fnUntraced(function* (world: World, name: string, latency: number) {
  const { sound } = yield* world.aProcess(name)
  let isDead = false
  const living = <A, E>(request: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => (isDead ? Effect.never : latency === 0 ? request : Effect.delay(request, latency)))
  const store: ObjectStore["Service"] = {
    ...sound,
    read: (id) => living(sound.read(id)),
    compareAndSwap: (id, patch) => living(sound.compareAndSwap(id, patch)),
    watch: (id, options) => Stream.filter(sound.watch(id, options), () => !isDead)
  }
  // Nothing of a dead process is to be cleaned up.
  const lock = yield* Lock.make({ identity: name }).pipe(
    Effect.provideService(ObjectStore, store),
    Scope.provide(yield* Scope.make())
  )
  return {
    name,
    lock,
    kill: () => {
      isDead = true
    }
  }
})

const waitSchedule = LockPolicy.fixedPolls("1 second", 300)

/** The living that got the lock, and for how long nobody had it before. Each of them holds it for so long. */
const crowd = Effect.fnUntraced(function* (order: ReadonlyArray<string>, holds: number, latency: number) {
  const world = yield* setUp
  const had: Array<string> = []
  let freeSince = 0
  let stalled = 0
  const holder = yield* mortal(world, "holder", 0)
  const scope = yield* Scope.make()
  yield* Scope.provide(holder.lock.scoped(id, { waitSchedule }), scope)
  const processes = yield* Effect.forEach(order, (name) => mortal(world, name, latency))
  for (const { lock, name } of processes) {
    const hold = Effect.gen(function* () {
      yield* lock.scoped(id, { waitSchedule })
      had.push(name)
      stalled += (yield* Clock.currentTimeMillis) - freeSince
      yield* Effect.sleep(holds)
      freeSince = yield* Clock.currentTimeMillis
    })
    yield* Effect.forkDetach(Effect.scoped(hold), { startImmediately: true })
    // The next one comes when this one has joined, which may take a while if answers take long.
    yield* pass(latency === 0 ? 20 : 12 * latency)
  }
  yield* pass(4000)
  for (const { kill, name } of processes) if (name.startsWith("dead")) kill()
  freeSince = yield* Clock.currentTimeMillis
  yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
  yield* pass(60_000)
  return { had, stalled }
})

describe("waiters that died together", () => {
  const interleaved = ["dead1", "a", "dead2", "dead3", "b", "dead4", "c", "dead5", "dead6", "dead7", "d", "dead8"]
  const behind = [...Array.from({ length: 40 }, (_, n) => `dead${n}`), "a", "b"]
  const before = ["a", "b", "c", ...Array.from({ length: 8 }, (_, n) => `dead${n}`)]

  for (const [where, order] of Object.entries({
    "among the living": interleaved,
    "before them": behind,
    "behind them": before
  })) {
    for (const holds of [0, 20, 1500, 8000]) {
      for (const latency of [0, 15, 60]) {
        it.effect(
          `${where} cost one hand-over lease in all: the lock is held for ${holds} ms, and answers take ${latency} ms`,
          () =>
            Effect.gen(function* () {
              const { had, stalled } = yield* crowd(order, holds, latency)
              assert.deepStrictEqual(
                had,
                order.filter((name) => !name.startsWith("dead"))
              )
              assert.isAtMost(stalled, longestStall)
            })
        )
      }
    }
  }
})

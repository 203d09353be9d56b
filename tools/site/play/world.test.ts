/** The world that readers of the site play with: its buttons do to the library's lock what they say. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Play from "./world.ts"

/** Time passes in small steps, so that messages are answered. */
const pass = (seconds: number) =>
  Effect.forEach(Array.from({ length: seconds * 20 }), () => TestClock.adjust("50 millis"), { discard: true })

const stateOf = (world: Play.World, name: string) => world.processes().find((one) => one.name === name)?.state

const world = Effect.gen(function* () {
  // Not closed: what crashed would never release.
  const made = yield* Scope.provide(
    Play.make(() => {}),
    yield* Scope.make()
  )
  const first = yield* made.add("kubelock")
  const second = yield* made.add("kubelock")
  yield* made.want(first)
  yield* pass(1)
  yield* made.want(second)
  yield* pass(2)
  assert.deepStrictEqual([stateOf(made, first), stateOf(made, second)], ["holding", "waiting"])
  return { made, first, second }
})

describe("the world to play with", () => {
  it.effect("a release hands the lock to the waiter at once", () =>
    Effect.gen(function* () {
      const { first, made, second } = yield* world
      yield* made.release(first)
      yield* pass(1)
      assert.deepStrictEqual([stateOf(made, first), stateOf(made, second)], ["idle", "holding"])
    })
  )

  it.effect("after a crash the waiter takes over when the lease has ended", () =>
    Effect.gen(function* () {
      const { first, made, second } = yield* world
      made.crash(first)
      yield* pass(2)
      assert.strictEqual(stateOf(made, second), "waiting")
      yield* pass(10)
      assert.strictEqual(stateOf(made, second), "holding")
      assert.strictEqual(made.inside(), 1)
    })
  )

  it.effect("a holder that is paused past its lease is told when it goes on", () =>
    Effect.gen(function* () {
      const { first, made, second } = yield* world
      made.pause(first)
      yield* pass(12)
      assert.strictEqual(stateOf(made, second), "holding")
      made.pause(first)
      yield* pass(1)
      assert.deepStrictEqual([stateOf(made, first), stateOf(made, second)], ["lost", "holding"])
    })
  )

  it.effect("a holder that is cut off stops before the waiter takes over", () =>
    Effect.gen(function* () {
      const { first, made, second } = yield* world
      made.cut(first)
      yield* pass(12)
      assert.deepStrictEqual([stateOf(made, first), stateOf(made, second)], ["lost", "holding"])
      const story = made.story().map(({ text }) => text)
      const told = story.findIndex((text) => text.includes("lost the lock"))
      assert.isAbove(
        told,
        story.findIndex((text) => text.startsWith(`${second} has`))
      )
    })
  )

  it.effect("Dex waits for kubelock, and kubelock for Dex", () =>
    Effect.gen(function* () {
      const { first, made, second } = yield* world
      const dex = yield* made.add("Dex")
      yield* made.want(dex)
      yield* pass(3)
      assert.strictEqual(stateOf(made, dex), "waiting")
      yield* made.release(first)
      yield* pass(3)
      yield* made.release(second)
      yield* pass(3)
      assert.strictEqual(stateOf(made, dex), "holding")
      yield* made.want(first)
      yield* pass(2)
      assert.strictEqual(stateOf(made, first), "waiting")
      yield* made.release(dex)
      yield* pass(3)
      assert.strictEqual(stateOf(made, first), "holding")
    })
  )
})

/** How processes wait for a value that another one refreshes: what it costs, how soon they have it, and what they do without a watch. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { failedMillis, forbiddenMillis } from "../../src/internal/engine/watchPool.ts"
import { spread } from "../../src/internal/refresh/rotation.ts"
import * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import { logged } from "../utils/logged.ts"
import { generationOf, id, lifetime, setUp, token } from "./fixture.ts"

/** Four processes that have all seen one rotation. */
const four = Effect.gen(function* () {
  const world = yield* setUp
  const processes = yield* Effect.all([world.aProcess(), world.aProcess(), world.aProcess(), world.aProcess()])
  const all = Effect.all(
    processes.map(({ get }) => get(id)),
    { concurrency: "unbounded" }
  )
  /** All want a fresh value at once. It ends when all have it. */
  const rotate = Effect.gen(function* () {
    world.requests.length = 0
    world.watching.opened = 0
    const callers = yield* Effect.forkChild(all)
    return Effect.map(Fiber.join(callers), (tokens) => tokens.map(generationOf))
  })
  world.upstream.before = Effect.sleep("2 seconds")
  const first = yield* rotate
  yield* TestClock.adjust("3 seconds")
  assert.deepStrictEqual(yield* first, [1, 1, 1, 1])
  yield* TestClock.adjust(lifetime)
  return { ...world, processes, rotate }
})

describe("a rotation that all processes wait for", () => {
  for (const seconds of [0, 2, 3]) {
    it.effect(`costs two requests and one watch in each other process, if the upstream takes ${seconds} s`, () =>
      Effect.gen(function* () {
        const { requests, rotate, upstream, watching } = yield* four
        upstream.before = Effect.sleep(seconds * 1000)
        const rotation = yield* rotate
        yield* TestClock.adjust(seconds * 1000)
        assert.deepStrictEqual(yield* rotation, [2, 2, 2, 2])
        assert.deepStrictEqual(requests, ["write", "write"])
        assert.strictEqual(watching.opened, 3)
      })
    )
  }

  it.effect("costs each that finds the lock held a read and a watch, if it knows nothing yet", () =>
    Effect.gen(function* () {
      const { aProcess, requests, upstream, watching } = yield* setUp
      upstream.before = Effect.sleep("900 millis")
      const first = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("100 millis")
      requests.length = 0
      const other = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("800 millis")
      assert.strictEqual(generationOf(yield* Fiber.join(other)), 1)
      yield* Fiber.join(first)
      assert.deepStrictEqual(requests, ["read", "write"])
      assert.strictEqual(watching.opened, 1)
    })
  )

  it.effect("is begun by one of the others within the spread, if the last holder does not come", () =>
    Effect.gen(function* () {
      const { processes, requests, upstream } = yield* four
      upstream.before = Effect.sleep("1 second")
      requests.length = 0
      const [, ...rest] = processes
      const waiting = yield* Effect.forkChild(
        Effect.all(
          rest.map(({ get }) => get(id)),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust(spread.atMost + 1000)
      assert.deepStrictEqual((yield* Fiber.join(waiting)).map(generationOf), [2, 2, 2])
      // Before its first answer a process makes sure that it can be written.
      assert.deepStrictEqual(requests, ["write", "dry run", "write"])
    })
  )

  it.effect("is begun by another process once the lock of a holder that died has been expired for the grace", () =>
    Effect.gen(function* () {
      const { requests, rotate, sound, upstream } = yield* four
      const { resourceVersion } = yield* sound.read(id)
      const annotations = {
        "kubelock.dev/lock": "1970-01-01T00:01:08Z",
        "kubelock.dev/lock-holder": "dead/1@1970-01-01T00:01:08Z"
      }
      yield* sound.compareAndSwap(id, { expect: { resourceVersion }, annotations })
      upstream.before = Effect.void
      const rotation = yield* rotate
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(upstream.calls, 1)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* rotation, [2, 2, 2, 2])
      assert.isBelow(requests.length, 40)
    })
  )
})

describe("a watch that begins with an older state than the process has read", () => {
  it.effect("does not bring back a value that was replaced", () =>
    Effect.gen(function* () {
      const { aProcess, sound, stored, upstream } = yield* setUp
      const one = yield* aProcess()
      const first = yield* one.get(id)
      const old = yield* sound.read(id)
      yield* one.invalidate(id, first)
      const watch: typeof sound.watch = () =>
        Stream.concat(Stream.succeed({ _tag: "Changed" as const, snapshot: old }), Stream.never)
      const two = yield* aProcess({}, { ...sound, watch })
      const second = yield* two.get(id)
      assert.strictEqual(generationOf(yield* two.invalidate(id, second)), 3)
      assert.strictEqual(yield* stored, 3)
      assert.isFalse(upstream.revoked)
    })
  )
})

describe("a process that finds another fiber of its own at the lock", () => {
  it.effect("looks again if that one gives up without having written anything", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      let hangs = false
      const read: typeof sound.read = (id) => Effect.suspend(() => (hangs ? Effect.never : sound.read(id)))
      const [one, two] = yield* Effect.all([aProcess(), aProcess({}, { ...sound, read })])
      // Its watches are known to tell what happens.
      upstream.before = Effect.sleep("2 seconds")
      const first = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("100 millis")
      const other = yield* Effect.forkChild(two.get(id))
      yield* TestClock.adjust("2 seconds")
      yield* Effect.all([Fiber.join(first), Fiber.join(other)])
      upstream.before = Effect.void
      yield* TestClock.adjust(lifetime)

      hangs = true
      const replacing = yield* Effect.forkChild(two.replace(id, yield* token(7)))
      yield* TestClock.adjust("10 millis")
      const getting = yield* Effect.forkChild(two.get(id))
      yield* TestClock.adjust("500 millis")
      hangs = false
      yield* Fiber.interrupt(replacing)
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(getting.pollUnsafe())
      assert.strictEqual(generationOf(yield* Fiber.join(getting)), 2)
    })
  )
})

describe("without a watch", () => {
  it.effect("that is allowed, a process polls, says so once, and asks for none for some minutes", () =>
    Effect.gen(function* () {
      const { requests, rotate, upstream, watching } = yield* four
      watching.fault = new LockError.Forbidden({ object: id, verb: "watch", status: 403, detail: "no" })
      upstream.before = Effect.sleep("1 second")
      const lines = yield* logged(
        Effect.gen(function* () {
          for (const watches of [3, 0]) {
            const rotation = yield* rotate
            yield* TestClock.adjust("1100 millis")
            assert.lengthOf(new Set(yield* rotation), 1)
            assert.strictEqual(watching.opened, watches)
            assert.isAbove(requests.filter((verb) => verb === "read").length, 25)
            yield* TestClock.adjust(lifetime)
          }
        })
      )
      assert.lengthOf(lines, 3)
      assert.match(
        lines[0]!,
        /^Warn Processes that wait for a value poll, since they may not watch\. Not allowed to watch token/
      )
      watching.fault = undefined
      yield* TestClock.adjust(forbiddenMillis)
      const rotation = yield* rotate
      yield* TestClock.adjust("1100 millis")
      yield* rotation
      assert.strictEqual(watching.opened, 3)
    })
  )

  it.effect(
    "that is allowed, which the server says only after a moment, a process does not take it for deaf, too",
    () =>
      Effect.gen(function* () {
        const { aProcess, store, upstream } = yield* setUp
        const forbidden = new LockError.Forbidden({ object: id, verb: "watch", status: 403, detail: "no" })
        let opened = 0
        const watch = () =>
          Stream.suspend(() => {
            opened++
            return Stream.fromEffect(Effect.delay(Effect.fail(forbidden), "5 millis"))
          })
        const [one, two] = yield* Effect.all([aProcess(), aProcess({}, { ...store, watch })])
        upstream.before = Effect.sleep("2 seconds")
        const lines = yield* logged(
          Effect.gen(function* () {
            for (const generation of [1, 2]) {
              const first = yield* Effect.forkChild(one.get(id))
              yield* TestClock.adjust("100 millis")
              const other = yield* Effect.forkChild(two.get(id))
              yield* TestClock.adjust("2100 millis")
              assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(other)].map(generationOf), [
                generation,
                generation
              ])
              yield* TestClock.adjust(lifetime)
            }
          })
        )
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!, /since they may not watch/)
        assert.strictEqual(opened, 1)
      })
  )

  it.effect("that works, a process polls for a moment", () =>
    Effect.gen(function* () {
      const { requests, rotate, upstream, watching } = yield* four
      watching.fault = new LockError.Rejected({ object: id, verb: "watch", status: 400, detail: "no" })
      upstream.before = Effect.sleep("1 second")
      const rotation = yield* rotate
      yield* TestClock.adjust("1100 millis")
      assert.deepStrictEqual(yield* rotation, [2, 2, 2, 2])
      assert.isAbove(requests.length, 25)
      watching.fault = undefined
      yield* TestClock.adjust(failedMillis + 60_000)
      const next = yield* rotate
      yield* TestClock.adjust("1100 millis")
      assert.deepStrictEqual(yield* next, [3, 3, 3, 3])
      assert.deepStrictEqual(requests, ["write", "write"])
    })
  )

  for (const fault of ["Silent", "Buffered"] as const) {
    it.effect(
      `that tells what happens (${fault}), a process looks after a second, and polls for longer each time`,
      () =>
        Effect.gen(function* () {
          const { rotate, upstream, watching } = yield* four
          watching.fault = fault
          upstream.before = Effect.sleep("2 seconds")
          for (const [generation, watches] of [
            [2, 3],
            [3, 3],
            [4, 0],
            [5, 3],
            [6, 0],
            [7, 0],
            [8, 0]
          ] as const) {
            const rotation = yield* rotate
            yield* TestClock.adjust("2100 millis")
            assert.deepStrictEqual(yield* rotation, [generation, generation, generation, generation])
            assert.strictEqual(watching.opened, watches)
            yield* TestClock.adjust(lifetime)
          }
        })
    )
  }

  it.effect(
    "that tells what happens, a process looks after a second, however short the steps of its schedule are",
    () =>
      Effect.gen(function* () {
        const { aProcess, upstream, watching } = yield* setUp
        const waitSchedule = Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: "30 seconds" }))
        watching.fault = "Silent"
        upstream.before = Effect.sleep("2 seconds")
        const first = yield* Effect.forkChild((yield* aProcess()).get(id))
        yield* TestClock.adjust("100 millis")
        const other = yield* Effect.forkChild((yield* aProcess({ policy: LockPolicy.make({ waitSchedule }) })).get(id))
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(first)
        assert.isDefined(other.pollUnsafe())
      })
  )
})

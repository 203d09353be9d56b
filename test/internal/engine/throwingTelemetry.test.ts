/** A logger, a tracer or a metric that throws. No lock stays held without an owner, and every loss is reported. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { dexLockUntil, id, setUp } from "../../utils/processes.ts"

const throwing = (): never => {
  throw new Error("telemetry is broken")
}

const logger = Logger.layer([Logger.make(throwing)])

const tracerThat = (breaks: "Begin" | "End") =>
  Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        if (breaks === "Begin") return throwing()
        const span = new Tracer.NativeSpan(options)
        span.end = throwing
        span.attribute = throwing
        return span
      }
    })
  )

// Keeps no metric.
class ThrowingRegistry extends Map {
  override get = throwing
  override set = throwing
}

const metrics = Layer.succeed(Metric.MetricRegistry, new ThrowingRegistry())

const cases = [
  ["a logger that throws", logger],
  ["a tracer that throws at the begin of a span", tracerThat("Begin")],
  ["a tracer that throws at the end of a span", tracerThat("End")],
  ["a metric that throws", metrics]
] as const

describe.each(cases)("%s", (_, telemetry) => {
  it.effect("does not keep a lock from being acquired, taken over, and released", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      yield* world.annotate(dexLockUntil(0))
      yield* TestClock.adjust("2 seconds")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const held = yield* us.lock.scoped(id)
          yield* TestClock.adjust("1 minute")
          assert.isTrue(yield* held.isValid)
        })
      )
      yield* TestClock.adjust("1 second")
      yield* world.isUntouched
    }).pipe(Effect.provide(telemetry))
  )

  it.effect("does not hide a loss", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const us = yield* world.aProcess("us")
      const exit = yield* Effect.exit(
        Effect.scoped(
          Effect.gen(function* () {
            const held = yield* us.lock.scoped(id)
            yield* world.annotate(dexLockUntil(1000))
            const guarded = yield* Effect.forkChild(Effect.exit(held.guard(Effect.never)), { startImmediately: true })
            yield* TestClock.adjust("5 seconds")
            assert.isDefined(guarded.pollUnsafe())
            return yield* Effect.flip(held.lost)
          })
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.provide(telemetry))
  )
})

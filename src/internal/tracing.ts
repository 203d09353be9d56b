/**
 * Spans that cost nothing without a tracer, and telemetry that cannot break what it observes: an exception in a logger, a tracer or
 * a metric is dropped.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

/** Whether the fiber runs with a tracer that the user installed. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

/** Observes, and drops what that throws. */
export const quietly = (observe: () => void): void => {
  try {
    observe()
  } catch {
    // This cannot be logged: the logger itself may be what throws.
  }
}

/** The same for an effect that observes: one that logs, say. */
export const quiet = (observe: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.catchCause(Effect.asVoid(observe), () => Effect.void)

/**
 * Runs an effect in a span of its own, if a tracer collects spans. `conclude` says with which exit the span ends, by default with that
 * of the effect.
 */
export const inSpan = <A, E, R>(
  name: string,
  options: Tracer.SpanOptions,
  use: (span: Tracer.Span | undefined) => Effect.Effect<A, E, R>,
  conclude: (span: Tracer.Span, exit: Exit.Exit<A, E>) => Exit.Exit<unknown, unknown> = (_, exit) => exit
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
  Effect.withFiber((fiber) => {
    type Observed = Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>
    if (!isTraced(fiber)) return use(undefined) as Observed
    const clock = fiber.getRef(Clock.Clock)
    return Effect.matchCauseEffect(Effect.makeSpan(name, options), {
      onFailure: () => use(undefined) as Observed,
      onSuccess: (span): Observed =>
        Effect.onExitPrimitive(
          Effect.withParentSpan(use(span), span, { captureStackTrace: false }),
          (exit) => void quietly(() => span.end(clock.currentTimeNanosUnsafe(), conclude(span, exit)))
        )
    })
  })

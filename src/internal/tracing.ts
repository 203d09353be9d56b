/** Whether anybody collects spans: without a tracer of the user's own they cost time, and nobody sees them. */
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

/** True where a tracer is installed for what the fiber does. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

/** Whether spans are collected. Without a tracer of the user's own, spans cost time and nobody sees them. */
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

/** Whether the fiber runs with a tracer that the user installed. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

/** What an acquisition and a hold look like from outside: spans, metrics, and a line of log for what an operator must know. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as EffectFiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Tracer from "effect/Tracer"
import type * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as ClockReading from "../time/clockReading.ts"
import { isTraced } from "../tracing.ts"
import type { Contender } from "./contender.ts"
import type { Holding } from "./localQueue.ts"

// The fiber whose context says who collects metrics and spans.
type Fiber = EffectFiber.Fiber<unknown, unknown>

/** Updates a metric with the attributes that the layer asked for. */
export const measure = <Input, State>(
  contender: Contender,
  metric: Metric.Metric<Input, State>,
  input: Input,
  attributes?: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  Effect.withFiberSucceed(({ context }) =>
    withAttributes(
      contender,
      attributes === undefined ? metric : Metric.withAttributes(metric, attributes)
    ).updateUnsafe(input, context)
  )

const withAttributes = <Input, State>(
  { attributes }: Contender,
  metric: Metric.Metric<Input, State>
): Metric.Metric<Input, State> => (attributes === undefined ? metric : Metric.withAttributes(metric, attributes))

/** Logs a sentence that an operator must read, with the lock and its holder as fields of their own. */
export const tell = (
  { holderId, id }: Contender,
  level: "Info" | "Warn" | "Error",
  ...message: ReadonlyArray<unknown>
): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWithLevel(level)(...message), { "kubelock.id": id, "kubelock.holder": holderId })

/** Runs a part of a lock's life in a span of its own, if a tracer collects spans. */
export const span =
  (name: string, { holderId, id }: Contender, parent?: Tracer.Span) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.withFiber((fiber) =>
      isTraced(fiber)
        ? Effect.withSpan(effect, `kubelock.${name}`, {
            captureStackTrace: false,
            attributes: { "kubelock.id": id, "kubelock.holder": holderId },
            ...(parent === undefined ? {} : { parent })
          })
        : (effect as Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>)
    )

/** Observes an acquisition, from wanting the lock to having it or failing. */
export const acquiring = <E extends { readonly _tag: string }>(
  contender: Contender,
  acquisition: Effect.Effect<Holding, E>
): Effect.Effect<Holding, E> =>
  span(
    "acquire",
    contender
  )(
    Effect.withFiber((fiber) => {
      const { context } = fiber
      withAttributes(contender, LockMetrics.waiting).modifyUnsafe(1, context)
      return Effect.onExitPrimitive(acquisition, (exit) => {
        withAttributes(contender, LockMetrics.waiting).modifyUnsafe(-1, context)
        const outcome = outcomeOf(exit)
        const waited = ClockReading.elapsed(contender.startedAt, ClockReading.read(fiber.getRef(Clock.Clock))).max
        if (isTraced(fiber)) note(fiber, { outcome, waited_ms: waited })
        if (outcome === "LockTimeout") withAttributes(contender, LockMetrics.timeouts).updateUnsafe(1, context)
        return Exit.isSuccess(exit) ? acquired(fiber, contender, exit.value, waited) : undefined
      })
    })
  )

/** Notes on the span of an acquisition how often it tried. */
export const noteAttempts = (attempts: number): Effect.Effect<void> =>
  Effect.withFiberSucceed((fiber) => {
    if (isTraced(fiber)) note(fiber, { attempts })
  })

const note = (fiber: Fiber, attributes: Readonly<Record<string, unknown>>): void => {
  const { span } = fiber.cache
  if (span?._tag !== "Span") return
  for (const name in attributes) span.attribute(`kubelock.${name}`, attributes[name])
}

const acquired = (
  fiber: Fiber,
  contender: Contender,
  { fencingToken, lease, localHandOffs }: Holding,
  waited: number
): Effect.Effect<void> | undefined => {
  const { context } = fiber
  if (isTraced(fiber)) note(fiber, { fencing_token: String(fencingToken) })
  withAttributes(contender, LockMetrics.acquisitions).updateUnsafe(1, context)
  withAttributes(contender, LockMetrics.waitSeconds).updateUnsafe(waited / 1000, context)
  const { tookOverFrom } = lease.grant
  if (tookOverFrom === undefined || localHandOffs > 0) return undefined
  withAttributes(contender, LockMetrics.takeovers).updateUnsafe(1, context)
  const { id, object } = contender
  return tell(
    contender,
    "Info",
    `Took over lock "${id}" (${object}). Its holder was ${tookOverFrom.holder ?? "unnamed, probably Dex"}, until ${tookOverFrom.expiry}.`
  )
}

/** Observes a hold, until its end is told. Its span is the parent of those of renewals and of the release. */
export const holding = (
  contender: Contender,
  { fencingToken, lease }: Holding
): Effect.Effect<(exit: Exit.Exit<unknown, unknown>) => void> =>
  Effect.withFiber((fiber) => {
    const { context } = fiber
    const clock = fiber.getRef(Clock.Clock)
    const startedAt = ClockReading.read(clock)
    withAttributes(contender, LockMetrics.held).modifyUnsafe(1, context)
    const ended = () => {
      withAttributes(contender, LockMetrics.held).modifyUnsafe(-1, context)
      const held = ClockReading.elapsed(startedAt, ClockReading.read(clock)).max
      withAttributes(contender, LockMetrics.holdSeconds).updateUnsafe(held / 1000, context)
    }
    if (!isTraced(fiber)) return Effect.succeed(ended)
    const attributes = {
      "kubelock.id": contender.id,
      "kubelock.holder": lease.contender.holderId,
      "kubelock.fencing_token": String(fencingToken)
    }
    return Effect.map(Effect.makeSpan("kubelock.hold", { attributes }), (span) => {
      lease.observe(span)
      return (exit) => {
        ended()
        span.end(clock.currentTimeNanosUnsafe(), exit)
      }
    })
  })

/** Tells that a lock was lost. */
export const lost = (contender: Contender, span: Tracer.Span | undefined, error: LockError.Lost): Effect.Effect<void> =>
  Effect.suspend(() => {
    span?.attribute("kubelock.outcome", error.reason)
    return Effect.andThen(
      measure(contender, LockMetrics.losses, 1, { reason: error.reason }),
      tell(contender, "Warn", error.message)
    )
  })

const outcomeOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string => {
  if (Exit.isSuccess(exit)) return "Acquired"
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "Interrupted" : failure.error._tag
}

/** What an acquisition and a hold look like from outside: spans, metrics, and a line of log where somebody must know. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Tracer from "effect/Tracer"
import type * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import { fencingToken, type Holding, type Turn } from "./turn.ts"
import * as ClockReading from "../time/clockReading.ts"
import { isTraced } from "../tracing.ts"
import type { Wish } from "./wish.ts"

/** The fiber that something is told of: its context says who collects metrics and spans. */
type Teller = Fiber.Fiber<unknown, unknown>

/** Updates a metric with the attributes that the layer asked for. */
export const measure = <Input, State>(
  wish: Wish,
  metric: Metric.Metric<Input, State>,
  input: Input,
  attributes?: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  Effect.withFiberSucceed(({ context }) =>
    labelled(wish, attributes === undefined ? metric : Metric.withAttributes(metric, attributes)).updateUnsafe(
      input,
      context
    )
  )

const labelled = <Input, State>(
  { attributes }: Wish,
  metric: Metric.Metric<Input, State>
): Metric.Metric<Input, State> => (attributes === undefined ? metric : Metric.withAttributes(metric, attributes))

/** Logs a sentence that an operator must read, with the lock and its holder as fields of their own. */
export const tell = (
  wish: Wish,
  level: "Info" | "Warn" | "Error",
  ...message: ReadonlyArray<unknown>
): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWithLevel(level)(...message), {
    "kubelock.id": wish.id,
    "kubelock.holder": wish.holder
  })

/** Runs a part of a lock's life in a span of its own, where a tracer collects spans. */
export const span =
  (name: string, wish: Wish, parent?: Tracer.Span) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.withFiber((fiber) =>
      isTraced(fiber)
        ? Effect.withSpan(effect, `kubelock.${name}`, {
            captureStackTrace: false,
            attributes: { "kubelock.id": wish.id, "kubelock.holder": wish.holder },
            ...(parent === undefined ? {} : { parent })
          })
        : (effect as Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>)
    )

/** Watches over an acquisition, from wish to lock or failure. */
export const acquiring = <E extends { readonly _tag: string }>(
  wish: Wish,
  acquisition: Effect.Effect<Holding, E>
): Effect.Effect<Holding, E> =>
  span(
    "acquire",
    wish
  )(
    Effect.withFiber((fiber) => {
      const { context } = fiber
      labelled(wish, LockMetrics.waiting).modifyUnsafe(1, context)
      return Effect.onExitPrimitive(acquisition, (exit) => {
        labelled(wish, LockMetrics.waiting).modifyUnsafe(-1, context)
        const outcome = outcomeOf(exit)
        const waited = ClockReading.elapsed(wish.began, ClockReading.read(fiber.getRef(Clock.Clock))).max
        if (isTraced(fiber)) note(fiber, { outcome, attempts: wish.attempts, waited_ms: waited })
        if (outcome === "LockTimeout") labelled(wish, LockMetrics.timeouts).updateUnsafe(1, context)
        return Exit.isSuccess(exit) ? acquired(fiber, wish, exit.value.turn, waited) : undefined
      })
    })
  )

const note = (fiber: Teller, attributes: Readonly<Record<string, unknown>>): void => {
  const { span } = fiber.cache
  if (span?._tag !== "Span") return
  for (const name in attributes) span.attribute(`kubelock.${name}`, attributes[name])
}

const acquired = (fiber: Teller, wish: Wish, turn: Turn, waited: number): Effect.Effect<void> | undefined => {
  const { context } = fiber
  if (isTraced(fiber)) note(fiber, { fencing_token: String(fencingToken(turn)) })
  labelled(wish, LockMetrics.acquisitions).updateUnsafe(1, context)
  labelled(wish, LockMetrics.waitSeconds).updateUnsafe(waited / 1000, context)
  const { broken } = turn.grant
  if (broken === undefined || turn.passes > 0) return undefined
  labelled(wish, LockMetrics.takeovers).updateUnsafe(1, context)
  return tell(
    wish,
    "Info",
    `Broke the lock "${wish.id}" on ${wish.store.describe(wish.id)}, which ${broken.holder ?? "a holder that gives no name"} left to expire at ${broken.expiry}.`
  )
}

/** Watches over a hold, until its end is told. Its span is the parent of those of renewals and the release. */
export const holding = (wish: Wish, turn: Turn): Effect.Effect<(exit: Exit.Exit<unknown, unknown>) => void> =>
  Effect.withFiber((fiber) => {
    const { context } = fiber
    const clock = fiber.getRef(Clock.Clock)
    const began = ClockReading.read(clock)
    labelled(wish, LockMetrics.held).modifyUnsafe(1, context)
    const ended = () => {
      labelled(wish, LockMetrics.held).modifyUnsafe(-1, context)
      const held = ClockReading.elapsed(began, ClockReading.read(clock)).max
      labelled(wish, LockMetrics.holdSeconds).updateUnsafe(held / 1000, context)
    }
    if (!isTraced(fiber)) return Effect.succeed(ended)
    return Effect.map(
      Effect.makeSpan("kubelock.hold", {
        attributes: {
          "kubelock.id": wish.id,
          "kubelock.holder": turn.wish.holder,
          "kubelock.fencing_token": String(fencingToken(turn))
        }
      }),
      (span) => {
        turn.span = span
        return (exit) => {
          ended()
          span.end(clock.currentTimeNanosUnsafe(), exit)
        }
      }
    )
  })

/** Tells that a lock was lost. */
export const lost = (wish: Wish, span: Tracer.Span | undefined, error: LockError.Lost): Effect.Effect<void> =>
  Effect.suspend(() => {
    span?.attribute("kubelock.outcome", error.reason)
    return Effect.andThen(
      measure(wish, LockMetrics.losses, 1, { reason: error.reason }),
      tell(wish, "Warn", error.message)
    )
  })

const outcomeOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string => {
  if (Exit.isSuccess(exit)) return "Acquired"
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "Interrupted" : failure.error._tag
}

/** What an acquisition and a hold look like from outside: spans, metrics, and a line of log where somebody must know. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type * as LockError from "../LockError.ts"
import * as LockMetrics from "../LockMetrics.ts"
import { fencingToken, type Holding, type Turn } from "./turn.ts"
import * as stopwatch from "./stopwatch.ts"
import type { Wish } from "./wish.ts"

/** Updates a metric with the attributes that the layer asked for. */
export const measure = <Input, State>(
  wish: Wish,
  metric: Metric.Metric<Input, State>,
  input: Input,
  attributes?: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  Metric.update(labelled(wish, attributes === undefined ? metric : Metric.withAttributes(metric, attributes)), input)

const shift = (wish: Wish, gauge: Metric.Gauge<number>, by: 1 | -1): Effect.Effect<void> =>
  Metric.modify(labelled(wish, gauge), by)

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

/** Runs a part of a lock's life in a span of its own. */
export const span =
  (name: string, wish: Wish, parent?: Tracer.Span) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.withSpan(effect, `kubelock.${name}`, {
      captureStackTrace: false,
      attributes: { "kubelock.id": wish.id, "kubelock.holder": wish.holder },
      ...(parent === undefined ? {} : { parent })
    })

/** Watches over an acquisition, from wish to lock or failure. */
export const acquiring = <E extends { readonly _tag: string }>(
  wish: Wish,
  acquisition: Effect.Effect<Holding, E>
): Effect.Effect<Holding, E> =>
  Effect.onExit(Effect.andThen(shift(wish, LockMetrics.waiting, 1), acquisition), (exit) =>
    Effect.gen(function* () {
      yield* shift(wish, LockMetrics.waiting, -1)
      const outcome = outcomeOf(exit)
      const waited = stopwatch.between(wish.began, yield* stopwatch.now).most
      yield* Effect.annotateCurrentSpan({
        "kubelock.outcome": outcome,
        "kubelock.attempts": wish.attempts,
        "kubelock.waited_ms": waited
      })
      if (outcome === "LockTimeout") yield* measure(wish, LockMetrics.timeouts, 1)
      if (Exit.isSuccess(exit)) yield* acquired(wish, exit.value.turn, waited)
    })
  ).pipe(span("acquire", wish))

const acquired = Effect.fnUntraced(function* (wish: Wish, turn: Turn, waited: number) {
  yield* Effect.annotateCurrentSpan("kubelock.fencing_token", String(fencingToken(turn)))
  yield* measure(wish, LockMetrics.acquisitions, 1)
  yield* measure(wish, LockMetrics.waitSeconds, waited / 1000)
  const { broken } = turn.grant
  if (broken === undefined || turn.passes > 0) return
  yield* measure(wish, LockMetrics.breaks, 1)
  yield* tell(
    wish,
    "Info",
    `Broke the lock "${wish.id}" on ${wish.store.describe(wish.id)}, which ${broken.holder ?? "a holder that gives no name"} left to expire at ${broken.expiry}.`
  )
})

/** Watches over a hold until the scope closes. Its span is the parent of those of renewals and the release. */
export const holding = Effect.fnUntraced(function* (
  wish: Wish,
  turn: Turn
): Effect.fn.Return<void, never, Scope.Scope> {
  const began = yield* stopwatch.now
  turn.span = yield* Effect.makeSpanScoped("kubelock.hold", {
    attributes: {
      "kubelock.id": wish.id,
      "kubelock.holder": turn.wish.holder,
      "kubelock.fencing_token": String(fencingToken(turn))
    }
  })
  yield* shift(wish, LockMetrics.held, 1)
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* shift(wish, LockMetrics.held, -1)
      yield* measure(wish, LockMetrics.holdSeconds, stopwatch.between(began, yield* stopwatch.now).most / 1000)
    })
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

/** What an acquisition and a hold look like from outside: spans, metrics, and a line of log for what an operator must know. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as EffectFiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Tracer from "effect/Tracer"
import type * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import type { Asked } from "../../LockProtocol.ts"
import * as subject from "../subject.ts"
import * as ClockReading from "../time/clockReading.ts"
import { inSpan, isTraced, quiet, quietly } from "../tracing.ts"
import type { Contender } from "./contender.ts"
import type { Holding } from "./holding.ts"

// The fiber whose context says who collects metrics and spans.
type Fiber = EffectFiber.Fiber<unknown, unknown>

// The collector of metrics that was there when a hold began is told of its end, too.
type Observer = Pick<Fiber, "context">

/** Updates a metric with the attributes that the layer asked for. */
export const measure = <Input, State>(
  counted: Pick<Contender, "attributes">,
  metric: Metric.Metric<Input, State>,
  input: Input,
  attributes?: Readonly<Record<string, string>>
): Effect.Effect<void> => Effect.withFiberSucceed((fiber) => update(fiber, counted, metric, input, attributes))

const update = <Input, State>(
  { context }: Observer,
  { attributes }: Pick<Contender, "attributes">,
  metric: Metric.Metric<Input, State>,
  input: Input,
  more?: Attributes
): void =>
  quietly(() => {
    const own =
      more === undefined
        ? withAttributes(attributes, metric)
        : Metric.withAttributes(metric, { ...attributes, ...more })
    own.updateUnsafe(input, context)
  })

const modify = <Input, State>(
  { context }: Observer,
  { attributes }: Contender,
  metric: Metric.Metric<Input, State>,
  by: Input
): void => quietly(() => withAttributes(attributes, metric).modifyUnsafe(by, context))

type Attributes = Readonly<Record<string, string>>

// Attributing a metric takes longer than updating one that is attributed.
const withAttributes = <Input, State>(
  attributes: Attributes,
  metric: Metric.Metric<Input, State>
): Metric.Metric<Input, State> => {
  let own = attributed.get(attributes)
  if (own === undefined) attributed.set(attributes, (own = new Map()))
  let made = own.get(metric) as Metric.Metric<Input, State> | undefined
  if (made === undefined) own.set(metric, (made = Metric.withAttributes(metric, attributes)))
  return made
}
const attributed = new WeakMap<Attributes, Map<unknown, unknown>>()

/** The attributes of the metrics of a kind of lock: with the id, if metrics are to have it, and with another name for the kind. */
export const attributesOf = (
  { permits, what }: LockKind,
  asks: Asked | undefined,
  { countedAs, id }: { readonly id?: string | undefined; readonly countedAs?: string | undefined }
): Attributes => {
  const attributes = kindOf(what, permits, asks)
  if (id === undefined && countedAs === undefined) return attributes
  return {
    ...attributes,
    ...(countedAs === undefined ? {} : { kind: countedAs }),
    ...(id === undefined ? {} : { id })
  }
}

const kindOf = (what: LockKind["what"], permits: LockKind["permits"], asks: Asked | undefined): Attributes => {
  if (what === "leadership") return kinds.election
  if (permits === undefined) return kinds.lock
  if (!permits.shares) return kinds.semaphore
  if (asks === undefined) return kinds.shared
  return asks.permits === 1 ? kinds.reader : kinds.writer
}

const kinds = {
  lock: { kind: "lock" },
  semaphore: { kind: "semaphore" },
  shared: { kind: "shared" },
  reader: { kind: "shared", mode: "shared" },
  writer: { kind: "shared", mode: "exclusive" },
  election: { kind: "election" }
} as const

/** Counts a lock that was broken. */
export const broken = (attributes: Attributes): Effect.Effect<void> => measure({ attributes }, LockMetrics.breaks, 1)

/** Logs a sentence that an operator must read, with the lock and its holder as fields of their own. */
export const tell = (
  { holderId, id }: Contender,
  level: "Info" | "Warn" | "Error",
  ...message: ReadonlyArray<unknown>
): Effect.Effect<void> =>
  quiet(Effect.annotateLogs(Effect.logWithLevel(level)(...message), { "kubelock.id": id, "kubelock.holder": holderId }))

/** What a contender wants, as a part of a sentence. */
export const subjectOf = ({ id, kind: { what }, settings }: Contender): string =>
  subject.of({ id, object: settings.describe(id), what })

/** Runs a part of a lock's life in a span of its own, if a tracer collects spans. */
export const span =
  (name: string, { holderId, id }: Contender, parent?: Tracer.Span) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    inSpan(
      `kubelock.${name}`,
      {
        attributes: { "kubelock.id": id, "kubelock.holder": holderId },
        ...(parent === undefined ? {} : { parent })
      },
      () => effect
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
      modify(fiber, contender, LockMetrics.waiting, 1)
      return Effect.onExitPrimitive(acquisition, (exit) => {
        modify(fiber, contender, LockMetrics.waiting, -1)
        const outcome = outcomeOf(exit)
        const waited = ClockReading.elapsed(contender.startedAt, ClockReading.read(fiber.getRef(Clock.Clock))).max
        if (isTraced(fiber)) note(fiber, { outcome, waited_ms: waited })
        if (outcome === "LockTimeout") update(fiber, contender, LockMetrics.timeouts, 1)
        else if (!expected.has(outcome)) update(fiber, contender, LockMetrics.failures, 1, { error: outcome })
        return Exit.isSuccess(exit) ? acquired(fiber, contender, exit.value, waited) : undefined
      })
    })
  )

const expected: ReadonlySet<string> = new Set(["Acquired", "Interrupted", "LockConflict"])

/** Notes on the span of an acquisition how often it tried, and for which holder it waited last. */
export const noteAttempts = (attempts: number, waitedFor: string | undefined): Effect.Effect<void> =>
  Effect.withFiberSucceed((fiber) => {
    if (!isTraced(fiber)) return
    note(fiber, waitedFor === undefined ? { attempts } : { attempts, waited_for: waitedFor })
  })

// Within a process the span of the last holder is known. Across processes its holder ID has to do.
const linkToLastHolder = (fiber: Fiber, lease: Holding["lease"]): void => {
  const { span } = fiber.cache
  const last = lease.observed()
  if (last !== undefined && span?._tag === "Span") quietly(() => span.addLinks([{ span: last, attributes: {} }]))
}

const note = (fiber: Fiber, attributes: Readonly<Record<string, unknown>>): void => {
  const { span } = fiber.cache
  if (span?._tag !== "Span") return
  quietly(() => {
    for (const name in attributes) span.attribute(`kubelock.${name}`, attributes[name])
  })
}

const acquired = (
  fiber: Fiber,
  contender: Contender,
  { fencingToken, lease, localHandOffs }: Holding,
  waited: number
): Effect.Effect<void> | undefined => {
  if (isTraced(fiber)) {
    note(fiber, { fencing_token: String(fencingToken) })
    if (localHandOffs > 0) linkToLastHolder(fiber, lease)
  }
  update(fiber, contender, LockMetrics.acquisitions, 1)
  update(fiber, contender, LockMetrics.waitSeconds, waited / 1000)
  const { tookOverFrom } = lease
  if (tookOverFrom === undefined || localHandOffs > 0) return undefined
  update(fiber, contender, LockMetrics.takeovers, 1)
  return tell(
    contender,
    "Info",
    `Took over ${subjectOf(contender)}. Its holder was ${tookOverFrom.holder ?? "unnamed, probably Dex"}, until ${tookOverFrom.expiry}.`
  )
}

/** A hold that is observed. `startedAt` is when its lease was issued, or when it was handed on. `stopWatching` ends the watch for a hold that lasts too long. */
export interface ObservedHold extends Observer {
  readonly clock: Clock.Clock
  readonly startedAt: ClockReading.ClockReading
  readonly stopWatching: (() => void) | undefined
  readonly span: Tracer.Span | undefined
}

/** Observes a hold until `holdEnded`. Its span is the parent of those of renewals and of the release. */
export const holdBegun = (
  contender: Contender,
  { fencingToken, lease, localHandOffs }: Holding
): Effect.Effect<ObservedHold> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const { context } = fiber
    const hold: ObservedHold = {
      context,
      clock,
      startedAt: localHandOffs === 0 ? lease.issuedAt : ClockReading.read(clock),
      stopWatching: watchForOverdue({ context }, contender),
      span: undefined
    }
    countHold(contender, hold, 1)
    if (!isTraced(fiber)) return Effect.succeed(hold)
    const attributes = {
      "kubelock.id": contender.id,
      "kubelock.holder": lease.contender.holderId,
      "kubelock.fencing_token": String(fencingToken)
    }
    return Effect.matchCause(Effect.makeSpan("kubelock.hold", { attributes }), {
      onFailure: () => hold,
      onSuccess: (span) => {
        lease.observe(span)
        return { ...hold, span }
      }
    })
  })

/** Ends what `holdBegun` began. */
export const holdEnded = (contender: Contender, hold: ObservedHold, exit: Exit.Exit<unknown, unknown>): void => {
  const { clock, span, startedAt, stopWatching } = hold
  stopWatching?.()
  countHold(contender, hold, -1)
  const held = ClockReading.elapsed(startedAt, ClockReading.read(clock)).max
  update(hold, contender, LockMetrics.holdSeconds, held / 1000)
  if (span !== undefined) quietly(() => span.end(clock.currentTimeNanosUnsafe(), exit))
}

const countHold = (contender: Contender, hold: ObservedHold, sign: number): void => {
  const { asks, kind } = contender
  modify(hold, contender, LockMetrics.held, sign)
  if (kind.permits?.shares === false) modify(hold, contender, LockMetrics.permits, sign * asks!.permits)
}

// Reports a hold that lasts for longer than expected, until it ends.
const watchForOverdue = (observer: Observer, contender: Contender): (() => void) | undefined => {
  const { expectedHold } = contender.policy
  return expectedHold === undefined ? undefined : overdueAfter(expectedHold, observer, contender)
}

const overdueAfter = (expectedHold: Duration.Duration, observer: Observer, contender: Contender): (() => void) => {
  let isOverdue = false
  const { timers } = contender.engine
  const timer = timers.schedule(Duration.toMillis(expectedHold), {
    fire: () => {
      isOverdue = true
      modify(observer, contender, LockMetrics.overdue, 1)
      const told = `Holds ${subjectOf(contender)} for longer than the expected ${Duration.format(expectedHold)}.`
      Effect.runForkWith(observer.context)(tell(contender, "Warn", told))
    }
  })
  return () => {
    timers.cancel(timer)
    if (isOverdue) modify(observer, contender, LockMetrics.overdue, -1)
  }
}

/** Reports that a lock was lost. Of all that is lost with a session one line tells, that of the session. */
export const lost = (contender: Contender, span: Tracer.Span | undefined, error: LockError.Lost): Effect.Effect<void> =>
  Effect.suspend(() => {
    quietly(() => span?.attribute("kubelock.outcome", error.reason))
    return Effect.andThen(
      measure(contender, LockMetrics.losses, 1, { reason: error.reason }),
      error.withSession === true ? Effect.void : tell(contender, "Warn", error.message)
    )
  })

const outcomeOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string => {
  if (Exit.isSuccess(exit)) return "Acquired"
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "Interrupted" : failure.error._tag
}

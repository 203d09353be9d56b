/** A load test from beginning to end: target, threads, rounds, figures, report. */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { styleText } from "node:util"
import type { Protocol, Records, Shared } from "./contest.ts"
import * as Control from "./control.ts"
import * as Figures from "./figures.ts"
import * as Histogram from "./histogram.ts"
import { LoadError } from "./loadError.ts"
import * as Objects from "./objects.ts"
import * as Progress from "./progress.ts"
import * as report from "./report.ts"
import * as Tally from "./tally.ts"
import * as Target from "./target.ts"
import * as Threads from "./threads.ts"
import * as Witness from "./witness.ts"

/** What the command line says. Where there are two protocols they take turns, and `duration` is that of each. */
export interface Settings {
  readonly target: Target.Options
  readonly protocols: ReadonlyArray<Protocol>
  readonly threads: number
  readonly fibers: number
  readonly ids: number
  readonly hold: Duration.Duration
  readonly duration: Duration.Duration
  readonly seed: number
  readonly json: boolean
}

/** Runs a load test. The report is also given where it is interrupted; a violation of exclusion is an error. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const course = makeCourse(settings)
  yield* Effect.ensuring(
    Effect.scoped(playAll(course)),
    Effect.suspend(() => print(course))
  )
  const runs = figuresOf(course)
  if (runs.some(({ violations }) => violations > 0)) {
    return yield* new LoadError({ message: "mutual exclusion was broken" })
  }
  if (runs.every(({ acquisitions }) => acquisitions === 0)) {
    return yield* new LoadError({
      message: `nobody acquired the lock${course.firstError === undefined ? "; try a longer --duration" : `: ${course.firstError}`}`
    })
  }
})

/** One round: whose lock, for how long, and whether it only warms up and is not in the figures. */
export interface Turn {
  readonly protocol: Protocol
  readonly duration: Duration.Duration
  readonly warmUp: boolean
}

/**
 * The rounds of a test in their order.
 *
 * Two protocols take turns as A B B A: server, client and threads go on getting faster for many seconds, so that in A B
 * A B the second would gain. For the same reason each has a round before, which is not counted.
 */
export const turnsOf = ({ duration, protocols }: Pick<Settings, "duration" | "protocols">): ReadonlyArray<Turn> => {
  const turns = (order: ReadonlyArray<Protocol>, duration: Duration.Duration, warmUp: boolean) =>
    order.map((protocol): Turn => ({ protocol, duration, warmUp }))
  if (protocols.length === 1) return turns(protocols, duration, false)
  const cycles = Math.max(1, Math.round(Duration.toSeconds(duration) / 10))
  const cycle = turns([...protocols, ...protocols.toReversed()], Duration.divideUnsafe(duration, 2 * cycles), false)
  return [
    ...turns(protocols, Duration.min(duration, warmUpDuration), true),
    ...Array.from({ length: cycles }, () => cycle).flat()
  ]
}

const warmUpDuration = Duration.seconds(3)

interface Course {
  readonly settings: Settings
  readonly shared: Shared
  /** How long each protocol was played. */
  readonly millis: Record<Protocol, number>
  /** When the first round that counts was opened, in nanoseconds on the clock of the process. */
  began: number
  target: string
  firstError: string | undefined
}

const makeCourse = (settings: Settings): Course => {
  const records = (): Records => ({
    witness: Witness.make(settings.ids),
    tally: Tally.make(settings.threads * settings.fibers)
  })
  return {
    settings,
    shared: { control: Control.make(), records: { kubelock: records(), dex: records() } },
    millis: { kubelock: 0, dex: 0 },
    began: 0,
    target: "",
    firstError: undefined
  }
}

const playAll = Effect.fnUntraced(function* (course: Course) {
  const { settings, shared } = course
  const target = yield* Target.open(settings.target)
  course.target = target.name
  const threads = Context.get(yield* Layer.build(Threads.layer(settings.threads, shared)), Threads.Threads)
  let number = 0
  for (const round of turnsOf(settings)) {
    number++
    yield* Effect.scoped(playRound(course, { ...round, number, target, threads }))
  }
})

interface Round extends Turn {
  readonly number: number
  readonly target: Target.Target
  readonly threads: Threads.Threads["Service"]
}

const playRound = Effect.fnUntraced(function* (
  course: Course,
  { duration, number, protocol, target, threads, warmUp }: Round
) {
  const { settings, shared } = course
  const records = shared.records[protocol]
  const ids = yield* Objects.make(target, settings.ids)
  Witness.pause(records.witness)
  yield* Effect.forkScoped(Progress.show(progressLine(course, { number, protocol, warmUp })))
  yield* threads.play({ ...settings, number, protocol, ids, duration, ...pick(target) }).pipe(
    Effect.tap((ends) =>
      Effect.sync(() => {
        if (warmUp && Witness.verdict(records.witness).violations === 0) {
          Witness.reset(records.witness)
          Tally.reset(records.tally)
          return
        }
        if (course.began === 0) course.began = Control.openedAt(shared.control)
        course.millis[protocol] += Math.max(...ends.map(({ millis }) => millis))
        course.firstError ??= ends.find(({ firstError }) => firstError !== undefined)?.firstError
      })
    ),
    Effect.mapError(({ message }) => new LoadError({ message })),
    unlessInterrupted(() => Control.stop(shared.control))
  )
})

const pick = ({ connection, namespace, resource }: Target.Target) => ({ connection, namespace, resource })

/** Lets an effect come to its end also where it is interrupted, after it was told to stop. */
const unlessInterrupted =
  (stop: () => void) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkChild(Effect.interruptible(effect)), (fiber) =>
        restore(Fiber.join(fiber)).pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(Effect.sync(stop), Effect.timeoutOption(Fiber.await(fiber), patience))
          )
        )
      )
    )

const patience = "15 seconds"

const figuresOf = ({ millis, settings, shared, target }: Course): ReadonlyArray<Figures.Figures> =>
  settings.protocols
    .filter((protocol) => millis[protocol] > 0)
    .map((protocol) =>
      Figures.make(
        {
          protocol,
          target,
          threads: settings.threads,
          fibers: settings.fibers,
          ids: settings.ids,
          holdMillis: Duration.toMillis(settings.hold)
        },
        millis[protocol],
        shared.records[protocol]
      )
    )

const print = (course: Course): Effect.Effect<void> => {
  const runs = figuresOf(course)
  if (runs.length === 0) return Effect.void
  const { json, fibers, protocols } = course.settings
  const incidents = protocols.flatMap((protocol) =>
    Witness.verdict(course.shared.records[protocol].witness).incidents.map((found) =>
      report.incident(found, course.began, fibers)
    )
  )
  const notes = [...incidents, ...(course.firstError === undefined ? [] : [`first error: ${course.firstError}`])]
  return json
    ? Effect.andThen(
        Effect.forEach(notes, (note) => Console.error(note)),
        Console.log(report.json(runs))
      )
    : Console.log(["", title(course), "", report.table(runs), "", ...runs.map(verdict), ...notes].join("\n"))
}

const verdict = (run: Figures.Figures): string =>
  process.stdout.isTTY && process.stdout.hasColors()
    ? styleText(["bold", run.violations === 0 ? "green" : "red"], report.verdict(run))
    : report.verdict(run)

const title = ({ settings, target }: Course): string => {
  const { fibers, hold, ids, seed, threads } = settings
  return `${threads} threads of ${fibers} fibers on ${ids === 1 ? "one id" : `${ids} ids`}; hold ${Duration.format(hold)}; target ${target}; seed ${seed}`
}

const progressLine = (
  { shared }: Course,
  { number, protocol, warmUp }: Pick<Round, "number" | "protocol" | "warmUp">
) => {
  const { tally, witness } = shared.records[protocol]
  return (): string => {
    const millis = Control.millisOpen(shared.control, number)
    if (millis === undefined) return `${protocol}: connecting the threads`
    const { acquisitions, overlaps } = Witness.verdict(witness)
    const { p50, p99 } = Histogram.percentiles(tally.wait)
    const wait = p50 === null || p99 === null ? "" : `, wait p50 ${report.time(p50)} p99 ${report.time(p99)}`
    return `${(millis / 1000).toFixed(1)} s  ${protocol}${warmUp ? " (warming up)" : ""}: ${report.count(acquisitions)} acquisitions${wait}, ${overlaps} violations`
  }
}

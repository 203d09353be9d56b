/** A load test from beginning to end: target, threads, rounds, figures, report. */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { writeFileSync } from "node:fs"
import { styleText } from "node:util"
import * as Holds from "../contest/holds.ts"
import * as Pool from "../contest/pool.ts"
import { now, type Records, type Report } from "../contest/task.ts"
import * as ServerWitness from "../contest/serverWitness.ts"
import * as Witness from "../contest/witness.ts"
import { LoadError } from "../harness/loadError.ts"
import * as histogram from "../harness/histogram.ts"
import * as Progress from "../harness/progress.ts"
import { counted, preciseTime } from "../harness/text.ts"
import type { Side } from "../page/data.ts"
import * as Threshold from "../threshold.ts"
import * as Figures from "./figures.ts"
import * as report from "./report.ts"
import type { Protocol, Settings } from "./settings.ts"
import type { Target } from "./target.ts"

/** Runs a load test, and answers the figures. The report is also printed, and the page written, if it is interrupted. A violation of exclusion is an error. */
export const run = Effect.fnUntraced(function* <E>(settings: Settings, target: Open<E>) {
  const test = makeTest(settings)
  yield* Effect.scoped(playAll(test, target, Progress.show)).pipe(
    Effect.onInterrupt(() => (hasFigures(test) ? Effect.void : Console.error("Stopped before anything was measured."))),
    Effect.onExit(() => Effect.andThen(print(test), writePage(test)))
  )
  const runs = figuresOf(test)
  if (runs.some(({ violations }) => violations > 0)) {
    return yield* new LoadError({ message: `${report.rule(settings)} was broken` })
  }
  if (!hasFigures(test)) {
    return yield* new LoadError({
      message: `no contender acquired the lock${test.firstError === undefined ? "; try a longer --duration" : `: ${test.firstError}`}`
    })
  }
  return runs
})

/** Opens the target. */
export type Open<E> = Effect.Effect<Target, E, Scope.Scope>

const hasFigures = (test: Test): boolean => figuresOf(test).some(({ acquisitions }) => acquisitions > 0)

/** Runs a load test silently, and returns the figures. */
export const measure = Effect.fnUntraced(function* <E>(settings: Settings, target: Open<E>) {
  const test = makeTest(settings)
  yield* Effect.scoped(playAll(test, target, () => Effect.never))
  return figuresOf(test)
})

/** Runs a load test silently as one of several machines: what it measured, and what the witness on the API server saw. */
export const share = Effect.fnUntraced(function* <E>(settings: Settings, target: Open<E>) {
  const test = makeTest(settings)
  yield* Effect.scoped(playAll(test, target, () => Effect.never))
  return { ...sidesOf(test)[0]!, seen: test.seen, firstError: test.firstError }
})

/** One round: whose lock, for how long, and whether it only warms up and is not in the figures. */
export interface Turn {
  readonly protocol: Protocol
  readonly seconds: number
  readonly warmUp: boolean
}

/**
 * The rounds of a test in their order.
 *
 * Server, client and threads get faster for many seconds. So each protocol has a round before that is not counted, and two
 * protocols take turns as A B B A: A B A B would favor the second.
 */
export const turnsOf = ({ protocols, seconds }: Pick<Settings, "seconds" | "protocols">): ReadonlyArray<Turn> => {
  const turns = (order: ReadonlyArray<Protocol>, seconds: number, warmUp: boolean) =>
    order.map((protocol): Turn => ({ protocol, seconds, warmUp }))
  const warmUp = turns(protocols, Math.min(seconds * warmUpShare, longestWarmUpSeconds), true)
  if (protocols.length === 1) return [...warmUp, ...turns(protocols, seconds, false)]
  const cycles = Math.max(1, Math.round(seconds / 10))
  const cycle = turns([...protocols, ...protocols.toReversed()], seconds / (2 * cycles), false)
  return [...warmUp, ...Array.from({ length: cycles }, () => cycle).flat()]
}

const warmUpShare = 0.2
const longestWarmUpSeconds = 3

/** A test that goes on. */
interface Test {
  readonly settings: Settings
  readonly records: Readonly<Record<Protocol, Records>>
  readonly totals: Partial<Record<Protocol, Figures.Totals>>
  /** How long each protocol was played. */
  readonly millis: Record<Protocol, number>
  /** When the first round that counts began (`task.now`). */
  began: number | undefined
  target: string
  firstError: string | undefined
  /** What the witness on the API server saw, also while the test warmed up. */
  seen: ServerWitness.Seen
}

const makeTest = (settings: Settings): Test => {
  const { fibers, ids, kind, limit, protocols, reportFile, seconds, threads } = settings
  const contenders = threads * fibers
  const records = (): Records => ({
    witness: Witness.make(ids, kind === "shared" ? contenders : Math.min(limit ?? 1, contenders)),
    wait: histogram.make(),
    handoff: histogram.make(),
    holds: reportFile === undefined ? undefined : Holds.make(seconds * protocols.length)
  })
  return {
    settings,
    records: { kubelock: records(), dex: records() },
    totals: {},
    millis: { kubelock: 0, dex: 0 },
    began: undefined,
    target: "",
    firstError: undefined,
    seen: ServerWitness.nothing
  }
}

type Show = (line: () => string) => Effect.Effect<unknown>

const playAll = Effect.fnUntraced(function* <E>(test: Test, open: Open<E>, show: Show) {
  const pool = yield* Pool.threadsOf(Pool.contender)
  // The threads load their code while the server starts.
  yield* pool.start(test.settings.threads)
  const target = yield* open
  test.target = target.name
  for (const [round, turn] of turnsOf(test.settings).entries()) {
    yield* Effect.scoped(play(test, { ...turn, round, target, pool, show }))
  }
})

interface Round extends Turn {
  readonly round: number
  readonly target: Target
  readonly pool: Pool.Pool
  readonly show: Show
}

const play = Effect.fnUntraced(function* (test: Test, turn: Round) {
  const { pool, protocol, round, seconds, show, target, warmUp } = turn
  const { fibers, holdMillis, kind, limit, seed, serverWitness, threads, writers } = test.settings
  const records = test.records[protocol]
  const ids = yield* target.objects(test.settings.ids)
  Witness.pause(records.witness)
  let began: number | undefined
  yield* Effect.forkScoped(show(() => progressLine(turn, records, began)))
  const tasks = Array.from({ length: threads }, (_, thread) => ({
    kind: kind === "lock" ? protocol : kind,
    connection: target.connection,
    resource: target.resource,
    namespace: target.namespace,
    ids,
    contenders: fibers,
    first: thread * fibers,
    total: threads * fibers,
    holdMillis,
    limit: limit ?? 1,
    writers: kind === "lock" ? 1 : (writers ?? 0),
    seconds,
    seed: serverWitness === undefined ? `${seed}/${round}` : `${seed}/${round}/${serverWitness.machine}`,
    serverWitness,
    sharedWithDex: false,
    warmUpCpuMillis: 0,
    settleSeconds: 0,
    records
  }))
  yield* pool.play(tasks, {
    onStart: (at) =>
      Effect.sync(() => {
        began = at
        if (warmUp || test.began !== undefined) return
        test.began = at
        for (const { holds } of Object.values(test.records)) if (holds !== undefined) Holds.begin(holds, at)
      }),
    onEnd: (reports) => {
      test.seen = ServerWitness.sum([test.seen, ...reports.flatMap(({ seen = [] }) => seen)])
      if (warmUp && Witness.verdict(records.witness).violations === 0) reset(records)
      else add(test, protocol, reports)
    }
  })
})

const reset = ({ handoff, wait, witness }: Records): void => {
  Witness.reset(witness)
  histogram.reset(wait)
  histogram.reset(handoff)
}

const add = (test: Test, protocol: Protocol, reports: ReadonlyArray<Report>): void => {
  test.totals[protocol] = Figures.add(test.totals[protocol], reports)
  test.millis[protocol] += Math.max(...reports.map(({ millis }) => millis))
  test.firstError ??= reports.find(({ firstError }) => firstError !== undefined)?.firstError
}

const figuresOf = ({ millis, records, settings, target, totals }: Test): ReadonlyArray<Figures.Figures> =>
  settings.protocols.flatMap((protocol) => {
    const { fibers, holdMillis, ids, kind, limit, threads, writers } = settings
    const plan = { kind, limit, writers, protocol, target, threads, fibers, ids, holdMillis }
    const own = totals[protocol]
    return own === undefined ? [] : [Figures.make(plan, millis[protocol], own, records[protocol])]
  })

const sidesOf = (test: Test): ReadonlyArray<Side> =>
  figuresOf(test).map((figures) => ({
    figures,
    records: test.records[figures.protocol],
    acquisitions: test.totals[figures.protocol]?.acquisitions ?? []
  }))

const print = (test: Test): Effect.Effect<void> => {
  if (!hasFigures(test)) return Effect.void
  const runs = figuresOf(test)
  const { json, fibers, protocols, thresholds } = test.settings
  const incidents = protocols.flatMap((protocol) =>
    Witness.verdict(test.records[protocol].witness).incidents.map((found) =>
      report.incident(found, (test.began ?? 0) * 1e6, fibers)
    )
  )
  const notes = [...incidents, ...(test.firstError === undefined ? [] : [`first error: ${test.firstError}`])]
  return json
    ? Effect.andThen(
        Effect.forEach(notes, (note) => Console.error(note)),
        Console.log(report.json(runs, Threshold.judge(thresholds, runs[0]!)))
      )
    : Console.log(
        [
          "",
          title(test),
          "",
          report.table(runs),
          "",
          ...report.remarks(runs),
          ...runs.map(verdict),
          ...Threshold.table(thresholds, runs[0]!),
          ...notes
        ].join("\n")
      )
}

const writePage = (test: Test): Effect.Effect<void, LoadError> =>
  Effect.suspend(() => {
    const { reportFile } = test.settings
    if (reportFile === undefined || !hasFigures(test)) return Effect.void
    return Effect.tryPromise({
      try: async () => {
        // Only a page needs the plotting library.
        const { html } = await import("../page/page.ts")
        writeFileSync(reportFile, html({ title: title(test), sides: sidesOf(test) }))
      },
      catch: (error) => new LoadError({ message: `the page could not be written: ${String(error)}` })
    })
  })

const verdict = (run: Figures.Figures): string =>
  process.stdout.isTTY && process.stdout.hasColors()
    ? styleText(["bold", run.violations === 0 ? "green" : "red"], report.verdict(run))
    : report.verdict(run)

const title = ({ settings, target }: Test): string => {
  const { fibers, holdMillis, ids, seed, threads } = settings
  const hold = Duration.format(Duration.millis(holdMillis))
  return `${counted(threads, "thread")} of ${counted(fibers, "fiber")} on ${counted(ids, "id")}${report.named(settings)}; hold ${hold}; target ${target}; seed ${seed}`
}

const progressLine = ({ protocol, warmUp }: Turn, { wait, witness }: Records, began: number | undefined): string => {
  if (began === undefined) return `${protocol}: connecting`
  const { acquisitions, overlaps } = Witness.verdict(witness)
  const { p50, p99 } = histogram.percentiles(wait)
  const waits = p50 === null || p99 === null ? "" : `, wait p50 ${preciseTime(p50)} p99 ${preciseTime(p99)}`
  const seconds = Math.max(0, (now() - began) / 1000).toFixed(1)
  return `${seconds} s  ${protocol}${warmUp ? " (warming up)" : ""}: ${counted(acquisitions, "acquisition")}${waits}, ${counted(overlaps, "violation")}`
}

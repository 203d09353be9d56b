/** Everything that is measured on one API server. */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Envtest } from "../../src/testing/index.ts"
import type { Build } from "../contest/build.ts"
import { isAlone, isElsewhere, isLimit, isProgram, isSlow, type Kind, syncsEverySecond } from "../contest/kind.ts"
import type { Pool } from "../../src/cli/bench/contest/pool.ts"
import type { Report } from "../../src/cli/bench/contest/task.ts"
import type { Task } from "../contest/task.ts"
import { cpuMillis } from "../contest/warmUp.ts"
import * as Target from "../harness/target.ts"
import { number } from "../../src/cli/bench/harness/text.ts"
import { protocols } from "../../src/cli/bench/flags.ts"
import * as LoadTest from "../../src/cli/bench/load/loadTest.ts"
import * as ByteCounter from "./byteCounter.ts"
import * as Failures from "./failures.ts"
import * as Many from "./many.ts"
import type { Cell, Many as ManyFigure, Mixed, OnServer, Waiting, Wire } from "./measurements.ts"
import * as plan from "./plan.ts"
import * as samples from "./samples.ts"
import * as serverUse from "./serverUse.ts"
import * as Tasks from "./tasks.ts"

/** Measures all kinds but those that are absent. `say` reports the progress. */
export const measure = Effect.fnUntraced(function* (
  api: Envtest.ApiServerProcess,
  pool: Pool,
  settings: plan.Settings & { readonly absent: ReadonlyArray<Kind> },
  before: Build | undefined,
  say: (line: string) => Effect.Effect<void>
) {
  const { seconds } = settings
  const able = plan.able(api.server, settings)
  const { connection, makeObject, others, ...tasks } = yield* Tasks.make(api, able)
  const taskOf = (kind: Kind, ids: ReadonlyArray<string>, part: Partial<Task> = {}): Task =>
    tasks.taskOf(kind, ids, { seconds, before, warmUpCpuMillis: cpuMillis(seconds), ...part })

  const play = Effect.fnUntraced(function* (
    { contenders, holdMillis, kind }: plan.Load,
    seconds: number,
    onStart?: Effect.Effect<void>
  ) {
    const ids = yield* makeObject(kind)
    const total = isAlone(kind) ? 1 : contenders
    const tasks = Array.from({ length: total }, (_, first) => taskOf(kind, ids, { holdMillis, seconds, first, total }))
    return yield* pool.play(tasks, { onStart: () => onStart ?? Effect.void })
  }, Effect.scoped)

  const contest = Effect.fnUntraced(function* (load: plan.Load) {
    const use = isElsewhere(load.kind)
      ? serverUse.ofProcesses(others.pidsOf(load.kind) ?? (yield* api.pids))
      : serverUse.ofApi(api)
    let before: serverUse.Use | undefined
    const reports = yield* play(
      load,
      seconds,
      Effect.map(use, (sofar) => void (before = sofar))
    )
    const round = samples.round(reports, {
      seconds,
      isProgram: isProgram(load.kind),
      ...serverUse.between(before, yield* use)
    })
    const problem = round.overlaps > 0 && !isAlone(load.kind) ? `, ${round.overlaps} OVERLAPS` : ""
    const error = round.firstError === undefined ? "" : `, ${round.errors} errors: ${round.firstError}`
    yield* say(
      `${load.contenders} x ${load.kind}${load.holdMillis === 0 ? "" : `, hold ${load.holdMillis} ms`}: ${round.perSecond.toFixed(1)}/s, wait p99 ${round.waitP99?.toFixed(0) ?? "-"} ms${problem}${error}`
    )
    return { load, round, reports }
  })

  const cells = Effect.fnUntraced(function* (contenders: number, holdMillis: number, kinds: ReadonlyArray<Kind>) {
    const loads = plan.interleaved(contenders, holdMillis, { kinds, rounds: settings.rounds })
    const played = yield* Effect.forEach(loads, contest)
    return kinds.map((kind): Cell => {
      const own = played.filter(({ load }) => load.kind === kind)
      return {
        kind,
        contenders,
        holdMillis,
        rounds: own.map(({ round }) => round),
        wait: samples.curve(own.flatMap(({ reports }) => samples.waits(reports))),
        handoff: samples.curve(own.flatMap(({ reports }) => samples.handoffs(reports)))
      }
    })
  })

  /** One process holds the lock. The requests of the others count once they have settled. */
  const waiting = Effect.fnUntraced(function* (kind: Kind) {
    const ids = yield* makeObject(kind)
    const waitingSeconds = Math.min(plan.waitingSeconds, seconds * 6)
    const settleSeconds = Math.min(plan.settleSeconds, seconds)
    const task = taskOf(kind, ids, { seconds: waitingSeconds, holdMillis: 60_000, settleSeconds })
    const reports = yield* pool.play(Array.from({ length: plan.waiters + 1 }, () => task))
    const waiters = reports.filter(({ visits }) => visits.length === 0)
    const requests = waiters.reduce((total, { lateRequests }) => total + lateRequests, 0)
    const figure: Waiting = {
      kind,
      waiters: waiters.length,
      requestsPerWaiterSecond:
        waiters.length === 0 ? null : requests / waiters.length / (waitingSeconds - settleSeconds)
    }
    yield* say(`waiting, ${kind}: ${number(figure.requestsPerWaiterSecond)} requests a second for each waiter`)
    return figure
  }, Effect.scoped)

  const wire = Effect.fnUntraced(function* (kind: Kind) {
    const ids = yield* makeObject(kind, plan.wireObjectBytes)
    const counter = yield* ByteCounter.make(Number(new URL(api.url).port))
    const file = join(api.directory, `wire-${kind}`)
    writeFileSync(file, api.kubeConfig.replace(api.url, `https://127.0.0.1:${counter.port}`), { mode: 0o600 })
    let before = 0
    const task = taskOf(kind, ids, {
      seconds: Math.min(plan.countingSeconds, seconds),
      connection: { _tag: "KubeConfig", file }
    })
    const [report] = yield* pool.play([task], {
      onStart: () =>
        Effect.sync(() => {
          before = counter.bytes()
        })
    })
    const figure: Wire = {
      kind,
      objectBytes: plan.wireObjectBytes,
      // A cycle takes two raw writes.
      bytesPerCycle: ((counter.bytes() - before) / report!.visits.length) * (kind === "raw" ? 2 : 1)
    }
    yield* say(`on the wire, ${kind}: ${figure.bytesPerCycle.toFixed(0)} bytes a cycle`)
    return figure
  }, Effect.scoped)

  const mixed = Effect.gen(function* () {
    const ids = yield* makeObject("dex")
    const kinds = ["kubelock", "dex"] as const
    const tasks = kinds.flatMap((kind) =>
      Array.from({ length: plan.mixedOfEach }, () =>
        taskOf(kind, ids, { sharedWithDex: true, seconds: settings.mixedSeconds })
      )
    )
    const reports = yield* pool.play(tasks)
    const total = reports.reduce((sum, { visits }) => sum + visits.length, 0)
    const figure: Mixed = {
      seconds: settings.mixedSeconds,
      contendersOfEach: plan.mixedOfEach,
      overlaps: samples.overlaps(reports),
      kinds: kinds.map((kind) => {
        const own = reports.filter((_, index) => tasks[index]!.kind === kind)
        return mixedOf(kind, own, total)
      })
    }
    yield* say(
      `mixed: ${figure.kinds.map(({ kind, share, timeouts }) => `${kind} ${(share * 100).toFixed(0)} %, ${timeouts} timeouts`).join("; ")}${figure.overlaps > 0 ? `, ${figure.overlaps} OVERLAPS` : ""}`
    )
    return figure
  }).pipe(Effect.scoped)

  const manyOf = Effect.fnUntraced(function* (kind: Kind, count: number, busyLoops: number) {
    const { keepSeconds } = plan.many
    const ids = yield* makeObject(kind, undefined, count)
    const build = kind === "kubelock-before" ? before : undefined
    const measured = yield* Effect.timeoutOption(
      Many.measure(build, { kubeConfig: api.kubeConfig, namespace: Tasks.namespace, ids, keepSeconds }, busyLoops),
      plan.many.patience
    )
    const what = `${count} ids at once, ${kind}, ${busyLoops} busy loops`
    if (measured._tag === "None") {
      yield* say(`${what}: NOT WITHIN ${plan.many.patience}`)
      return []
    }
    const { firstError, lost, millis } = measured.value
    yield* say(`${what}: ${millis.toFixed(0)} ms${lost === 0 ? "" : `, ${lost} LOST: ${firstError}`}`)
    const figure: ManyFigure = { kind, ids: count, busyLoops, millis, lost }
    return [figure]
  }, Effect.scoped)

  const many = Effect.forEach(
    plan.many.of.flatMap(({ busyLoops, ids, kinds }) =>
      plan.able(api.server, settings, kinds).map((kind) => ({ kind, ids, busyLoops }))
    ),
    ({ busyLoops, ids, kind }) => manyOf(kind, ids, busyLoops)
  )

  const failures = Effect.gen(function* () {
    const taskFor = Effect.fnUntraced(function* (kind: Kind) {
      return taskOf(kind, yield* makeObject(kind), { seconds: plan.failureSeconds })
    })
    const figures = yield* Failures.measure(plan.able(api.server, settings, plan.failing), taskFor)
    yield* Effect.forEach(figures, ({ freedSuccessor, kind, killedAfter, takenAfter, workedOn }) =>
      say(
        `${kind}: suspended, taken after ${number(takenAfter)} ms, worked on for ${number(workedOn)} ms${freedSuccessor ? ", FREED ITS SUCCESSOR" : ""}; killed, taken after ${number(killedAfter)} ms`
      )
    )
    return figures
  }).pipe(Effect.scoped)

  const threads = LoadTest.measure(
    {
      kind: "lock",
      limit: null,
      writers: null,
      protocols,
      threads: 4,
      fibers: 8,
      ids: 1,
      holdMillis: 0,
      seconds,
      seed: 0,
      json: false,
      thresholds: []
    },
    Target.open({ kubeconfig: connection, namespace: Tasks.namespace, resource: "refreshtokens" })
  )

  const locks = able.filter((kind) => !isLimit(kind))
  yield* Effect.forEach(
    able.filter((kind) => !isSlow(kind)),
    (kind) => play({ kind, contenders: 1, holdMillis: 0 }, plan.warmUpSeconds),
    { discard: true }
  )

  const onObjects = plan.able(api.server, settings, [
    "kubelock",
    "kubelock-before",
    "kubelock-lease",
    "kubelock-configmap",
    "dex",
    "lease-fast",
    "raw"
  ])
  const { contenders, millis } = plan.hold
  const figures: OnServer = {
    server: api.server,
    version: api.version,
    cells: (yield* Effect.forEach(settings.contenders, (contenders) => cells(contenders, 0, able))).flat(),
    hold: yield* cells(
      contenders,
      millis,
      able.filter((kind) => isElsewhere(kind) || (onObjects.includes(kind) && !isLimit(kind)))
    ),
    waiting: yield* Effect.forEach(
      locks.filter((kind) => !isProgram(kind) && !syncsEverySecond(kind)),
      waiting
    ),
    wire: yield* Effect.forEach(onObjects, wire),
    threads: yield* threads,
    failures: settings.hasFailures ? yield* failures : [],
    many: settings.hasFailures ? (yield* many).flat() : [],
    mixed: settings.mixedSeconds === 0 ? null : yield* mixed
  }
  return figures
})

const mixedOf = (kind: Kind, reports: ReadonlyArray<Report>, total: number): Mixed["kinds"][number] => {
  const round = samples.round(reports, { seconds: 1 })
  const waited = samples.waits(reports)
  return {
    kind,
    acquisitions: round.acquisitions,
    share: total === 0 ? 0 : round.acquisitions / total,
    timeouts: round.timeouts,
    errors: round.errors,
    waitP50: round.waitP50,
    waitP99: round.waitP99,
    waitMax: waited.length === 0 ? null : Math.max(...waited)
  }
}

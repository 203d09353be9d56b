/** Everything that is measured on one API server. */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ApiServerProcess } from "../../src/testing/envtest/Envtest.ts"
import * as ByteCounter from "./byteCounter.ts"
import { isAlone, isLimit, isSlow, type Kind } from "./kind.ts"
import * as loadTester from "./loadTester.ts"
import { number } from "./markdown.ts"
import type { Cell, Mixed, OnServer, Waiting, Wire } from "./measurements.ts"
import * as objects from "./objects.ts"
import * as plan from "./plan.ts"
import type { Processes } from "./processes.ts"
import * as samples from "./samples.ts"
import type { Report, Task } from "./task.ts"
import * as watchEvents from "./watchEvents.ts"

const usualBytes = 1500

/** Measures. `say` tells people how far it is. */
export const measure = Effect.fnUntraced(function* (
  api: ApiServerProcess,
  processes: Processes,
  settings: plan.Settings,
  say: (line: string) => Effect.Effect<void>
) {
  const { seconds } = settings
  const countingSeconds = Math.min(plan.countingSeconds, seconds)

  const taskFor = (kind: Kind, id: string, part: Partial<Task>): Task => ({
    kind,
    kubeConfigFile: api.kubeConfigPath,
    namespace: objects.namespace,
    id,
    holdMillis: 0,
    place: 0,
    places: 1,
    besideDex: false,
    seconds,
    warmUpCpuMillis: plan.warmUpCpuMillis(seconds),
    settleSeconds: 0,
    ...part
  })

  const play = Effect.fnUntraced(function* (
    { contenders, holdMillis, kind }: plan.Load,
    seconds: number,
    onStart?: Effect.Effect<void>
  ) {
    const id = yield* objects.make(api, kind, usualBytes)
    const places = isAlone(kind) ? 1 : contenders
    return yield* processes.play(
      Array.from({ length: places }, (_, place) => taskFor(kind, id, { holdMillis, seconds, place, places })),
      onStart
    )
  })

  const contest = Effect.fnUntraced(function* (load: plan.Load) {
    let before: number | undefined
    const reports = yield* play(
      load,
      seconds,
      Effect.map(watchEvents.sent(api), (sent) => {
        before = sent
      })
    )
    const after = yield* watchEvents.sent(api)
    const round = samples.round(reports, {
      seconds,
      watchEvents: before === undefined || after === undefined ? undefined : after - before
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

  /** One process holds the lock; what the others ask for once they are settled. */
  const waiting = Effect.fnUntraced(function* (kind: Kind) {
    const id = yield* objects.make(api, kind, usualBytes)
    const [waitingSeconds, settleSeconds] = [
      Math.min(plan.waitingSeconds, seconds * 6),
      Math.min(plan.settleSeconds, seconds)
    ]
    const task = taskFor(kind, id, { seconds: waitingSeconds, holdMillis: 60_000, settleSeconds })
    const reports = yield* processes.play(Array.from({ length: plan.waiters + 1 }, () => task))
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
  })

  const wire = Effect.fnUntraced(function* (kind: Kind) {
    const id = yield* objects.make(api, kind, plan.wireObjectBytes)
    const counter = yield* ByteCounter.make(Number(new URL(api.url).port))
    const kubeConfigFile = join(api.directory, `wire-${kind}`)
    writeFileSync(kubeConfigFile, api.kubeConfig.replace(api.url, `https://127.0.0.1:${counter.port}`), { mode: 0o600 })
    let before = 0
    const reports = yield* processes.play(
      [taskFor(kind, id, { seconds: countingSeconds, kubeConfigFile })],
      Effect.sync(() => {
        before = counter.bytes()
      })
    )
    const acquisitions = reports[0]!.visits.length
    const figure: Wire = {
      kind,
      objectBytes: plan.wireObjectBytes,
      // two raw writes are what a cycle takes
      bytesPerCycle: ((counter.bytes() - before) / acquisitions) * (kind === "raw" ? 2 : 1)
    }
    yield* say(`on the wire, ${kind}: ${figure.bytesPerCycle.toFixed(0)} bytes a cycle`)
    return figure
  }, Effect.scoped)

  const mixed = Effect.gen(function* () {
    const id = yield* objects.make(api, "dex", usualBytes)
    const kinds = ["kubelock", "dex"] as const
    const tasks = kinds.flatMap((kind) =>
      Array.from({ length: plan.mixedOfEach }, () =>
        taskFor(kind, id, { besideDex: true, seconds: settings.mixedSeconds })
      )
    )
    const reports = yield* processes.play(tasks)
    const total = reports.reduce((sum, { visits }) => sum + visits.length, 0)
    const figure: Mixed = {
      seconds: settings.mixedSeconds,
      contendersOfEach: plan.mixedOfEach,
      overlaps: samples.overlaps(reports),
      kinds: kinds.map((kind) =>
        mixedOf(
          kind,
          reports.filter((_, index) => tasks[index]!.kind === kind),
          total
        )
      )
    }
    yield* say(
      `mixed: ${figure.kinds.map(({ kind, share, timeouts }) => `${kind} ${(share * 100).toFixed(0)} %, ${timeouts} timeouts`).join("; ")}${figure.overlaps > 0 ? `, ${figure.overlaps} OVERLAPS` : ""}`
    )
    return figure
  })

  yield* Effect.forEach(
    plan.able(api.server).filter((kind) => !isSlow(kind)),
    (kind) => play({ kind, contenders: 1, holdMillis: 0 }, plan.warmUpSeconds),
    { discard: true }
  )

  const uncontendedKinds = plan.able(api.server, ["kubelock", "dex", "lease-fast", "raw"])
  const figures: OnServer = {
    server: api.server,
    version: api.version,
    cells: (yield* Effect.forEach(settings.contenders, (contenders) =>
      cells(contenders, 0, plan.able(api.server))
    )).flat(),
    hold: yield* cells(
      plan.hold.contenders,
      plan.hold.millis,
      uncontendedKinds.filter((kind) => !isLimit(kind))
    ),
    waiting: yield* Effect.forEach(
      plan.able(api.server).filter((kind) => !isLimit(kind)),
      waiting
    ),
    wire: yield* Effect.forEach(uncontendedKinds, wire),
    threads: yield* loadTester.compare({ kubeConfigFile: api.kubeConfigPath, namespace: objects.namespace, seconds }),
    mixed: settings.mixedSeconds === 0 ? null : yield* mixed
  }
  return figures
})

const mixedOf = (kind: Kind, reports: ReadonlyArray<Report>, total: number): Mixed["kinds"][number] => {
  const round = samples.round(reports, { seconds: 1, watchEvents: undefined })
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

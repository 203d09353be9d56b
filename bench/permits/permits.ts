/** Permits and readers on real API servers, beside semaphores on Redis: `npm run bench:permits`. See `--help`. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Resource from "../../src/Resource.ts"
import { Envtest } from "../../src/testing/index.ts"
import { toggle, whole } from "../../tools/flags.ts"
import * as program from "../../tools/program.ts"
import * as Pool from "../../src/cli/bench/contest/pool.ts"
import { alone, type Report } from "../../src/cli/bench/contest/task.ts"
import { contender, type Task } from "../contest/task.ts"
import { cpuMillis } from "../contest/warmUp.ts"
import * as Api from "../../src/cli/bench/harness/api.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as packages from "../elsewhere/packages.ts"
import * as redisPackages from "../elsewhere/redisPackages.ts"
import * as RedisServer from "../elsewhere/redisServer.ts"
import { measurementsFile } from "../harness/flags.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Objects from "../../src/cli/bench/harness/objects.ts"
import { median } from "../../src/cli/bench/harness/statistics.ts"
import * as machine from "../peers/machine.ts"
import * as samples from "../peers/samples.ts"
import * as serverUse from "../peers/serverUse.ts"
import * as line from "./line.ts"
import type { Cell, Load, Measurements, OnServer, PermitRound } from "./measurements.ts"
import { fibersTable, page, semaphoreTable, sharedTable } from "./page.ts"

/** The namespace that the servers are started with. */
const namespace = "dex"
const resource = Resource.refreshToken

interface Given {
  readonly seconds: number
  readonly rounds: number
  readonly quick: boolean
}

const say = (text: string) => Console.error(text)

const loads = (processes: number): ReadonlyArray<Load> => {
  const semaphore = { name: "kubelock", kind: "semaphore", processes, fibers: 1, limit: 4, writers: 0 } as const
  const shared = { name: "kubelock", processes, fibers: 1, limit: 1 } as const
  return [
    { ...semaphore, holdMillis: 0 },
    { ...semaphore, holdMillis: 20 },
    ...[20, 200].flatMap((holdMillis): ReadonlyArray<Load> => [
      { ...shared, kind: "kubelock", writers: 1, holdMillis },
      { ...shared, kind: "shared", writers: 0.1, holdMillis }
    ]),
    { ...semaphore, processes: 1, fibers: 64, limit: 8, holdMillis: 0 }
  ]
}

const roundOf = (
  load: Load,
  reports: ReadonlyArray<Report>,
  measured: Parameters<typeof samples.round>[1]
): PermitRound => ({
  ...samples.round(reports, measured),
  overlaps: line.violations(reports, load.kind === "shared" ? load.processes * load.fibers : load.limit),
  worstWriter: load.kind === "shared" ? line.worstWriter(reports) : null,
  handOver: line.handOver(reports, load.limit)
})

const tasksOf = (load: Load, part: Pick<Task, "connection" | "ids" | "seconds" | "seed">): ReadonlyArray<Task> =>
  Array.from({ length: load.processes }, (_, process) => ({
    ...alone,
    ...part,
    kind: load.kind === "redis" ? "semaphore" : load.kind,
    resource,
    namespace,
    contenders: load.fibers,
    first: process * load.fibers,
    total: load.processes * load.fibers,
    holdMillis: load.holdMillis,
    limit: load.limit,
    writers: load.writers,
    warmUpCpuMillis: cpuMillis(part.seconds)
  }))

/** Plays each load once in each round, so that what changes on the machine hits all. */
const interleaved = Effect.fnUntraced(function* <E, R>(
  loads: ReadonlyArray<Load>,
  rounds: number,
  play: (load: Load, round: number) => Effect.Effect<PermitRound, E, R>
) {
  const cells: Array<Cell> = loads.map((load) => ({ ...load, rounds: [] }))
  for (let round = 0; round < rounds; round++) {
    for (const [index, load] of loads.entries()) {
      const one = yield* play(load, round)
      cells[index] = { ...load, rounds: [...cells[index]!.rounds, one] }
      const { errors, firstError, overlaps, perSecond, waitP99 } = one
      yield* say(
        `${load.processes} x ${load.fibers} ${load.name} ${load.kind}, hold ${load.holdMillis} ms: ${perSecond.toFixed(1)}/s, wait p99 ${waitP99?.toFixed(0) ?? "-"} ms${overlaps > 0 ? `, ${overlaps} OVERLAPS` : ""}${firstError === undefined ? "" : `, ${errors} errors: ${firstError}`}`
      )
    }
  }
  return cells
})

const onServer = Effect.fnUntraced(function* (server: Envtest.Server, { quick, rounds, seconds }: Given) {
  const api = yield* Envtest.start({ server })
  const connection: Connection.Connection = { _tag: "KubeConfig", file: api.kubeConfigPath }
  const client = yield* Layer.build(Connection.layer(connection))
  const requests = yield* Effect.provideContext(Api.make, client)
  const pool = yield* Pool.processesOf(contender)
  const play = Effect.fnUntraced(function* (load: Load, round: number) {
    const ids = yield* Objects.make({ api: requests, resource, namespace }, 1)
    let before: serverUse.Use | undefined
    const reports = yield* pool.play(tasksOf(load, { connection, ids, seconds, seed: `${round}` }), {
      onStart: () => Effect.map(serverUse.ofApi(api), (use) => void (before = use))
    })
    return roundOf(load, reports, { seconds, ...serverUse.between(before, yield* serverUse.ofApi(api)) })
  }, Effect.scoped)
  const writes = Effect.fnUntraced(function* () {
    const ids = yield* Objects.make({ api: requests, resource, namespace }, 1)
    const load: Load = { ...loads(1)[0]!, holdMillis: 0 }
    const [task] = tasksOf(load, { connection, ids, seconds, seed: "" })
    const reports = yield* pool.play([{ ...task!, kind: "raw" }])
    return samples.round(reports, { seconds }).perSecond
  }, Effect.scoped)
  const perSecond = [yield* writes()]
  const cells = yield* interleaved(loads(quick ? 6 : 16), rounds, play)
  perSecond.push(yield* writes())
  const middle = median(perSecond)
  const measured: OnServer = {
    server,
    version: api.version,
    writeMillis: middle === null || middle === 0 ? null : 1000 / middle,
    cells
  }
  return measured
}, Effect.scoped)

const onRedis = Effect.fnUntraced(function* ({ quick, rounds, seconds }: Given) {
  const version = RedisServer.version()
  if (version === undefined) return { leftOut: "there is no redis-server on this machine" }
  const missing = packages.missing()
  if (missing !== undefined) return { leftOut: missing }
  const { port } = yield* RedisServer.start("always")
  const pools = new Map<string, Pool.Pool>()
  for (const { name } of redisPackages.semaphores) {
    pools.set(name, yield* Pool.processesOf(new URL("redisContender.ts", import.meta.url), [name, String(port)]))
  }
  const peers = redisPackages.semaphores.flatMap(({ name }) =>
    [0, 20].map((holdMillis): Load => ({
      name,
      kind: "redis",
      processes: quick ? 6 : 16,
      fibers: 1,
      limit: 4,
      writers: 0,
      holdMillis
    }))
  )
  const connection: Connection.Connection = { _tag: "Yaml", yaml: "" }
  const play = (load: Load, round: number) =>
    pools
      .get(load.name)!
      .play(tasksOf(load, { connection, ids: [`${load.holdMillis}-${round}`], seconds, seed: `${round}` }))
      .pipe(Effect.map((reports) => roundOf(load, reports, { seconds })))
  // Their code is compiled before the rounds that count, as kubelock's is.
  yield* Effect.forEach(peers, (load) => play(load, -1), { discard: true })
  const cells = yield* interleaved(peers, rounds, play)
  return { version, cells }
}, Effect.scoped)

const measure = Effect.fnUntraced(function* (given: Given) {
  const servers = yield* Envtest.servers
  const redis = yield* onRedis(given)
  if ("leftOut" in redis) yield* say(`SEMAPHORES ON REDIS ARE LEFT OUT: ${redis.leftOut}`)
  return {
    seconds: given.seconds,
    rounds: given.rounds,
    servers: yield* Effect.forEach(servers, (server) => onServer(server, given)),
    redis
  }
})

const flags = {
  quick: toggle("quick", "A run of a minute: shows that everything works, and leaves docs/permits-benchmarks.md alone"),
  seconds: whole("seconds", [1, 600], "How long each contest lasts (default 15)").pipe(Flag.withDefault(15)),
  rounds: whole("rounds", [1, 20], "How often the contests take turns (default 3)").pipe(Flag.withDefault(3)),
  json: measurementsFile
}

const command = Command.make(
  "npm run bench:permits --",
  flags,
  Effect.fnUntraced(function* ({ json, ...given }) {
    const run: Measurements = yield* machine.during(
      measure(given.quick ? { quick: true, seconds: 1, rounds: 1 } : given)
    )
    if (Option.isSome(json)) writeFileSync(json.value, `${JSON.stringify(run)}\n`)
    yield* Console.log([semaphoreTable(run), sharedTable(run), fibersTable(run)].join("\n\n"))
    if (!given.quick) writeFileSync(join(import.meta.dirname, "../../docs/permits-benchmarks.md"), page(run))
    const overlaps = run.servers
      .flatMap(({ cells }) => cells.flatMap(({ rounds }) => rounds))
      .reduce((total, round) => total + round.overlaps, 0)
    if (overlaps > 0) return yield* new LoadError({ message: `too many were inside ${overlaps} times` })
  })
).pipe(
  Command.withDescription(
    "Measures semaphores and shared locks on the real API servers in KUBEBUILDER_ASSETS, beside semaphores on Redis."
  ),
  Command.withExamples([
    { command: "npm run bench:permits -- --quick", description: "A minute: shows that everything works" },
    { command: "npm run bench:permits", description: "About fifteen minutes; writes docs/permits-benchmarks.md" }
  ])
)

program.run(command, process.argv.slice(2))

/** A run: the servers one after the other, and the store in memory. */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Envtest } from "../../src/testing/index.ts"
import * as Build from "../contest/build.ts"
import { contender } from "../contest/task.ts"
import * as Pool from "../../src/cli/bench/contest/pool.ts"
import * as elsewhere from "../elsewhere/servers.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import * as machine from "./machine.ts"
import type { Measurements } from "./measurements.ts"
import type { MemoryFigures } from "./memory.ts"
import * as OnServer from "./onServer.ts"
import type { Settings } from "./plan.ts"

/** Measures everything that the settings ask for. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const began = yield* Clock.currentTimeMillis
  const elapsed = Effect.map(Clock.currentTimeMillis, (now) => (now - began) / 1000)
  const say = (line: string) =>
    Effect.flatMap(elapsed, (at) => Console.error(`${at.toFixed(0).padStart(4)} s  ${line}`))

  const before = settings.against === undefined ? undefined : yield* Build.stage(settings.against)
  const assets = yield* Effect.mapError(Envtest.assets, ({ message }) => new LoadError({ message }))
  const found = assets.servers.map(({ server }) => server)
  const wanted = settings.servers ?? found
  const unknown = wanted.find((server) => !found.includes(server))
  if (unknown !== undefined) return yield* new LoadError({ message: `there is no ${unknown} in KUBEBUILDER_ASSETS` })
  const where = machine.describe(assets.etcd)

  const leftOut = elsewhere.leftOut()
  for (const { kind, why } of leftOut) yield* say(`LEFT OUT: ${kind}, because ${why}`)
  const absent = leftOut.map(({ kind }) => kind)

  const memory = yield* Effect.scoped(measureMemory(Math.min(2, settings.seconds)))
  yield* say(
    `in memory: ${memory.cycleMicrosP50.toFixed(0)} us a cycle, ${memory.contended.perSecond.toFixed(0)}/s contended`
  )

  const pool = yield* Pool.processesOf(contender)
  const servers = yield* Effect.forEach(wanted, (server) =>
    Effect.gen(function* () {
      const api = yield* Effect.mapError(Envtest.start({ server }), ({ message }) => new LoadError({ message }))
      yield* say(`${server} ${api.version} on ${api.url}`)
      return yield* OnServer.measure(api, pool, { ...settings, absent }, before, say)
    }).pipe(Effect.scoped)
  )
  const measurements: Measurements = {
    machine: where,
    others: elsewhere.versions(),
    leftOut,
    settings,
    tookSeconds: Math.round(yield* elapsed),
    memory,
    servers
  }
  return measurements
}, Effect.scoped)

// In a process of its own: there is nothing else on its heap, and no other code is warm.
const measureMemory = Effect.fnUntraced(function* (seconds: number) {
  const file = new URL("memory.ts", import.meta.url)
  const ask = yield* Workers.start<number, MemoryFigures>("the store in memory", () =>
    Workers.process(file, { nodeFlags: ["--expose-gc"] })
  )
  return yield* ask(seconds)
})

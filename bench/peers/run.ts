/** A run: the servers one after the other, and the store in memory. */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import * as machine from "./machine.ts"
import type { Measurements } from "./measurements.ts"
import type { MemoryFigures } from "./memory.ts"
import * as OnServer from "./onServer.ts"
import { LoadError } from "../loadError.ts"
import type { Settings } from "./plan.ts"
import * as Processes from "./processes.ts"

/** Measures everything that the settings ask for. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const began = yield* Clock.currentTimeMillis
  const elapsed = Effect.map(Clock.currentTimeMillis, (now) => (now - began) / 1000)
  const say = (line: string) =>
    Effect.flatMap(elapsed, (at) => Console.error(`${at.toFixed(0).padStart(4)} s  ${line}`))

  const assets = yield* Effect.mapError(Envtest.assets, ({ message }) => new LoadError({ message }))
  const there = assets.servers.map(({ server }) => server)
  const wanted = settings.servers ?? there
  const absent = wanted.find((server) => !there.includes(server))
  if (absent !== undefined) return yield* new LoadError({ message: `there is no ${absent} in KUBEBUILDER_ASSETS` })
  const where = machine.describe(assets.etcd)

  const memory = yield* measureMemory(settings)
  yield* say(
    `in memory: ${memory.cycleMicrosP50.toFixed(0)} us a cycle, ${memory.contended.perSecond.toFixed(0)}/s contended`
  )

  const processes = yield* Processes.make
  const servers = yield* Effect.forEach(wanted, (server) =>
    Effect.gen(function* () {
      const api = yield* Effect.mapError(Envtest.start({ server }), ({ message }) => new LoadError({ message }))
      yield* say(`${server} ${api.version} on ${api.url}`)
      return yield* OnServer.measure(api, processes, settings, say)
    }).pipe(Effect.scoped)
  )
  const measurements: Measurements = {
    machine: where,
    settings,
    tookSeconds: Math.round(yield* elapsed),
    memory,
    servers
  }
  return measurements
}, Effect.scoped)

const measureMemory = ({ seconds }: Settings): Effect.Effect<MemoryFigures, LoadError> =>
  Effect.callback((resume) => {
    const program = fileURLToPath(new URL("memory.ts", import.meta.url))
    const child = execFile(process.execPath, ["--expose-gc", program, String(Math.min(2, seconds))], (error, stdout) =>
      resume(
        error === null
          ? Effect.succeed(JSON.parse(stdout) as MemoryFigures)
          : Effect.fail(new LoadError({ message: `the store in memory: ${error.message.split("\n")[0]}` }))
      )
    )
    return Effect.sync(() => child.kill("SIGTERM"))
  })

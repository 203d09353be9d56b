/**
 * The example as real processes: three runners, of which one is killed, one suspended past the expiry of its session and resumed, and one
 * cut off from the API server.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Ports from "../../src/testing/envtest/Ports.ts"
import * as Proxy from "../chaos/proxy.ts"
import * as Collector from "./collector.ts"

/** Where the example is. */
export const folder = join(import.meta.dirname, "../../docs/examples/cluster")

/** How long shards took to move, in milliseconds. */
export interface Moves {
  readonly killed: number
  readonly suspended: number
  readonly cutOff: number
  readonly left: number
}

const meters = 20

/**
 * Short times, so that the trial is short, and few shards, so that each has a meter. Each runner gets as many shards as the others, so it
 * gets a meter, too. Of 60 shards one runner in three gets only such without a meter, in one of a thousand choices of ports.
 */
const settings = {
  SHARD_LOCK_EXPIRATION: "6 seconds",
  SHARD_LOCK_REFRESH_INTERVAL: "2 seconds",
  REFRESH_ASSIGNMENTS_INTERVAL: "500 millis",
  ENTITY_MESSAGE_POLL_INTERVAL: "1 second",
  SHARDS_PER_GROUP: "8"
}

/** The trial, on the API server of this kubeconfig. `configOf` gives the kubeconfig for another URL of the server. */
export const trial = Effect.fnUntraced(function* (
  url: string,
  configOf: (url: string) => string
): Effect.fn.Return<Moves, never, Scope.Scope> {
  const collector = yield* Collector.make
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-cluster-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )

  const aRunner = Effect.gen(function* () {
    const port = yield* Effect.orDie(Ports.free)
    const proxy = yield* Proxy.make(Number(new URL(url).port))
    const throughProxy = new URL(url)
    throughProxy.port = String(proxy.port)
    const kubeconfig = join(directory, `${port}.kubeconfig`)
    writeFileSync(kubeconfig, configOf(throughProxy.href.replace(/\/$/, "")), { mode: 0o600 })
    let child: ChildProcess | undefined
    let printed = ""
    const start = Effect.sync(() => {
      child = spawn(process.execPath, ["--conditions=kubelock-source", join(folder, "service.ts")], {
        env: {
          ...process.env,
          ...settings,
          KUBECONFIG: kubeconfig,
          HOST: "127.0.0.1",
          PORT: String(port),
          COLLECTOR: collector.url,
          METERS: String(meters)
        }
      })
      for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk) => (printed += chunk))
    })
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void child?.kill(name))
    yield* Effect.addFinalizer(() => signal("SIGKILL"))
    const exited = Effect.suspend(() =>
      Effect.callback<void>((resume) => {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
        else child.once("exit", () => resume(Effect.void))
      })
    )
    return { name: `127.0.0.1:${port}`, proxy, start, signal, exited, lastPrinted: () => lastLines(printed) }
  })

  const runners = yield* Effect.all([aRunner, aRunner, aRunner])
  const [victim, sleeper, hermit] = runners
  const by = (runner: { readonly name: string }) => (name: string) => name === runner.name
  const byOthers = (runner: { readonly name: string }) => (name: string) => name !== runner.name

  const stuck = (when: string, count: number, since: bigint, counts: (runner: string) => boolean) => {
    const readBy = (counts: (runner: string) => boolean) => Collector.metersSince(collector.readings, since, counts)
    const ofEach = runners.map(
      (runner) => `${runner.name} has read ${readBy(by(runner))} and printed last:\n${runner.lastPrinted()}`
    )
    return new Error(`${when}: ${readBy(counts)} of ${count} meters are read.\n${ofEach.join("\n")}`)
  }

  /** Waits until so many meters are read by runners that count. Returns how long it took, in milliseconds. */
  const read = (when: string, count: number, counts: (runner: string) => boolean) =>
    Effect.suspend(() => {
      const since = Collector.now()
      return Effect.sleep("20 millis").pipe(
        Effect.repeat({ until: () => Collector.metersSince(collector.readings, since, counts) >= count }),
        Effect.map(() => Number(Collector.now() - since) / 1e6),
        Effect.timeout("100 seconds"),
        Effect.catch(() => Effect.die(stuck(when, count, since, counts)))
      )
    })

  for (const { start } of runners) yield* start
  yield* Effect.forEach(runners, (runner) => read("at the start, by each runner", 1, by(runner)), {
    concurrency: "unbounded"
  })
  yield* read("at the start", meters, () => true)

  yield* victim.signal("SIGKILL")
  const killed = yield* read("killed", meters, byOthers(victim))
  yield* victim.start
  yield* read("started again", 1, by(victim))

  yield* sleeper.signal("SIGSTOP")
  const suspended = yield* read("suspended", meters, byOthers(sleeper))
  yield* sleeper.signal("SIGCONT")
  yield* read("resumed", 1, by(sleeper))

  yield* hermit.proxy.set({ _tag: "Blackhole" })
  const cutOff = yield* read("cut off", meters, byOthers(hermit))
  yield* hermit.proxy.set({ _tag: "Open" })
  yield* read("no longer cut off", 1, by(hermit))

  yield* victim.signal("SIGTERM")
  const left = yield* read("stopped", meters, byOthers(victim))
  yield* victim.exited
  yield* read("after the stop", meters, () => true)

  assert.deepStrictEqual(Collector.overlaps(collector.readings), [])
  return { killed, suspended, cutOff, left }
})

/** The last lines of what a runner has printed, without its log of requests. */
const lastLines = (printed: string): string =>
  printed
    .split(/^(?=\[)/m)
    .filter((entry) => !entry.includes("Sent HTTP response"))
    .join("")
    .trim()
    .split("\n")
    .slice(-15)
    .join("\n")

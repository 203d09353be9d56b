/** SIGINT and SIGTERM with `NodeRuntime.runMain`: the process releases all held locks before it exits. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { neutralAnnotation } from "../../src/LockPolicy.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"

const program = Path.join(import.meta.dirname, "shutdownHolder.ts")

/** A process that holds the locks `a` and `b`, on a server of its own. */
const holding = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const server = yield* ApiServer.make()
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubelock-shutdown-"))),
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
  )
  const kubeconfig = Path.join(directory, "kubeconfig")
  Fs.writeFileSync(kubeconfig, server.kubeConfig)
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      ChildProcess.spawn(process.execPath, [program, kubeconfig, ...args], { stdio: ["ignore", "pipe", "inherit"] })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve))
  yield* Effect.callback<void>((resume) => void child.stdout.once("data", () => resume(Effect.void)))
  const locked = Effect.map(server.list(Resource.configMap, ""), (objects) =>
    objects
      .filter(({ metadata }) => neutralAnnotation in (metadata.annotations ?? {}))
      .map(({ metadata }) => metadata.name)
  )
  assert.deepStrictEqual(yield* locked, ["a", "b"])
  return {
    server,
    locked,
    kill: (signal: "SIGINT" | "SIGTERM") => child.kill(signal),
    exit: Effect.promise(() => exit)
  }
})

/** A release gives up after five seconds. A process that does not wait for it ends much earlier. */
const atOnce = "4 seconds"

/** From now on every request takes longer than any time-out. */
const hang = (server: ApiServer.ApiServer["Service"]) =>
  server.inject(ApiServer.Fault.Delay({ at: "Request", duration: "1 minute" }))

it.live.each(["SIGINT", "SIGTERM"] as const)("a process that gets %s releases all locks, then exits", (signal) =>
  Effect.gen(function* () {
    const { exit, kill, locked } = yield* holding()
    kill(signal)
    assert.strictEqual(yield* exit, 130)
    assert.deepStrictEqual(yield* locked, [])
  })
)

it.live.each(["SIGINT", "SIGTERM"] as const)(
  "a process that gets %s while a child of its main fiber holds locks releases them although the layers close first",
  (signal) =>
    Effect.gen(function* () {
      const { exit, kill, locked } = yield* holding("child")
      kill(signal)
      assert.deepStrictEqual(yield* Effect.timeoutOption(exit, atOnce), Option.some(130))
      assert.deepStrictEqual(yield* locked, [])
    })
)

it.live.each([
  ["SIGINT", "SIGINT"],
  ["SIGTERM", "SIGTERM"],
  ["SIGINT", "SIGTERM"]
] as const)("a process that gets %s, then %s while the server hangs, exits at once", ([first, second]) =>
  Effect.gen(function* () {
    const { exit, kill, server } = yield* holding()
    const struck = yield* hang(server)
    kill(first)
    yield* Effect.sleep("10 millis").pipe(Effect.repeat({ until: () => Effect.map(struck, (hits) => hits > 0) }))
    kill(second)
    const exitCode = second === "SIGINT" ? 130 : 143
    assert.deepStrictEqual(yield* Effect.timeoutOption(exit, atOnce), Option.some(exitCode))
  })
)

it.live("a process without Shutdown waits for its releases, also after a second signal", () =>
  Effect.gen(function* () {
    const { exit, kill, server } = yield* holding("patient")
    const struck = yield* hang(server)
    kill("SIGTERM")
    yield* Effect.sleep("10 millis").pipe(Effect.repeat({ until: () => Effect.map(struck, (hits) => hits > 0) }))
    kill("SIGTERM")
    assert.deepStrictEqual(yield* Effect.timeoutOption(exit, "1 second"), Option.none())
  })
)

/** Debian's redis-server, whose log of changes is synced to the disk before each answer, or once a second. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Ports from "../../src/testing/envtest/Ports.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import { output } from "../harness/output.ts"

/** When the log is synced: Redis' `appendfsync`. */
export type Sync = "always" | "everysec"

/** A server that runs. */
export interface RedisServer {
  readonly port: number
  readonly pid: number
}

/** The version of the redis-server on this machine: `undefined` if there is none. */
export const version = (): string | undefined => /v=(\S+)/.exec(output("redis-server", ["--version"]))?.[1]

const answers = (port: number) =>
  Effect.tryPromise({
    try: () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(port, "127.0.0.1", () => {
          socket.destroy()
          resolve()
        }).once("error", reject)
      }),
    catch: () => new LoadError({ message: "redis-server did not start: run it by hand to see why" })
  })

/** Starts it. It ends with the scope, with all that it wrote. */
export const start = Effect.fnUntraced(function* (sync: Sync): Effect.fn.Return<RedisServer, LoadError, Scope.Scope> {
  const port = yield* Ports.free
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-redis-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const options = { port, bind: "127.0.0.1", dir: folder, save: "", appendonly: "yes", appendfsync: sync }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("redis-server", args, { stdio: "ignore" })),
    (server) =>
      Effect.callback<void>((resume) => {
        server.once("exit", () => resume(Effect.void))
        server.kill()
      })
  )
  yield* Effect.retry(answers(port), Schedule.upTo(Schedule.spaced("50 millis"), { times: 200 }))
  return { port, pid: server.pid ?? 0 }
})

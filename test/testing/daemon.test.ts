/** Child processes of tests, and the scopes that they end with. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import * as Guard from "../../src/testing/envtest/Guard.ts"

it.live("a process that was started again outlives what was made after it, as the first one would have", () =>
  Effect.gen(function* () {
    const alive: Array<boolean> = []
    const pid = yield* Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const guard = yield* Guard.make(yield* fs.makeTempDirectoryScoped())
      const { pid, start, stop } = yield* Daemon.make({ name: "sleep", command: "sleep", args: ["1000"], guard })
      yield* start
      yield* Effect.addFinalizer(() => Effect.map(pid, (pid) => void alive.push(Daemon.isAlive(pid!))))
      yield* stop("SIGKILL")
      yield* start
      return (yield* pid)!
    }).pipe(Effect.scoped)
    alive.push(Daemon.isAlive(pid))
    assert.deepStrictEqual(alive, [true, false])
  }).pipe(Effect.provide(NodeServices.layer))
)

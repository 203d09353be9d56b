/** The benchmark beside Dex as a whole, in its shortest form. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Envtest } from "../../src/testing/index.ts"
import type { Measurements } from "./measurements.ts"

const program = fileURLToPath(new URL("besideDex.ts", import.meta.url))

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-dex-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const run = (args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number | null; readonly stderr: string }>((resume) => {
    const child = execFile(process.execPath, [program, ...args], (_error, _stdout, stderr) =>
      resume(Effect.succeed({ code: child.exitCode, stderr }))
    )
    return Effect.sync(() => child.kill("SIGINT"))
  })

const servers = await Effect.runPromise(Envtest.servers)

describe.skipIf(!servers.includes("kube-apiserver"))("npm run bench:dex", () => {
  it.live("kills a process with the lock, and follows the lock until kubelock has it", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "run.json")
      const { code, stderr } = yield* run(["--quick", "--json", file])
      assert.strictEqual(code, 0, stderr)
      const { crashes, mixes } = JSON.parse(readFileSync(file, "utf8")) as Measurements
      assert.lengthOf(crashes, 2)
      for (const { chains } of crashes) assert.lengthOf(chains, 1)
      assert.isAbove(mixes[0]!.rounds[0]!.perSecond, 0)
      assert.strictEqual(mixes[0]!.rounds[0]!.overlaps, 0)
    }).pipe(Effect.scoped)
  )
})

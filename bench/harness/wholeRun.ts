/** Runs a program of a benchmark as a whole, as a user does, for its test: a process of its own that writes what it measured. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** How it ended, and what it wrote as JSON. */
export interface WholeRun {
  readonly code: number | null
  readonly stderr: string
  readonly json: () => unknown
}

/** Runs the program with these flags, and `--json`. An interruption ends it. */
export const wholeRun = Effect.fnUntraced(function* (
  program: URL,
  flags: ReadonlyArray<string>
): Effect.fn.Return<WholeRun, never, Scope.Scope> {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-bench-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const file = join(folder, "run.json")
  const args = [fileURLToPath(program), ...flags, "--json", file]
  return yield* Effect.callback<WholeRun>((resume) => {
    const child = execFile(process.execPath, args, (_error, _stdout, stderr) =>
      resume(Effect.succeed({ code: child.exitCode, stderr, json: () => JSON.parse(readFileSync(file, "utf8")) }))
    )
    return Effect.sync(() => child.kill("SIGINT"))
  })
})

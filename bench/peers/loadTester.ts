/** The load tester's comparison, 4 threads of 8 fibers on one token, as a process of its own. */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Threads } from "./measurements.ts"
import { LoadError } from "../loadError.ts"

/** Runs `npm start -- --compare --json` on a cluster. */
export const compare = (options: {
  readonly kubeConfigFile: string
  readonly namespace: string
  readonly seconds: number
}): Effect.Effect<ReadonlyArray<Threads>, LoadError> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      [
        fileURLToPath(new URL("../main.ts", import.meta.url)),
        "--compare",
        "--json",
        `--duration=${options.seconds * 1000}ms`,
        `--namespace=${options.namespace}`,
        `--kubeconfig=${options.kubeConfigFile}`
      ],
      (error, stdout, stderr) => {
        const line = stdout.trimEnd().split("\n").at(-1) ?? ""
        resume(
          line.startsWith("{")
            ? Effect.succeed((JSON.parse(line) as { readonly runs: ReadonlyArray<Threads> }).runs)
            : Effect.fail(
                new LoadError({ message: `the load tester: ${stderr.trimEnd().split("\n").at(-1) ?? error?.message}` })
              )
        )
      }
    )
    return Effect.sync(() => child.kill("SIGTERM"))
  })

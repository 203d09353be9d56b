/**
 * The last resort against leftovers: a shell that outlives the test run and cleans up after it.
 *
 * It reads the pids to watch over from its standard input. When that ends - the test run was killed, crashed, or called
 * `process.exit` - it kills them and removes the folder. No handler inside the run could do that after a SIGKILL. A
 * scope that closes in order ends the guard instead.
 *
 * Plain `node:child_process`: pids have to be written at once, and the input must not end before the guard does, which
 * a stream that Effect's spawner feeds and interrupts does not give.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"

/** Whom the guard kills when this process is gone. */
export interface Guard {
  readonly watch: (pid: number) => void
  readonly forget: (pid: number) => void
}

/** Starts a guard that also removes `directory`. */
export const make = (directory: string): Effect.Effect<Guard, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        // in a process group of its own: what kills the group of the run must not kill the guard
        const shell = ChildProcess.spawn("sh", ["-c", script, "sh", directory], {
          detached: true,
          stdio: ["pipe", "ignore", "ignore"]
        })
        shell.on("error", ignore)
        shell.stdin.on("error", ignore)
        return shell
      }),
      (shell) =>
        Effect.callback<void>((resume) => {
          if (shell.exitCode !== null || shell.signalCode !== null || !shell.kill("SIGKILL")) return resume(Effect.void)
          shell.once("exit", () => resume(Effect.void))
        })
    ),
    (shell) => {
      const pids = new Set<number>()
      const tell = () => void shell.stdin.write(`${[...pids].join(" ")}\n`)
      return {
        watch: (pid) => {
          pids.add(pid)
          tell()
        },
        forget: (pid) => {
          pids.delete(pid)
          tell()
        }
      }
    }
  )

const ignore = () => {}

const script = `
trap "" HUP INT TERM
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -KILL $pids
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
`

/**
 * Cleans up if the test run cannot: a shell that outlives it.
 *
 * The shell reads the pids to watch over from its standard input. The input ends when the test run is killed, crashes or
 * calls `process.exit`. The shell then kills those processes and removes the folder. No handler inside the run could do
 * this after a SIGKILL. A scope that closes in order ends the shell instead.
 *
 * This uses `node:child_process` itself: the pids must be written at once, and the input must not end before the shell
 * does. Effect's spawner feeds the input from a stream and interrupts it, which guarantees neither.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"

/** The processes that are killed when this process is gone. */
export interface Guard {
  readonly watch: (pid: number) => void
  readonly forget: (pid: number) => void
}

/** Starts a guard that also removes `directory`. */
export const make = (directory: string): Effect.Effect<Guard, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        // In a process group of its own: a signal to the group of the test run must not kill the guard.
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

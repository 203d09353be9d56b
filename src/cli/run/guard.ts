/**
 * What ends a command whose `kubelock` died: a shell that reads from a pipe.
 *
 * Whatever kills `kubelock` also closes the pipe. The lease outlasts it by no less than the grace, so the command has ended before
 * somebody else can have the lock. The guard ends with the command: later on its ID can be that of another process.
 */
import * as Duration from "effect/Duration"
import { spawn } from "node:child_process"

const script = `read -r target || exit
read -r _ && exit
kill -s TERM -- "$target"; kill -s CONT -- "$target"
left=$1
while [ "$left" -gt 0 ]; do
  kill -s 0 -- "$target" || exit
  sleep 1
  left=$((left - 1))
done
kill -s KILL -- "$target"`

/** A guard. `watch` tells it what to end: a process, or a group by the negative ID. `dismiss` ends it. */
export interface Guard {
  readonly watch: (target: number) => void
  readonly dismiss: () => void
}

/** Starts a guard. Without a shell there is none. */
export const start = (grace: Duration.Duration): Guard => {
  const seconds = String(Math.floor(Duration.toSeconds(grace)))
  const shell = spawn("/bin/sh", ["-c", script, "kubelock-guard", seconds], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true
  })
  const nothing = () => {}
  shell.on("error", nothing)
  shell.stdin.on("error", nothing)
  shell.unref()
  return {
    watch: (target) => void shell.stdin.write(`${target}\n`),
    dismiss: () => void shell.stdin.end("\n")
  }
}

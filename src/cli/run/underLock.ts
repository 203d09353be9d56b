/** A command under a lock that is held: what its environment says of the lock, and which signals reach it. */
import * as Effect from "effect/Effect"
import type { Ended } from "../exitCodes.ts"
import * as signals from "../signals.ts"
import * as child from "./child.ts"

/** A lock that is held, whatever its kind. */
export interface Subject {
  readonly holderId: string
  readonly fencingToken: bigint
  readonly isValid: Effect.Effect<boolean>
}

/** Runs a command under the lock `name`, and succeeds with its exit code. An interruption ends the command. */
export const run = (
  line: child.CommandLine,
  name: string,
  { fencingToken, holderId, isValid }: Subject,
  { environment, foreground, grace }: child.Options
): Effect.Effect<number, Ended> =>
  Effect.scoped(
    Effect.gen(function* () {
      let send: child.Child["send"] | undefined
      const early: Array<NodeJS.Signals> = []
      yield* signals.divert(foreground ? [] : others, (signal) => {
        if (send === undefined) early.push(signal)
        else forward(signal, send, foreground, isValid)
      })
      const running = yield* child.start(line, {
        foreground,
        grace,
        environment: {
          KUBELOCK_HELD: "true",
          KUBELOCK_ID: name,
          KUBELOCK_HOLDER: holderId,
          KUBELOCK_FENCING_TOKEN: String(fencingToken),
          ...environment
        }
      })
      send = running.send
      for (const signal of early) forward(signal, send, foreground, isValid)
      const code = yield* running.ended
      // A signal that the command got too, as Ctrl-C with --foreground, can arrive here later than its end.
      yield* signals.ignoreFirst
      return code
    })
  )

/** The signals that do not end this program, and are forwarded. A terminal sends them to all of its foreground. */
const others = ["SIGWINCH", "SIGTSTP", "SIGCONT"] as const

const forward = (
  signal: NodeJS.Signals,
  send: child.Child["send"],
  foreground: boolean,
  isValid: Effect.Effect<boolean>
): void => {
  switch (signal) {
    // A program in a session of its own does not stop for a terminal.
    case "SIGTSTP":
      send("SIGSTOP")
      process.kill(process.pid, "SIGSTOP")
      return
    // A command that was stopped for too long has lost the lock, and is ended.
    case "SIGCONT":
      if (Effect.runSync(isValid)) send(signal)
      return
    // A terminal sends these to all of its foreground, too.
    case "SIGINT":
    case "SIGQUIT":
      if (!foreground) send(signal)
      return
    default:
      send(signal)
  }
}

/** The command that runs under a lock: a process, all that it starts, and what becomes of them. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { Ended, exitCodeOf, exitCodes } from "../exitCodes.ts"
import * as guard from "./guard.ts"

/** A command and its arguments. */
export type CommandLine = readonly [file: string, ...args: ReadonlyArray<string>]

/**
 * How a command is run.
 *
 * - `environment`: what is added to the environment of this program.
 * - `foreground`: whether it shares the terminal of this program. Otherwise it has a session of its own, so that all that it starts can
 *   be ended with it.
 * - `grace`: how long it has to end by itself.
 */
export interface Options {
  readonly environment: Readonly<Record<string, string>>
  readonly foreground: boolean
  readonly grace: Duration.Duration
}

/** A command that runs. `ended` is its exit code. `send` sends a signal to it and to all that it started. */
export interface Child {
  readonly ended: Effect.Effect<number>
  readonly send: (signal: NodeJS.Signals) => void
}

/**
 * Starts a command. If it still runs when the scope closes, it is ended: by SIGTERM, and after the grace by SIGKILL. The same happens if
 * this program dies.
 */
export const start = (line: CommandLine, options: Options): Effect.Effect<Child, Ended, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(spawned(line, options), (running) => stop(running, options.grace)),
    ({ ended, target }) => ({ ended: Deferred.await(ended), send: (signal) => void send(target, signal) })
  )

/** A process. `target` is what signals are sent to: its ID, or the negative one of its group. */
interface Running {
  readonly target: number
  readonly ended: Deferred.Deferred<number>
}

const spawned = ([file, ...args]: CommandLine, { environment, foreground, grace }: Options) =>
  Effect.callback<Running, Ended>((resume) => {
    const ended = Deferred.makeUnsafe<number>()
    const watchman = guard.start(grace)
    const fail = (error: unknown) => {
      watchman.dismiss()
      resume(Effect.fail(notStarted(file, error)))
    }
    try {
      const child = spawn(file, args, {
        stdio: "inherit",
        detached: !foreground,
        env: { ...process.env, ...environment }
      })
      child.on("error", fail)
      if (child.pid === undefined) return
      const target = foreground ? child.pid : -child.pid
      watchman.watch(target)
      child.once("exit", (code, signal) => {
        watchman.dismiss()
        Deferred.doneUnsafe(ended, Exit.succeed(signal === null ? code! : exitCodeOf(signal)))
      })
      resume(Effect.succeed({ target, ended }))
    } catch (error) {
      fail(error)
    }
  })

const stop = ({ ended, target }: Running, grace: Duration.Duration): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (Deferred.isDoneUnsafe(ended)) return
    send(target, "SIGTERM")
    // A process that is stopped does not end before it goes on.
    send(target, "SIGCONT")
    yield* Effect.sleep(lookEvery).pipe(Effect.repeat({ while: () => isAlive(target) }), Effect.timeoutOption(grace))
    send(target, "SIGKILL")
    yield* Deferred.await(ended)
  })

/** How often this program looks whether the command has ended. Our choice. */
const lookEvery = "20 millis"

const isAlive = (target: number): boolean => send(target, 0)

const send = (target: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(target, signal)
  } catch {
    return false
  }
}

const notStarted = (file: string, error: unknown): Ended => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "an unknown error"
  return code === "ENOENT"
    ? new Ended({ code: exitCodes.notFound, message: `${file}: command not found.` })
    : new Ended({
        code: exitCodes.notExecutable,
        message: `${file}: cannot be executed (${code}).`
      })
}

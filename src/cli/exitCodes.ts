/** How `kubelock` ends. */
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"
import { constants } from "node:os"

/**
 * The exit codes of `kubelock` itself. Those of a command that it runs are the command's own.
 *
 * 1 is that of kubectl, 64, 69 and 75 are those of sysexits(3), 126 and 127 those of a shell, 99 is that of k6.
 */
export const exitCodes = {
  notThere: 1,
  usage: 64,
  api: 69,
  notHad: 75,
  lost: 76,
  missed: 99,
  notExecutable: 126,
  notFound: 127
} as const

/** The exit code of a program that a signal ended, as shells have it. */
export const exitCodeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

/** The end of the program with an exit code, and with one line about it if there is a message. */
export class Ended extends Data.TaggedError("Ended")<{ readonly code: number; readonly message: string }> {
  override readonly [Runtime.errorReported] = this.message !== ""
}

/** The end with an exit code of which nothing is to be said. */
export const silently = (code: number): Ended => new Ended({ code, message: "" })

/** The end of an invocation that makes no sense. */
export const misused = (message: string): Ended => new Ended({ code: exitCodes.usage, message })

/** What the signals do that the program receives. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { exitCodeOf } from "./exitCodes.ts"

// Without a listener SIGUSR1 would open the debugger of Node.js, and the others would end the program at once.
const ending = ["SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"] as const

let diverted: ((signal: NodeJS.Signals) => void) | undefined
let received: NodeJS.Signals | undefined
let onFirst = () => {}

/** From now on the first signal that ends a program interrupts this one, and the second ends it at once. */
export const interruptWith = (interrupt: () => void): void => {
  onFirst = interrupt
  for (const signal of ending) {
    process.on(signal, () => {
      if (diverted !== undefined) diverted(signal)
      else if (received !== undefined) process.exit(exitCodeOf(signal))
      else {
        received = signal
        onFirst()
      }
    })
  }
}

/** From now on the first one does nothing: the program ends, and its exit code is known. */
export const ignoreFirst: Effect.Effect<void> = Effect.sync(() => {
  onFirst = () => {}
})

/** The exit code after a signal has interrupted the program. */
export const exitCode = (): number => exitCodeOf(received ?? "SIGINT")

/** Until the scope closes, signals that end a program go to a function instead. So do `others`. */
export const divert = (
  others: ReadonlyArray<NodeJS.Signals>,
  handle: (signal: NodeJS.Signals) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      diverted = handle
      for (const signal of others) process.on(signal, handle)
    }),
    () =>
      Effect.sync(() => {
        diverted = undefined
        for (const signal of others) process.off(signal, handle)
      })
  )

/** Waits for the next signal that ends a program. Until the scope closes, none ends this one. */
export const next: Effect.Effect<Effect.Effect<void>, never, Scope.Scope> = Effect.gen(function* () {
  const received = yield* Deferred.make<void>()
  yield* divert([], () => Deferred.doneUnsafe(received, Exit.void))
  return Deferred.await(received)
})

/**
 * Ends the process on the second signal.
 *
 * `NodeRuntime.runMain` turns the first SIGINT or SIGTERM into an interruption. Scopes close, and every held lock is
 * released before the process ends. If the API server is unreachable, this takes several seconds, and further signals
 * have no effect. With this layer the second signal ends the process at once, as it does in most programs.
 *
 * A lock that was not released becomes free when its lease expires.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const

let installed = false

/**
 * Makes the second SIGINT or SIGTERM end the process at once, with exit code 130 or 143.
 *
 * It installs signal handlers and never removes them. Use it only in the main program.
 */
export const layer: Layer.Layer<never> = Layer.effectDiscard(
  Effect.sync(() => {
    if (installed) return
    installed = true
    let signals = 0
    for (const [signal, exitCode] of Object.entries(exitCodes)) {
      process.on(signal, () => {
        signals++
        if (signals > 1) process.exit(exitCode)
      })
    }
  })
)

/**
 * What a second signal does.
 *
 * `NodeRuntime.runMain` turns the first SIGINT or SIGTERM into an interruption: scopes close, and every held lock is
 * released before the process ends. Where the API server is out of reach that takes some seconds, and further signals
 * change nothing. This layer gives the second signal the meaning that it has elsewhere: end now.
 *
 * A lock that could not be released frees itself when its lease runs out.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const

let installed = false

/**
 * From its building on, the second SIGINT or SIGTERM ends the process at once, with exit code 130 or 143.
 *
 * It installs signal handlers, and they stay for good: meant for main programs.
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

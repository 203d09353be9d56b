/** The faults of holders. Each lasts for a time and then ends. Those of the servers are in `houses.ts`. */
import * as Effect from "effect/Effect"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import type { Holder } from "./arena.ts"
import * as Faketime from "./faketime.ts"
import type { Mode } from "./proxy.ts"
import * as settings from "./settings.ts"

/** A fault of a holder. `millis`: the shortest and the longest duration. */
export interface HolderInjection {
  readonly kind: string
  readonly millis: readonly [number, number]
  readonly possible?: (holder: Holder) => boolean
  readonly run: (holder: Holder, millis: number) => Effect.Effect<void, EnvtestError>
}

const proxied = (kind: string, millis: readonly [number, number], mode: Mode): HolderInjection => ({
  kind,
  millis,
  run: ({ proxy }, millis) =>
    Effect.ensuring(Effect.andThen(proxy.set(mode), Effect.sleep(millis)), proxy.set({ _tag: "Open" }))
})

const pastTtl = [settings.takeOver - 1000, settings.takeOver + 1000] as const

export const crash = "holder killed (SIGKILL) and started again"
export const stall = "holder's event loop blocked past its TTL, with a thread for its session"

export const onHolder: ReadonlyArray<HolderInjection> = [
  {
    kind: crash,
    millis: [200, 1500],
    run: (holder, millis) => holder.crash.pipe(Effect.andThen(Effect.sleep(millis)), Effect.andThen(holder.again))
  },
  {
    kind: "holder suspended past its TTL (SIGSTOP, SIGCONT)",
    millis: pastTtl,
    run: ({ process }, millis) => Effect.ensuring(Effect.andThen(process.pause, Effect.sleep(millis)), process.resume)
  },
  {
    kind: stall,
    millis: [settings.stall, settings.stall],
    possible: ({ thread }) => thread,
    run: ({ process }, millis) => Effect.andThen(process.signal("SIGUSR2"), Effect.sleep(millis))
  },
  {
    kind: "holder's wall clock stepped",
    millis: [0, 1200],
    possible: ({ clock }) => clock !== undefined,
    run: ({ clock }, millis) =>
      Effect.sync(() => Faketime.set(clock!, Math.round((millis - 600) * 1.5))).pipe(
        Effect.andThen(Effect.sleep("1 second"))
      )
  },
  proxied("connections cut and refused", [500, 4000], { _tag: "Cut" }),
  proxied("blackhole past the TTL", pastTtl, { _tag: "Blackhole" }),
  proxied("answers lost", [500, 4000], { _tag: "LoseAnswers" }),
  proxied("held back past the TTL, then delivered", pastTtl, { _tag: "HoldBack" }),
  proxied("400 ms of delay each way", [2000, 5000], { _tag: "Slow", millis: 400 })
]

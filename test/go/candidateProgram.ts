/** What the candidates in TypeScript share: their flags, which are those of the elector in Go, and how they say that they lead. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { now, tell } from "./events.ts"

const { values } = parseArgs({
  options: {
    kubeconfig: { type: "string", default: "" },
    namespace: { type: "string", default: "default" },
    name: { type: "string", default: "" },
    identity: { type: "string", default: "" },
    "lease-duration": { type: "string", default: "15000ms" },
    "renew-deadline": { type: "string", default: "10000ms" },
    "retry-period": { type: "string", default: "2000ms" },
    "release-on-cancel": { type: "boolean", default: false },
    term: { type: "string", default: "0ms" }
  }
})

const duration = (text: string): Duration.Duration => Duration.millis(Number.parseInt(text, 10))

/** The flags. Durations are in whole milliseconds: `15000ms`. `term`: it steps down after leading for so long, unless it is 0. */
export const flags = {
  kubeconfig: values.kubeconfig,
  namespace: values.namespace,
  name: values.name,
  identity: values.identity,
  leaseDuration: duration(values["lease-duration"]),
  renewDeadline: duration(values["renew-deadline"]),
  retryPeriod: duration(values["retry-period"]),
  releaseOnCancel: values["release-on-cancel"],
  term: duration(values.term)
}

/** Says that it leads until it is interrupted. `isValid`: whether the term is valid at that moment. */
export const lead = (isValid: Effect.Effect<boolean>, token?: bigint): Effect.Effect<never> =>
  Effect.gen(function* () {
    tell({ event: "started", at: now(), ...(token === undefined ? {} : { token: String(token) }) })
    while (true) {
      yield* Effect.sleep("10 millis")
      const at = now()
      if (yield* isValid) tell({ event: "leading", at })
    }
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => tell({ event: "stopped", at: now() }))))

/** Never ends if there is no limit to a term. */
export const term: Effect.Effect<void> = Duration.isZero(flags.term) ? Effect.never : Effect.sleep(flags.term)

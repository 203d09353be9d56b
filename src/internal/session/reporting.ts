/** A line of log for the first failure that no repetition mends, such as rights that are missing. */
import * as Effect from "effect/Effect"
import type { StoreError } from "../../LockError.ts"
import { quiet } from "../tracing.ts"

/** Makes what reports failures. `consequence` is a sentence. The message of the failure follows it. */
export const make = (consequence: string): ((error: StoreError) => Effect.Effect<void>) => {
  let hasReported = false
  return (error) =>
    Effect.suspend(() => {
      if (hasReported || error._tag === "LockUnavailable") return Effect.void
      hasReported = true
      return quiet(Effect.logWarning(`${consequence} ${error.message}`))
    })
}

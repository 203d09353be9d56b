/**
 * What a holder tells the witness.
 *
 * `at` is in milliseconds on the machine's monotonic clock, which all processes share, whatever their wall clocks show.
 */
import * as Schema from "effect/Schema"

const about = {
  /** The process. */
  name: Schema.String,
  /** The acquisition. */
  holder: Schema.String,
  token: Schema.BigIntFromString,
  at: Schema.Finite
}

/**
 * A write to what the lock protects; the first and the last of a stay are `Enter` and `Leave`.
 *
 * - `checked`: at `at` the holder's lock was valid by its own judgement. `at` was read before `isValid` was, so that a
 *   suspension between the two does no wrong.
 * - `fenced`: the fencing token is to be looked at.
 */
export const Claim = Schema.TaggedStruct("Claim", {
  ...about,
  step: Schema.Literals(["Enter", "Write", "Leave"]),
  checked: Schema.Boolean,
  fenced: Schema.Boolean
})
export type Claim = typeof Claim.Type

/** How a stay ended that did not come to its `Leave`. `reason` is that of the loss. */
export const Ending = Schema.TaggedStruct("Ending", {
  ...about,
  how: Schema.Literals(["Lost", "Refused", "Interrupted"]),
  reason: Schema.optionalKey(Schema.String)
})
export type Ending = typeof Ending.Type

/** The lock could not be had. */
export const Failure = Schema.TaggedStruct("Failure", { name: Schema.String, tag: Schema.String })

export const Testimony = Schema.Union([Claim, Ending, Failure])
export type Testimony = typeof Testimony.Type

/** Now, in milliseconds. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/**
 * What a holder reports to the witness.
 *
 * `at` is in milliseconds on the machine's monotonic clock. All processes share that clock, however their wall clocks
 * are set.
 */
import * as Schema from "effect/Schema"

const about = {
  /** The process. */
  name: Schema.String,
  /** The acquisition. */
  holder: Schema.String,
  /** Its fencing token. A shard has none. */
  token: Schema.optionalKey(Schema.BigIntFromString),
  /** The number of the shard, if it is one. */
  shard: Schema.optionalKey(Schema.Int),
  at: Schema.Finite
}

/**
 * A write to what the lock protects. The first and the last of a stay are `Enter` and `Leave`.
 *
 * - `checked`: the holder's own check said that its lock was valid at `at`. The holder read `at` before it called
 *   `isValid`, so a suspension between the two cannot make the claim wrong.
 * - `fenced`: the witness checks the fencing token, if there is one.
 * - `permits`: how many permits the holder has. A lock has one, which is all.
 * - `due`: the time at which the run is due that the writes are the work of, in seconds. Only `Once` has runs.
 * - `machine`: the machine id of the runner. Only a runner with shards has one.
 */
export const Claim = Schema.TaggedStruct("Claim", {
  ...about,
  step: Schema.Literals(["Enter", "Write", "Leave"]),
  checked: Schema.Boolean,
  fenced: Schema.Boolean,
  permits: Schema.optionalKey(Schema.Int),
  due: Schema.optionalKey(Schema.Int),
  machine: Schema.optionalKey(Schema.Int)
})
export type Claim = typeof Claim.Type

/** The end of a stay that has no `Leave`. `reason` is the reason of the loss. */
export const Ending = Schema.TaggedStruct("Ending", {
  ...about,
  how: Schema.Literals(["Lost", "Refused", "Interrupted"]),
  reason: Schema.optionalKey(Schema.String)
})
export type Ending = typeof Ending.Type

/**
 * What a process was told of the run that is due at a time: that its own work was recorded, which it did as `holder`, or without
 * `holder` that the run was done before.
 */
export const Run = Schema.TaggedStruct("Run", {
  name: Schema.String,
  due: Schema.Int,
  at: Schema.Finite,
  holder: Schema.optionalKey(Schema.String)
})
export type Run = typeof Run.Type

/** An acquisition that failed, or a refresh that went wrong (`revivedTag`). */
export const Failure = Schema.TaggedStruct("Failure", { name: Schema.String, tag: Schema.String })

/** The tag of a refresh that named a shard which its runner had lost. */
export const revivedTag = "Revived"

export const Testimony = Schema.Union([Claim, Ending, Run, Failure])
export type Testimony = typeof Testimony.Type

/** Now, in milliseconds. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

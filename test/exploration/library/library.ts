/**
 * The library's machines (`src/internal/protocol`) in the world's numbers, one file each.
 *
 * Each function makes the state of a machine from what a contender knows, takes the library's own step, and translates the command
 * back. What does not matter for safety is left out of the states, so that more of them are one: how long waits and back-offs last,
 * how often a contender has tried, which version it knows. A wait may end at any time.
 */
import type { ConditionalPatch } from "../../../src/ObjectStore.ts"
import { type Actor, holds } from "../world.ts"
import * as acquisition from "./acquisition.ts"
import * as commit from "./commit.ts"
import * as holding from "./holding.ts"
import * as ports from "./port.ts"
import * as release from "./release.ts"

/** The library, as it is or with a mutation. */
export interface Library {
  readonly acquisition: ReturnType<typeof acquisition.make>
  readonly holding: ReturnType<typeof holding.make>
  readonly release: ReturnType<typeof release.make>
  readonly commit: ReturnType<typeof commit.make>
  /** What arrives of a write that no machine commands. */
  readonly sent: (index: number, write: ConditionalPatch) => ports.Sent
  /** Whether a write replaces all annotations. */
  readonly replacesAll: boolean
  readonly hasConstantToken: boolean
  /** Whether a contender takes its lock to be valid. */
  readonly isValid: (actor: Actor) => boolean
}

/** Makes a library. */
export const make = (options: ports.Options): Library => {
  const { constantToken, wipes } = options.mutation
  const port = ports.make(options)
  const holder = holding.make(options, port)
  return {
    acquisition: acquisition.make(options, port),
    holding: holder,
    release: release.make(options, port),
    commit: commit.make(options, port),
    sent: (index, write) => port(index, 0).send(write),
    replacesAll: wipes?.("example.com/stranger", "acquire") ?? false,
    hasConstantToken: constantToken ?? false,
    isValid: (actor) => actor.kind === "kubelock" && holds(actor.stage) && holder.isValid(actor)
  }
}

/**
 * The witness: sees at every moment who believes to hold the lock.
 *
 * It asks every holder's `isValid`, all in the same moment, which reads that holder's clocks and nothing else. A holder
 * can come to be valid only by running, and whatever runs ends in a request, a sleep or a grant: looking then misses
 * nothing. Nobody is made to hurry or to wait by it.
 */
import * as Effect from "effect/Effect"
import type { Held } from "../../src/Held.ts"
import { processOf, type Recorder } from "./history.ts"

/** What a holder believes. */
type Belief = Pick<Held, "isValid" | "fencingToken">

/** The witness. */
export interface Witness {
  /** From now on looks at this holder too. */
  readonly follow: (acquisition: string, held: Belief) => void
  /** Looks no more at an acquisition that was released, or at a process that crashed: what it believes is of no account. */
  readonly forget: (who: string) => void
  /** Looks at everybody, and takes down whoever became valid or ceased to be; the latter first. */
  readonly look: () => void
}

/** How often, in milliseconds, it is to look besides: so late may it see at most that a holder has ceased to be valid. */
export const sight = 250

/** Makes one. */
export const make = (recorder: Recorder): Witness => {
  const followed = new Map<string, { readonly held: Belief; valid: boolean }>()

  const look = () => {
    const changed = [...followed].filter(([, one]) => Effect.runSync(one.held.isValid) !== one.valid)
    for (const [acquisition, one] of changed.toSorted(([, a], [, b]) => Number(b.valid) - Number(a.valid))) {
      one.valid = !one.valid
      recorder.record(
        processOf(acquisition),
        one.valid ? { _tag: "Valid", acquisition, token: one.held.fencingToken } : { _tag: "Invalid", acquisition }
      )
    }
  }

  return {
    look,
    follow: (acquisition, held) => {
      followed.set(acquisition, { held, valid: false })
      look()
    },
    forget: (who) => {
      look()
      for (const [acquisition, { valid }] of followed) {
        const process = processOf(acquisition)
        if (acquisition !== who && process !== who) continue
        if (valid) recorder.record(process, { _tag: "Invalid", acquisition })
        followed.delete(acquisition)
      }
    }
  }
}

/**
 * A provider of rotating tokens, as an OpenID provider is one: whoever spends the current value gets the next one, and a value
 * that is spent twice would cost the grant. It plays on after that, so that one run can find more than one.
 */
import { now } from "./testimony.ts"

/** A value that was spent again: by whom first, and after how many milliseconds. */
export interface Reuse {
  readonly generation: number
  readonly first: string
  readonly second: string
  readonly after: number
}

/** Plain data, no clock but the machine's. */
export class Provider {
  readonly #spent = new Map<number, { readonly by: string; readonly at: number }>()
  readonly reuses: Array<Reuse> = []
  rotations = 0

  /** The processes that spent values, each value once. */
  get spenders(): ReadonlySet<string> {
    return new Set([...this.#spent.values()].map(({ by }) => by))
  }

  /** Spends the value of a generation (0 at first), and answers the generation of the next one. */
  spend(by: string, generation: number): number {
    const at = now()
    const earlier = this.#spent.get(generation)
    if (earlier === undefined) {
      this.#spent.set(generation, { by, at })
      this.rotations++
      return generation + 1
    }
    this.reuses.push({ generation, first: earlier.by, second: by, after: at - earlier.at })
    return Math.max(...this.#spent.keys()) + 1
  }
}

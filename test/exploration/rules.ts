/** By which rules a world goes on, and what an action is. */
import type { Library } from "./library/library.ts"
import type { Actor, World } from "./world.ts"

/**
 * The rules of a world.
 *
 * - `library`: how kubelock behaves.
 * - `dexAhead`: by how many ticks Dex's clock is ahead of the server's.
 * - `sharedWithDex`: whether Dex shares the object.
 * - `renews`: whether a holder renews its lease.
 * - `commits`: whether a holder may end with a commit.
 * - `foresight`: whether to blame a holder that relies on its lock for longer than it stands, before another takes advantage.
 */
export interface Rules {
  readonly library: Library
  readonly dexAhead: number
  readonly sharedWithDex: boolean
  readonly renews: boolean
  readonly commits: boolean
  readonly foresight: boolean
}

/** What can be done in a world. `index` is the contender, `detail` tells actions of one name apart. */
export interface Action {
  readonly name: string
  readonly index: number
  readonly detail: number
}

/** Takes an action and what it leads to; with a violation if it is one. */
export type Emit = (action: Action, next: World, violation?: string | undefined) => void

/** Takes what a contender may be next. */
export type To = (name: string, next: Actor, violation?: string, detail?: number) => void

/** The violation of a fencing token that does not grow. */
export const tokenIsNoGreater = "a fencing token is no greater than that of an acquisition before it"

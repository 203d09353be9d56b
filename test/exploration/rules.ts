/** By which rules a world goes on, and what an action is. */
import type { Behaviour } from "./behaviour.ts"
import type { Actor, World } from "./world.ts"

/** How the contenders behave. */
export interface Rules {
  readonly behaviour: Behaviour
  /** By how many ticks Dex's clock is ahead of the server's. */
  readonly dexAhead: number
  /** Whether a lock that went from hand to hand for a second is left free for a moment. */
  readonly sharedWithDex: boolean
  /** Whether a holder may end with a commit: the lock is given up by a write that its holder waits for while it holds. */
  readonly commits: boolean
  /** Whether a holder renews its lease. */
  readonly renews: boolean
  /** Whether to blame a holder that relies on its lock for longer than it stands, before another takes advantage. */
  readonly foresight: boolean
}

/** What can be done in a world. `index` is the contender, `detail` tells apart what it could do otherwise. */
export interface Action {
  readonly name: string
  readonly index: number
  readonly detail: number
}

/** Takes an action and what it leads to; with a violation if it is one. */
export type Emit = (action: Action, next: World, violation?: string | undefined) => void

/** Takes what a contender may be next. */
export type To = (name: string, next: Actor, violation?: string, detail?: number) => void

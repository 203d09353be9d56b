/** The mutations that the exploration must find, each in its world. */
import { mutations as all, twoAtOnce } from "../mutations/mutations.ts"
import type { Setting } from "./search.ts"
import { setting } from "./worlds.ts"

/** A mutated world: what the exploration must find, and after how many actions. */
export interface MutatedWorld extends Setting {
  readonly breaks: string
  readonly depth: number
}

/** The mutated worlds. */
export const mutations: ReadonlyArray<MutatedWorld> = all.flatMap(({ exploration = [], how, name: title }) =>
  exploration.map(({ breaks, depth, in: place, how: own, name = title }) => ({
    ...setting(name, place, breaks !== twoAtOnce, { ...how, ...own }),
    breaks,
    depth
  }))
)

/** The worlds that are explored, and how deep: together a few seconds. */
import { kubelock } from "./behaviour.ts"
import type { Rules } from "./contender.ts"
import type { Setting } from "./search.ts"
import type { Cast } from "./world.ts"

export interface ExploredWorld extends Setting {
  /** How deep `npm test` goes. */
  readonly depth: number
}

type Place = Cast & Partial<Pick<Rules, "dexAhead" | "commits">>

const explored = (title: string, depth: number, place: Place): ExploredWorld => ({
  title,
  depth,
  dexAhead: 0,
  commits: false,
  ...place,
  behaviour: kubelock,
  foresight: true
})

export const worlds: ReadonlyArray<ExploredWorld> = [
  explored("one kubelock", 17, { actors: ["kubelock"] }),
  explored("two kubelocks", 14, { actors: ["kubelock", "kubelock"] }),
  explored("two kubelocks that may commit", 11, { actors: ["kubelock", "kubelock"], commits: true }),
  explored("three kubelocks", 11, { actors: ["kubelock", "kubelock", "kubelock"] }),
  explored("two kubelocks and an operator", 11, { actors: ["kubelock", "kubelock", "operator"] }),
  explored("two kubelocks and a Dex", 10, { actors: ["kubelock", "kubelock", "dex"] }),
  explored("a kubelock and a Dex three seconds ahead", 13, { actors: ["kubelock", "dex"], dexAhead: 3, commits: true }),
  explored("two kubelocks, a Dex three seconds ahead, an operator and strangers", 8, {
    actors: ["kubelock", "kubelock", "dex", "operator"],
    strangers: 1,
    scribbles: 1,
    dexAhead: 3
  })
]

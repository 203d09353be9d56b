/** The worlds that are explored, and how deep: together some seconds. */
import { acquires, handsOver, isAwaited, isAwaitedByTwo, isLeftFree, queues, renews } from "./beginnings.ts"
import { kubelock } from "./behaviour.ts"
import type { Setting } from "./search.ts"
import type { Cast } from "./world.ts"

export interface ExploredWorld extends Setting {
  /** How deep `npm test` goes. */
  readonly depth: number
}

type Place = Cast & Partial<Pick<Setting, "dexAhead" | "sharedWithDex" | "commits" | "renews" | "before" | "calmTo">>

const explored = (title: string, depth: number, place: Place): ExploredWorld => ({
  title,
  depth,
  dexAhead: 0,
  sharedWithDex: place.actors.includes("dex"),
  commits: false,
  renews: true,
  calmTo: depth - 3,
  ...place,
  behaviour: kubelock,
  foresight: true
})

export const worlds: ReadonlyArray<ExploredWorld> = [
  explored("one kubelock", 15, { actors: ["kubelock"] }),
  explored("one kubelock that does not renew", 16, { actors: ["kubelock"], renews: false }),
  explored("two kubelocks", 11, { actors: ["kubelock", "kubelock"] }),
  explored("two kubelocks that may commit", 10, { actors: ["kubelock", "kubelock"], commits: true }),
  explored("three kubelocks", 9, { actors: ["kubelock", "kubelock", "kubelock"] }),
  explored("two kubelocks and an operator", 9, { actors: ["kubelock", "kubelock", "operator"] }),
  explored("two kubelocks and a Dex", 9, { actors: ["kubelock", "kubelock", "dex"] }),
  explored("a kubelock and a Dex three seconds ahead", 11, { actors: ["kubelock", "dex"], dexAhead: 3, commits: true }),
  explored("two kubelocks, a Dex three seconds ahead, an operator and strangers", 7, {
    actors: ["kubelock", "kubelock", "dex", "operator"],
    strangers: 1,
    scribbles: 1,
    dexAhead: 3
  }),
  explored("a holder, and one who waits without its knowing", 8, {
    actors: ["kubelock", "kubelock"],
    before: [...acquires(0), ...queues(1)]
  }),
  explored("a holder that may commit, and one who waits", 7, {
    actors: ["kubelock", "kubelock"],
    commits: true,
    before: isAwaited
  }),
  explored("a holder, one who waits, and a newcomer", 7, {
    actors: ["kubelock", "kubelock", "kubelock"],
    before: isAwaited
  }),
  explored("two who wait, the first of them named", 9, {
    actors: ["kubelock", "kubelock", "kubelock"],
    before: [...isAwaitedByTwo, ...handsOver(0)]
  }),
  explored("one who is named, and a Dex three seconds ahead", 9, {
    actors: ["kubelock", "kubelock", "dex"],
    dexAhead: 3,
    before: [...isAwaited, ...handsOver(0)]
  }),
  explored("one who is named, one who waits, and an operator", 7, {
    actors: ["kubelock", "kubelock", "kubelock", "operator"],
    before: [...isAwaitedByTwo, ...handsOver(0)]
  }),
  explored("a holder that is wanted again in its process, and one who waits", 7, {
    actors: ["kubelock", "again", "kubelock"],
    before: [...acquires(0), ...queues(2), ...renews(0)]
  }),
  explored("a holder, one who waits, and an operator", 7, {
    actors: ["kubelock", "kubelock", "operator"],
    before: isAwaited
  }),
  explored("a holder, one who waits, and a Dex", 7, {
    actors: ["kubelock", "kubelock", "dex"],
    before: isAwaited
  }),
  explored("a lock left free beside Dex, one who waits for it, and two newcomers", 8, {
    actors: ["kubelock", "kubelock", "kubelock", "kubelock", "kubelock"],
    sharedWithDex: true,
    before: isLeftFree(2)
  }),
  explored("a lock left free beside Dex, two who wait for it, and Dex", 8, {
    actors: ["kubelock", "kubelock", "kubelock", "kubelock", "dex"],
    before: isLeftFree(2, 3)
  }),
  explored("a holder, one who waits, and a vandal", 6, {
    actors: ["kubelock", "kubelock"],
    vandals: 1,
    before: isAwaited
  }),
  explored("one who is named, one who waits, and a vandal", 7, {
    actors: ["kubelock", "kubelock", "kubelock"],
    vandals: 1,
    before: [...isAwaitedByTwo, ...handsOver(0)]
  })
]

/** The worlds that are explored, and how deep: together some seconds. */
import {
  acquires,
  commits,
  handsOver,
  isAwaited,
  isAwaitedByTwo,
  isLeftFree,
  queues,
  renews,
  twoHaveDied
} from "./beginnings.ts"
import * as library from "./library/library.ts"
import type { Mutation } from "./library/port.ts"
import type { Setting } from "./search.ts"
import { type Cast, neutralOf } from "./world.ts"

/** A world, and how deep `npm test` goes. */
export interface ExploredWorld extends Setting {
  readonly depth: number
}

/** The contenders, and what differs from a world in which holders renew and do not commit. */
export type Place = Cast &
  Partial<Pick<Setting, "dexAhead" | "sharedWithDex" | "commits" | "renews" | "before" | "calmTo">>

/** A world. `foresight` is explained in `rules.ts`. */
export const setting = (title: string, place: Place, foresight: boolean, mutation: Mutation = {}): Setting => {
  const { actors, renews = true, sharedWithDex = actors.includes("dex") } = place
  return {
    title,
    dexAhead: 0,
    commits: false,
    ...place,
    renews,
    sharedWithDex,
    foresight,
    library: library.make({ neutral: neutralOf(place), renews, sharedWithDex, mutation })
  }
}

const explored = (title: string, depth: number, place: Place): ExploredWorld => ({
  ...setting(title, { calmTo: depth - 3, ...place }, true),
  depth
})

/** The worlds. */
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
  explored("a holder, and a waiter that it does not know of", 8, {
    actors: ["kubelock", "kubelock"],
    before: [...acquires(0), ...queues(1)]
  }),
  explored("a holder that may commit, and a waiter", 7, {
    actors: ["kubelock", "kubelock"],
    commits: true,
    before: isAwaited
  }),
  explored("a commit that arrives late or never, and another contender", 8, {
    actors: ["kubelock", "kubelock"],
    commits: true,
    before: [...acquires(0), ["sends a commit", 0], ["the network loses the answer to", 0]]
  }),
  explored("a commit without an answer, and a commit after it", 6, {
    actors: ["kubelock", "kubelock"],
    commits: true,
    before: [...acquires(0), ...commits(0), ...acquires(1), ...commits(1)]
  }),
  explored("a holder, a waiter and a newcomer", 7, {
    actors: ["kubelock", "kubelock", "kubelock"],
    before: isAwaited
  }),
  explored("a lock handed over to a waiter, and another waiter", 9, {
    actors: ["kubelock", "kubelock", "kubelock"],
    before: [...isAwaitedByTwo, ...handsOver(0)]
  }),
  explored("a holder, a waiter, and two waiters that died together", 7, {
    actors: ["kubelock", "kubelock", "kubelock", "kubelock"],
    before: twoHaveDied
  }),
  explored("a lock handed over to a waiter, and a Dex three seconds ahead", 9, {
    actors: ["kubelock", "kubelock", "dex"],
    dexAhead: 3,
    before: [...isAwaited, ...handsOver(0)]
  }),
  explored("a lock handed over to a waiter, another waiter and an operator", 7, {
    actors: ["kubelock", "kubelock", "kubelock", "operator"],
    before: [...isAwaitedByTwo, ...handsOver(0)]
  }),
  explored("a holder, a contender of the same process, and a waiter", 7, {
    actors: ["kubelock", "again", "kubelock"],
    before: [...acquires(0), ...queues(2), ...renews(0)]
  }),
  explored("a holder, a waiter and an operator", 7, {
    actors: ["kubelock", "kubelock", "operator"],
    before: isAwaited
  }),
  explored("a holder, a waiter and a Dex", 7, {
    actors: ["kubelock", "kubelock", "dex"],
    before: isAwaited
  }),
  explored("a lock left free for Dex, a waiter and two newcomers", 8, {
    actors: ["kubelock", "kubelock", "kubelock", "kubelock", "kubelock"],
    sharedWithDex: true,
    before: isLeftFree(2)
  }),
  explored("a lock left free for Dex, a waiter that is about to lose the race for it, and two newcomers", 6, {
    actors: ["kubelock", "kubelock", "kubelock", "kubelock", "kubelock"],
    sharedWithDex: true,
    before: [
      ...isLeftFree(2),
      ["reads", 3],
      ["sends an acquiring write", 3],
      ["reads", 2],
      ["waits", 2],
      ["reads", 2],
      ["sends an acquiring write", 2],
      ["the server works on the write of", 3]
    ]
  }),
  explored("a lock left free for Dex, two waiters and a Dex", 8, {
    actors: ["kubelock", "kubelock", "kubelock", "kubelock", "dex"],
    before: isLeftFree(2, 3)
  }),
  explored("two kubelocks with different keys", 11, { actors: ["kubelock", "neutral"] }),
  explored("two kubelocks with different keys that may commit", 10, { actors: ["kubelock", "neutral"], commits: true }),
  explored("two kubelocks, one with the neutral key, and an operator", 8, {
    actors: ["kubelock", "operator", "neutral"]
  }),
  explored("a holder with the neutral key, and a waiter of each key", 8, {
    actors: ["kubelock", "neutral", "neutral"],
    before: [...acquires(1), ...queues(0), ...queues(2), ...renews(1)]
  }),
  explored("a lock handed over to a waiter with the neutral key, and another waiter", 9, {
    actors: ["kubelock", "kubelock", "neutral"],
    before: [...acquires(0), ...queues(1), ...queues(2), ...renews(0), ...handsOver(0)]
  }),
  explored("a holder, a contender of the same process, and a waiter with the neutral key", 7, {
    actors: ["kubelock", "again", "neutral"],
    before: [...acquires(0), ...queues(2), ...renews(0)]
  }),
  explored("a holder, a waiter and a vandal", 6, {
    actors: ["kubelock", "kubelock"],
    vandals: 1,
    before: isAwaited
  }),
  explored("a lock handed over to a waiter, another waiter and a vandal", 7, {
    actors: ["kubelock", "kubelock", "kubelock"],
    vandals: 1,
    before: [...isAwaitedByTwo, ...handsOver(0)]
  })
]

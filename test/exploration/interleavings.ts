/** Tests of explored worlds: each keeps its promises, every move there is is made in some of them, and what is wrong is found. */
import { assert, describe, it } from "@effect/vitest"
import type { Outcome } from "./walk.ts"

/** A world to explore down to a depth. */
interface Explored {
  readonly title: string
  readonly depth: number
}

/** A world with one thing wrong: what that breaks, and after how many moves. */
interface Mutated<Setting> {
  readonly name: string
  readonly breaks: string
  readonly depth: number
  readonly setting: Setting
}

/**
 * The worlds of one kind (`what`). `plain` is the name of a move without what tells processes, locks and Leases apart, and `everyMove` the
 * moves there are, by that name. `settles` is what all get in the end, and the least and the most seconds that the slowest world takes.
 */
export interface Options<Setting> {
  readonly what: string
  readonly worlds: ReadonlyArray<Setting & Explored>
  readonly explore: (setting: Setting, depth: number) => Outcome
  readonly plain: (name: string) => string
  readonly everyMove: ReadonlyArray<string>
  readonly settles?: { readonly what: string; readonly within: readonly [least: number, most: number] }
  readonly mutated: ReadonlyArray<Mutated<Setting>>
}

const historyOf = ({ violation }: Outcome): string =>
  violation === undefined ? "" : [violation.what, ...violation.history].join("\n")

/** Makes the tests. */
export const describeInterleavings = <Setting>(options: Options<Setting>): void => {
  const { everyMove, explore, mutated, plain, settles, what, worlds } = options

  describe(`every interleaving of ${what}`, () => {
    const taken = new Set<string>()
    let slowest = 0

    for (const world of worlds) {
      it(`${world.title}, down to depth ${world.depth}`, () => {
        const outcome = explore(world, world.depth)
        assert.strictEqual(historyOf(outcome), "")
        slowest = Math.max(slowest, outcome.slowest)
        for (const name of outcome.taken) taken.add(plain(name))
      })
    }

    it("makes every move there is", () => {
      assert.deepStrictEqual([...taken].toSorted(), everyMove)
    })

    if (settles === undefined) return
    it(`leads to ${settles.what} within seconds, once nothing goes wrong any more`, () => {
      const [least, most] = settles.within
      assert.isAtLeast(slowest, least)
      assert.isAtMost(slowest, most)
    })
  })

  describe(`finds ${what} that`, () => {
    for (const { breaks, depth, name, setting } of mutated) {
      it(`${name}, at depth ${depth}`, () => {
        const outcome = explore(setting, depth)
        assert.strictEqual(outcome.violation?.what, breaks)
        assert.strictEqual(outcome.depth, depth)
        assert.lengthOf(outcome.violation?.history ?? [], depth)
      })
    }
  })
}

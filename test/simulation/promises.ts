/** Tests of many worlds: each keeps all promises, all that can go wrong happens in some of them, and a seed gives the same world again. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as History from "./history.ts"
import { type Kind, report, runSeed, type Verdict } from "./run.ts"

/**
 * The worlds of the first `seeds`, some in each test. `kindsOf` is what a world has in it, to count, and `expected` what they have together;
 * the worlds of `again` are run twice.
 */
export interface Options {
  readonly kind: Kind
  readonly seeds: number
  readonly chunk: number
  readonly kindsOf: (verdict: Verdict) => ReadonlyArray<string>
  readonly expected: ReadonlyArray<string>
  readonly again: ReadonlyArray<number>
}

/** Makes the tests. */
export const describePromises = ({ again, chunk, expected, kind, kindsOf, seeds }: Options): void => {
  describe(`the promises of ${kind} hold`, () => {
    const seen = new Map<string, number>()

    for (let from = 1; from <= seeds; from += chunk) {
      it.live(`in the worlds of the seeds ${from} to ${from + chunk - 1}`, () =>
        Effect.gen(function* () {
          for (let seed = from; seed < from + chunk; seed++) {
            const verdict = yield* runSeed(seed, {}, kind)
            if (verdict.violations.length > 0) assert.fail(report(verdict))
            for (const what of kindsOf(verdict)) seen.set(what, (seen.get(what) ?? 0) + 1)
          }
        })
      )
    }

    // Promises that nothing puts to the test hold always.
    it("in worlds in which everything happens that can go wrong", () => {
      for (const what of expected) assert.isAtLeast(seen.get(what) ?? 0, 1, what)
    })
  })

  describe(`a world of ${kind}`, () => {
    it.live("is the same for the same seed, to the byte", () =>
      Effect.gen(function* () {
        for (const seed of again) {
          const [once, twice] = [yield* runSeed(seed, {}, kind), yield* runSeed(seed, {}, kind)]
          assert.isAbove(once.history.length, 20)
          assert.strictEqual(History.render(twice.history), History.render(once.history))
          assert.deepStrictEqual(twice.history, once.history)
        }
      })
    )
  })
}

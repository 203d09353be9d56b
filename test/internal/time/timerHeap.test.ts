/** The heap of timers, compared with a sorted array. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { type Timer, TimerHeap } from "../../../src/internal/time/timerHeap.ts"

const dues = (timers: ReadonlyArray<Timer>) => timers.map(({ due, sequence }) => `${due} ${sequence}`)

describe("a heap of timers", () => {
  it.effect("gives the earliest first, and of equal ones the one added first, also after removals", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 50; round++) {
        const heap = new TimerHeap()
        let kept: Array<Timer> = []
        for (let step = 0; step < 200; step++) {
          if (kept.length === 0 || (yield* Random.nextIntBetween(0, 9)) < 6) {
            kept.push(heap.add(yield* Random.nextIntBetween(0, 20), { fire: () => {} }))
          } else {
            const removed = kept[yield* Random.nextIntBetween(0, kept.length - 1)]!
            heap.remove(removed)
            heap.remove(removed)
            kept = kept.filter((timer) => timer !== removed)
          }
        }
        const sorted = kept.toSorted((a, b) => a.due - b.due || a.sequence - b.sequence)
        const popped: Array<Timer> = []
        for (let first = heap.first; first !== undefined; first = heap.first) {
          heap.remove(first)
          popped.push(first)
        }
        assert.deepStrictEqual(dues(popped), dues(sorted), `round ${round}`)
        assert.isTrue(heap.isEmpty)
      }
    }).pipe(Random.withSeed("timer heap"))
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as Dice from "../simulation/dice.ts"
import { type Sample, trends } from "./samples.ts"

const dice = Dice.make(1, "soak")

const sample = (at: number, heap: number, sockets: number): Sample => ({
  at,
  heap,
  external: 0,
  rss: 0,
  sockets,
  timers: 0,
  handles: 0,
  files: 0,
  fibers: 0
})

const growing = (samples: ReadonlyArray<Sample>) =>
  trends(samples).flatMap(({ isGrowing, quantity }) => (isGrowing ? [quantity] : []))

const minutes = Array.from({ length: 100 }, (_, index) => index * 60_000)
const megabyte = 2 ** 20

describe("a soak", () => {
  it("finds nothing in noise, in single peaks and in a warm-up", () => {
    const samples = minutes.map((at, index) =>
      sample(
        at,
        40 * megabyte + dice.between(-5, 5) * megabyte - (index < 20 ? (20 - index) * megabyte : 0),
        index % 10 === 0 ? 60 : 20
      )
    )
    assert.deepStrictEqual(growing(samples), [])
  })

  it("finds a slow growth under noise", () => {
    const samples = minutes.map((at, index) =>
      sample(at, 40 * megabyte + dice.between(-5, 5) * megabyte + index * 0.1 * megabyte, 20 + Math.floor(index / 5))
    )
    assert.deepStrictEqual(growing(samples), ["heap", "sockets"])
  })
})

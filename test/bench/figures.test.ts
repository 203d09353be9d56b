import { assert, describe, it } from "@effect/vitest"
import * as Figures from "../../bench/figures.ts"
import * as Histogram from "../../bench/histogram.ts"
import * as Tally from "../../bench/tally.ts"
import * as Witness from "../../bench/witness.ts"

const plan = { protocol: "kubelock", target: "embedded", threads: 2, fibers: 1, ids: 1, holdMillis: 0 } as const

describe("fairness", () => {
  it("is 1 where all have the same", () => {
    assert.deepStrictEqual(Figures.fairness([5, 5, 5]), { jain: 1, min: 1, max: 1 })
  })

  it("is 1/n where one has all", () => {
    assert.deepStrictEqual(Figures.fairness([0, 12, 0, 0]), { jain: 0.25, min: 0, max: 4 })
  })

  it("is nothing where nobody has any", () => {
    assert.deepStrictEqual(Figures.fairness([0, 0]), { jain: null, min: null, max: null })
  })
})

describe("figures", () => {
  it("computes rates and ratios from the counts", () => {
    const records = { witness: Witness.make(1), tally: Tally.make(2) }
    for (const contender of [0, 1, 1, 1]) {
      Witness.leave(records.witness, Witness.enter(records.witness, 0, contender + 1, 1n), 2n)
      Atomics.add(records.tally.acquisitions, contender, 1)
      Histogram.add(records.tally.wait, 100_000n)
    }
    for (const counter of [
      "get",
      "get",
      "get",
      "patch",
      "patch",
      "watch",
      "conflicts",
      "timeouts",
      "errors"
    ] as const) {
      Tally.count(records.tally, counter)
    }
    assert.deepStrictEqual(Figures.make(plan, 2000, records), {
      ...plan,
      durationMillis: 2000,
      acquisitions: 4,
      violations: 0,
      timeouts: 1,
      errors: 1,
      throughputPerSecond: 2,
      waitMillis: { p50: 0.1, p95: 0.1, p99: 0.1, max: 0.1 },
      handoffMillis: { p50: null, p95: null, p99: null, max: null },
      requests: { get: 3, put: 0, patch: 2, watch: 1, other: 0 },
      requestsPerAcquisition: 1.5,
      conflicts: 1,
      fairness: { jain: 0.8, min: 0.5, max: 1.5 }
    })
  })

  it("computes nothing from nothing", () => {
    const { requestsPerAcquisition, throughputPerSecond } = Figures.make(plan, 0, {
      witness: Witness.make(1),
      tally: Tally.make(2)
    })
    assert.strictEqual(requestsPerAcquisition, null)
    assert.strictEqual(throughputPerSecond, 0)
  })
})

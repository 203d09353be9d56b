import { assert, describe, it } from "@effect/vitest"
import type { Records, Report } from "../../../src/cli/bench/contest/task.ts"
import * as Witness from "../../../src/cli/bench/contest/witness.ts"
import * as histogram from "../../../src/cli/bench/harness/histogram.ts"
import * as requests from "../../../src/cli/bench/harness/requests.ts"
import * as Figures from "../../../src/cli/bench/load/figures.ts"

const plan = {
  kind: "lock",
  limit: null,
  writers: null,
  protocol: "kubelock",
  target: "embedded",
  threads: 2,
  fibers: 1,
  ids: 1,
  holdMillis: 0
} as const

const makeRecords = (): Records => ({
  witness: Witness.make(1),
  wait: histogram.make(),
  handoff: histogram.make()
})

const report = (part: Partial<Report>): Report => ({
  acquisitions: [0],
  requests: requests.none,
  timeouts: 0,
  errors: 0,
  firstError: undefined,
  millis: 1000,
  lateRequests: 0,
  cpuMillis: 0,
  visits: [],
  waits: [],
  writes: [],
  unfinishedWaits: [],
  ...part
})

describe("figures", () => {
  it("add up the rounds of each thread, and have rates and ratios", () => {
    const records = makeRecords()
    for (const contender of [0, 1, 1, 1]) {
      Witness.leave(records.witness, Witness.enter(records.witness, 0, contender + 1, 1n), 2n)
      histogram.record(records.wait, 100_000n)
    }
    const first = Figures.add(undefined, [
      report({ acquisitions: [1], requests: { ...requests.none, get: 2, patch: 1, conflicts: 1 } }),
      report({ acquisitions: [1], timeouts: 1 })
    ])
    const totals = Figures.add(first, [
      report({ acquisitions: [0], requests: { ...requests.none, get: 1, patch: 1, watch: 1 } }),
      report({ acquisitions: [2], errors: 1 })
    ])
    const { waitMillis, ...figures } = Figures.make(plan, 2000, totals, records)
    assert.closeTo(waitMillis.p99!, 0.1, 0.001)
    assert.deepStrictEqual(figures, {
      ...plan,
      durationMillis: 2000,
      acquisitions: 4,
      mostInside: 1,
      violations: 0,
      timeouts: 1,
      errors: 1,
      throughputPerSecond: 2,
      handoffMillis: { p50: null, p95: null, p99: null, max: null },
      requests: { get: 3, put: 0, patch: 2, watch: 1, other: 0 },
      requestsPerAcquisition: 1.5,
      conflicts: 1,
      fairness: { jain: 0.8, min: 0.5, max: 1.5 }
    })
  })

  it("have no ratios if there were no acquisitions", () => {
    const { requestsPerAcquisition, throughputPerSecond } = Figures.make(
      plan,
      0,
      Figures.add(undefined, [report({})]),
      makeRecords()
    )
    assert.strictEqual(requestsPerAcquisition, null)
    assert.strictEqual(throughputPerSecond, 0)
  })
})

import { assert, describe, it } from "@effect/vitest"
import type { Report } from "../../src/cli/bench/contest/task.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import * as samples from "./samples.ts"

const report = (part: Partial<Report>): Report => ({
  acquisitions: [],
  visits: [],
  waits: [],
  writes: [],
  unfinishedWaits: [],
  requests: requests.none,
  lateRequests: 0,
  millis: 1000,
  timeouts: 0,
  errors: 0,
  firstError: undefined,
  cpuMillis: 0,
  ...part
})

describe("overlaps", () => {
  it("are none if each process enters after the last one has left, in whatever order they report", () => {
    const reports = [
      report({
        visits: [
          [10, 11],
          [30, 31]
        ]
      }),
      report({
        visits: [
          [1, 2],
          [20, 30]
        ]
      })
    ]
    assert.strictEqual(samples.overlaps(reports), 0)
  })

  it("count each entry before an earlier one has left once", () => {
    const reports = [report({ visits: [[1, 100]] }), report({ visits: [[2, 3]] }), report({ visits: [[50, 51]] })]
    assert.strictEqual(samples.overlaps(reports), 2)
  })

  it("include a process that never left", () => {
    assert.strictEqual(
      samples.overlaps([report({ visits: [[1, Number.POSITIVE_INFINITY]] }), report({ visits: [[9, 10]] })]),
      1
    )
  })
})

describe("handoffs", () => {
  it("lead from a leaving to the next entry, of any process", () => {
    const reports = [
      report({
        visits: [
          [0, 10],
          [14, 20]
        ]
      }),
      report({ visits: [[27, 28]] })
    ]
    assert.deepStrictEqual(samples.handoffs(reports), [4, 7])
  })
})

describe("curves", () => {
  it("rise from the least sample to the greatest", () => {
    const curve = samples.curve([5, 1, 3])
    assert.lengthOf(curve, samples.grid.length)
    assert.strictEqual(curve[0], 1)
    assert.strictEqual(curve.at(-1), 5)
    assert.deepStrictEqual(
      curve,
      curve.toSorted((a, b) => a - b)
    )
    assert.deepStrictEqual(samples.curve([]), [])
  })
})

describe("a round", () => {
  it("has rates, and figures for each acquisition", () => {
    const reports = [
      report({
        visits: [
          [0, 1],
          [2, 3],
          [4, 5]
        ],
        waits: [1, 2, 3],
        requests: { ...requests.none, get: 2, patch: 4, conflicts: 2 },
        cpuMillis: 10
      }),
      report({ visits: [[6, 7]], waits: [4], requests: { ...requests.none, watch: 2 }, errors: 1, firstError: "no" })
    ]
    const round = samples.round(reports, { seconds: 2, watchEvents: 8 })
    assert.deepInclude(round, {
      acquisitions: 4,
      perSecond: 2,
      requestsPerAcquisition: 2,
      conflictsPerAcquisition: 0.5,
      watchEventsPerAcquisition: 2,
      cpuPerAcquisition: 2.5,
      waitP50: 2,
      waitP99: 4,
      isWaitP99AtLeast: false,
      handoffP50: 1,
      burstMillis: 4,
      jain: 0.8,
      errors: 1,
      firstError: "no",
      overlaps: 0
    })
  })

  it("counts a wait that the end cut short, and says that it is at least so long", () => {
    const round = samples.round([report({ visits: [[0, 1]], waits: [1] }), report({ unfinishedWaits: [4000] })], {
      seconds: 4,
      watchEvents: undefined
    })
    assert.deepInclude(round, { waitP99: 4000, isWaitP99AtLeast: true, watchEventsPerAcquisition: null, jain: 0.5 })
    assert.isNull(round.burstMillis)
  })

  it("does not hide short waits behind an unfinished one", () => {
    const busy = report({ visits: [[0, 1]], waits: Array.from({ length: 1000 }, () => 7) })
    const round = samples.round([busy, report({ unfinishedWaits: [3] })], { seconds: 1, watchEvents: undefined })
    assert.deepInclude(round, { waitP99: 7, isWaitP99AtLeast: false })
  })

  it("has no requests and no CPU if other programs took the lock", () => {
    const reports = [report({ visits: [[0, 1]], waits: [1], requests: { ...requests.none, get: 2 }, cpuMillis: 10 })]
    const round = samples.round(reports, { seconds: 1, isProgram: true })
    assert.deepInclude(round, { acquisitions: 1, requestsPerAcquisition: null, cpuPerAcquisition: null })
  })

  it("has no ratios if there were no acquisitions", () => {
    const round = samples.round([report({})], { seconds: 1, watchEvents: 3 })
    assert.deepInclude(round, { acquisitions: 0, requestsPerAcquisition: null, waitP99: null, jain: null })
  })
})

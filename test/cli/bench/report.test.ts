import { assert, describe, it } from "@effect/vitest"
import type { Figures } from "../../../src/cli/bench/load/figures.ts"
import * as report from "../../../src/cli/bench/load/report.ts"
import { figures as kubelock } from "../../utils/figures.ts"

const none = { p50: null, p95: null, p99: null, max: null }

const dex: Figures = {
  ...kubelock,
  protocol: "dex",
  acquisitions: 0,
  throughputPerSecond: 123.45,
  waitMillis: none,
  handoffMillis: none,
  requests: { get: 100, put: 50, patch: 0, watch: 0, other: 0 },
  requestsPerAcquisition: null,
  fairness: { jain: null, min: null, max: null },
  violations: 3
}

describe("report", () => {
  it("prints one JSON object of exactly this shape, on one line", () => {
    assert.strictEqual(
      report.json([kubelock]),
      `{"runs":[{"kind":"lock","limit":null,"writers":null,"protocol":"kubelock","target":"embedded","threads":4,"fibers":8,"ids":1,"holdMillis":0,"durationMillis":10000,"acquisitions":12345,"mostInside":1,"violations":0,"timeouts":0,"errors":0,"throughputPerSecond":1234.5,"waitMillis":{"p50":2.346,"p95":50,"p99":1234,"max":2000},"handoffMillis":{"p50":0.5,"p95":1,"p99":2,"max":3},"requests":{"get":1,"put":0,"patch":24690,"watch":2,"other":0},"requestsPerAcquisition":2,"conflicts":7,"fairness":{"jain":0.988,"min":0.5,"max":1.5}}]}`
    )
  })

  it("prints null for figures that do not exist", () => {
    assert.deepInclude(JSON.parse(report.json([dex])).runs[0], { waitMillis: none, requestsPerAcquisition: null })
  })

  it("aligns its columns", () => {
    const lines = report.table([kubelock]).split("\n")
    assert.strictEqual(new Set(lines.map((line) => line.length)).size, 1)
    assert.match(lines[0]!, /^ +kubelock$/)
    assert.match(report.table([kubelock]), /^throughput +1,235 \/s$/m)
    assert.match(report.table([kubelock]), /^wait p50 +2\.35 ms$/m)
    assert.match(report.table([kubelock]), /^wait p99 +1\.23 s$/m)
  })

  it("shows the ratio of two runs if both have the figure, and whether the first is better", () => {
    const table = report.table([kubelock, { ...dex, conflicts: 1 }])
    assert.match(table, /^ +kubelock +dex +ratio$/m)
    assert.match(table, /^throughput +1,235 \/s +123 \/s +x 10\.0 better$/m)
    assert.match(table, /^conflicts +7 +1 +x 7\.00 worse$/m)
    assert.match(table, /^duration .* x 1\.00$/m)
    assert.match(table, /^wait p50 +2\.35 ms +-$/m)
    assert.match(table, /^requests: put +0 +50$/m)
  })

  it("leaves out requests that were not made", () => {
    assert.notMatch(report.table([kubelock]), /requests: (put|other)/)
  })

  it("says whether exclusion held", () => {
    assert.strictEqual(report.verdict(kubelock), "kubelock: 0 violations in 12,345 acquisitions: mutual exclusion held")
    assert.strictEqual(
      report.verdict({ ...dex, acquisitions: 1, violations: 1 }),
      "dex: 1 violation in 1 acquisition: mutual exclusion was BROKEN"
    )
  })

  it("says what a semaphore and a shared lock promise, and how many were inside", () => {
    const semaphore: Figures = { ...kubelock, kind: "semaphore", limit: 4, mostInside: 4 }
    const shared: Figures = { ...kubelock, kind: "shared", writers: 0.125, mostInside: 9, violations: 1 }
    assert.strictEqual(
      report.verdict(semaphore),
      "kubelock: 0 violations in 12,345 acquisitions, at most 4 inside at once: the limit of 4 held"
    )
    assert.strictEqual(
      report.verdict(shared),
      "kubelock: 1 violation in 12,345 acquisitions, at most 9 inside at once: the exclusion of writers was BROKEN"
    )
    assert.match(report.table([shared]), /^most inside at once +9$/m)
    assert.notMatch(report.table([kubelock]), /inside/)
    assert.deepStrictEqual(
      [kubelock, semaphore, shared].map((run) => report.named(run)),
      ["", "; a semaphore of 4", "; a shared lock, 12.5 % writers"]
    )
    assert.match(report.remarks([semaphore]).join("\n"), /wait max: a thread may hand its permits on/)
  })

  it("claims nothing if nothing was measured", () => {
    assert.strictEqual(report.verdict(dex), "dex: no acquisition: nothing was measured")
  })

  it("explains kubelock's longest wait if the lock is handed on within a thread", () => {
    assert.match(report.remarks([kubelock]).join("\n"), /wait max: .* for up to 2 s/)
    for (const other of [
      { ...kubelock, threads: 1 },
      { ...kubelock, fibers: 1 },
      { ...kubelock, holdMillis: 5000 },
      dex
    ]) {
      assert.deepStrictEqual(report.remarks([other]), [])
    }
  })

  it("reports when exclusion broke, and between which contenders", () => {
    assert.strictEqual(
      report.incident({ nanos: 5_250_000_000, id: 2, who: 9, other: 1 }, 4_000_000_000, 8),
      "after 1.250 s: thread 1 fiber 0 was in the critical section of id 2 together with thread 0 fiber 0"
    )
  })
})

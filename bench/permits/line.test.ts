import { assert, describe, it } from "@effect/vitest"
import type { Report } from "../../src/cli/bench/contest/task.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import * as line from "./line.ts"

/** What one contender did: when it began to wait, entered and left, and whether it wrote. */
type Did = readonly [began: number, entered: number, left: number, isWriter?: boolean]

const report = (...did: ReadonlyArray<Did>): Report => ({
  acquisitions: [did.length],
  visits: did.map(([, entered, left]) => [entered, left]),
  waits: did.map(([began, entered]) => entered - began),
  writes: did.map(([, , , isWriter = false]) => isWriter),
  unfinishedWaits: [],
  requests: requests.none,
  lateRequests: 0,
  millis: 1000,
  timeouts: 0,
  errors: 0,
  firstError: undefined,
  cpuMillis: 0
})

describe("permits, judged by what contenders saw", () => {
  it("are never more than the limit", () => {
    const reports = [report([0, 1, 5]), report([0, 2, 6]), report([0, 5, 7])]
    assert.strictEqual(line.violations(reports, 2), 0)
    assert.strictEqual(line.violations([...reports, report([0, 3, 4])], 2), 1)
  })

  it("leave nobody beside a writer, nor a writer beside anybody", () => {
    const [reader, writer] = [report([0, 1, 3]), report([0, 3, 5, true])]
    assert.strictEqual(line.violations([reader, writer], 16), 0)
    assert.strictEqual(line.violations([reader, writer, report([0, 4, 6])], 16), 1)
    assert.strictEqual(line.violations([reader, report([0, 2, 5, true])], 16), 1)
  })

  it("tell how many passed a writer for each that was before it", () => {
    const writer = report([0, 0, 1], [2, 8, 9, true])
    assert.strictEqual(line.worstWriter([report([0, 1, 5]), report([1, 2, 3], [3, 5, 7]), writer]), 0.5)
    assert.strictEqual(line.worstWriter([report([0, 1, 5], [6, 6.5, 7]), report([1, 2, 2], [3, 5, 7]), writer]), 2)
    assert.isNull(line.worstWriter([writer]))
  })

  it("leave out writers that came before each process had been inside", () => {
    const late = report([5, 7, 8])
    assert.isNull(line.worstWriter([report([0, 1, 5], [5, 6, 6]), report([2, 8, 9, true]), late]))
  })

  it("tell how long a permit that was given back is idle", () => {
    assert.strictEqual(line.handOver([report([0, 0, 10], [10, 21, 30]), report([0, 0, 20], [20, 23, 30])], 2), 3)
    assert.isNull(line.handOver([report([0, 0, 10])], 2))
  })
})

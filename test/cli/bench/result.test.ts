import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as histogram from "../../../src/cli/bench/harness/histogram.ts"
import * as Result from "../../../src/cli/bench/job/result.ts"
import { result } from "../../utils/benchJob.ts"

const asBody = (one: Result.Result): string => JSON.stringify({ metadata: { name: "a" }, ...Result.encode(one) })

const sight = (count: number) => ({ count, token: 7n, inside: [] })

describe("the result of a pod", () => {
  it("comes back as it was", () => {
    for (const part of [{}, { firstError: "x", limit: 4, kind: "semaphore" as const }]) {
      const one = result(part)
      const { summary, wait } = Option.getOrThrow(Result.decode(asBody(one)))
      assert.deepStrictEqual(summary, one.summary)
      assert.deepStrictEqual(histogram.percentiles(wait), histogram.percentiles(one.wait))
      assert.strictEqual(histogram.count(wait), 3)
    }
  })

  it("fits into a ConfigMap, whatever was measured", () => {
    const wait = histogram.make()
    let random = 1
    for (let cell = 0; cell < wait.length; cell++) {
      random = (random * 48_271) % 2_147_483_647
      wait[cell] = random
    }
    const acquisitions = Array.from({ length: 4096 }, () => 123_456_789)
    const incident = { id: 999, who: "999.4095", other: "999.4094" }
    const one = result({ acquisitions, firstError: "x".repeat(1000) })
    const incidents = Array.from({ length: 16 }, () => incident)
    const body = asBody({ wait, summary: { ...one.summary, seen: { ...one.summary.seen, incidents } } })
    assert.isAbove(body.length, 200_000)
    assert.isBelow(body.length, 400_000)
  })

  it("is refused if it is something else", () => {
    const { binaryData, data } = Result.encode(result())
    for (const body of [
      "",
      "{}",
      JSON.stringify({ data }),
      JSON.stringify({ binaryData, data: { summary: "{}" } }),
      JSON.stringify({ data, binaryData: { wait: "bm8=" } })
    ]) {
      assert.isTrue(Option.isNone(Result.decode(body)))
    }
  })
})

describe("the results of several pods", () => {
  it("are merged as if they were one run", () => {
    const first = result({
      durationMillis: 2000,
      timeouts: 1,
      requests: { ...result().summary.requests, conflicts: 2 }
    })
    const second = result({ acquisitions: [3, 0], errors: 2, firstError: "no" })
    const { figures, firstError, proof } = Result.merge([first, second], [sight(6)])
    const { waitMillis, ...rest } = figures
    assert.closeTo(waitMillis.p50!, 2, 0.01)
    assert.closeTo(waitMillis.max!, 3, 0.01)
    assert.deepStrictEqual(rest, {
      kind: "lock",
      limit: null,
      writers: null,
      protocol: "kubelock",
      target: "https://10.0.0.1",
      threads: 2,
      fibers: 2,
      ids: 1,
      holdMillis: 0,
      durationMillis: 2000,
      acquisitions: 6,
      mostInside: 1,
      violations: 0,
      timeouts: 1,
      errors: 2,
      throughputPerSecond: 3,
      handoffMillis: { p50: null, p95: null, p99: null, max: null },
      requests: { get: 2, put: 0, patch: 12, watch: 0, other: 0 },
      requestsPerAcquisition: 14 / 6,
      conflicts: 2,
      fairness: { jain: 36 / (4 * 14), min: 0, max: 2 }
    })
    assert.strictEqual(firstError, "no")
    assert.include(proof, { visits: 6, lostUpdates: 0, violations: 0, unsure: 0 })
  })

  const { seen } = result().summary

  it.each([
    ["an overlap that a pod saw", { seen: { ...seen, overlaps: 1 } }, 6, 1],
    ["a lost update", {}, 5, 1],
    ["an update that nobody made", {}, 7, 1],
    ["a stale read", { seen: { ...seen, staleReads: 2 } }, 6, 2],
    ["a stale fencing token", { seen: { ...seen, staleTokens: 3 } }, 6, 3],
    ["a violation within a pod", { violations: 4 }, 6, 4]
  ] as const)("are a violation if there is %s", (_, part, count, violations) => {
    const { figures, proof } = Result.merge([result(), result(part)], [sight(count)])
    assert.strictEqual(proof.violations, violations)
    assert.strictEqual(figures.violations, violations)
  })

  it("are no proof if a pod could not tell, or somebody has not left", () => {
    const unsure = (part: Partial<Result.Result["summary"]>, inside: ReadonlyArray<{ who: string; isSole: boolean }>) =>
      Result.merge([result(), result(part)], [{ ...sight(6), inside }]).proof.unsure
    assert.strictEqual(unsure({}, []), 0)
    assert.strictEqual(unsure({ seen: { ...seen, unsure: 1 } }, []), 1)
    assert.strictEqual(unsure({}, [{ who: "0.1", isSole: true }]), 1)
  })
})

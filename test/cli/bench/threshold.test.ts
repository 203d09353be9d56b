import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import type { Figures } from "../../../src/cli/bench/load/figures.ts"
import * as Threshold from "../../../src/cli/bench/threshold.ts"
import { figures } from "../../utils/figures.ts"

const run: Figures = {
  ...figures,
  timeouts: 1,
  waitMillis: { ...figures.waitMillis, p50: 2.5 },
  handoffMillis: { p50: null, p95: null, p99: null, max: null }
}

const parsed = (text: string) => Result.getOrThrow(Threshold.parse(text))

const passes = (text: string) => Threshold.judge([parsed(text)], run)[0]!.passed

describe("a threshold", () => {
  it("is a figure, a comparison and a bound, with or without blanks", () => {
    assert.deepStrictEqual(parsed(" wait.p99 <= 1.5s "), {
      text: " wait.p99 <= 1.5s ",
      name: "wait.p99",
      operator: "<=",
      bound: 1500
    })
    assert.include(parsed("throughput>10.5"), { name: "throughput", operator: ">", bound: 10.5 })
  })

  it.each([
    ["wait.p50<2.6ms", true],
    ["wait.p50<2500us", undefined],
    ["wait.p50<2.5ms", false],
    ["wait.p50<=2.5ms", true],
    ["wait.p50>2.5ms", false],
    ["wait.p50>=2.5ms", true],
    ["wait.p99<1s", false],
    ["wait.p99<1 second", false],
    ["wait.max==2s", true],
    ["acquisitions>12345", false],
    ["throughput>=1234.5", true],
    ["requests<3", true],
    ["conflicts==7", true],
    ["timeouts==0", false],
    ["errors==0", true],
    ["fairness.jain>0.8", true],
    ["fairness.min<0.5", false],
    ["fairness.max<=1.5", true]
  ] as const)("%s: %s", (text, passed) => {
    if (passed === undefined) assert.isTrue(Result.isFailure(Threshold.parse(text)))
    else assert.strictEqual(passes(text), passed)
  })

  it("is missed if nothing was measured", () => {
    assert.deepStrictEqual(Threshold.judge([parsed("handoff.max<1d")], run), [
      { threshold: "handoff.max<1d", value: null, passed: false }
    ])
  })

  it.each([
    ["wait.p99", /^a figure, a comparison and a bound, such as wait\.p99<50ms$/],
    ["wait.p99=5ms", /^a figure, a comparison/],
    ["", /^a figure, a comparison/],
    ["wait<5ms", /^one of the figures wait\.p50, wait\.p95, .*, fairness\.max$/],
    ["waits.p99<5ms", /^one of the figures/],
    ["wait.p99<5", /^wait\.p99 compared to a time: a duration such as 500ms/],
    ["wait.p99<", /^wait\.p99 compared to a time/],
    ["throughput>5s", /^throughput compared to a number, such as 10$/],
    ["errors<-1", /^errors compared to a number/]
  ])("says what is wrong with %s", (text, message) => {
    const failure = Result.match(Threshold.parse(text), { onFailure: (found) => found, onSuccess: () => "" })
    assert.match(failure, message)
    assert.notInclude(failure, "\n")
  })

  it("knows every figure that it names", () => {
    for (const name of Threshold.names) {
      const bound = /^(wait|handoff)\./.test(name) ? "1s" : "1"
      assert.strictEqual(parsed(`${name}<${bound}`).name, name)
    }
  })
})

describe("the list of thresholds", () => {
  it("says of each whether it passed, and what was measured", () => {
    assert.deepStrictEqual(Threshold.table(["wait.p99<5ms", "throughput>10", "handoff.p50<1s"].map(parsed), run), [
      "MISSED  wait.p99<5ms    1.23 s",
      "ok      throughput>10   1,235",
      "MISSED  handoff.p50<1s  nothing was measured"
    ])
    assert.deepStrictEqual(Threshold.table([], run), [])
  })
})

/** Thresholds on the figures of a test, as k6 has them: `wait.p99<50ms`. Pure. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as durationText from "../../internal/time/durationText.ts"
import { preciseTime, significant } from "./harness/text.ts"
import type { Figures } from "./load/figures.ts"

/** A threshold: `text` as it was given, the name of a figure, and what it must compare to, times in milliseconds. */
export interface Threshold {
  readonly text: string
  readonly name: string
  readonly operator: keyof typeof operators
  readonly bound: number
}

/** Whether the figure is within the threshold. One that was not measured (`null`) is not. */
export interface Judgement {
  readonly threshold: string
  readonly value: number | null
  readonly passed: boolean
}

const operators = {
  "<=": (value: number, bound: number) => value <= bound,
  ">=": (value: number, bound: number) => value >= bound,
  "==": (value: number, bound: number) => value === bound,
  "<": (value: number, bound: number) => value < bound,
  ">": (value: number, bound: number) => value > bound
}

interface Figure {
  readonly isTime: boolean
  readonly read: (figures: Figures) => number | null
}

const percentiles = (name: string, read: (figures: Figures) => Figures["waitMillis"]) =>
  (["p50", "p95", "p99", "max"] as const).map((which): readonly [string, Figure] => [
    `${name}.${which}`,
    { isTime: true, read: (one) => read(one)[which] }
  ])

const number = (name: string, read: Figure["read"]): readonly [string, Figure] => [name, { isTime: false, read }]

const figures: ReadonlyMap<string, Figure> = new Map([
  ...percentiles("wait", ({ waitMillis }) => waitMillis),
  ...percentiles("handoff", ({ handoffMillis }) => handoffMillis),
  number("acquisitions", ({ acquisitions }) => acquisitions),
  number("throughput", ({ throughputPerSecond }) => throughputPerSecond),
  number("requests", ({ requestsPerAcquisition }) => requestsPerAcquisition),
  number("conflicts", ({ conflicts }) => conflicts),
  number("timeouts", ({ timeouts }) => timeouts),
  number("errors", ({ errors }) => errors),
  number("fairness.jain", ({ fairness }) => fairness.jain),
  number("fairness.min", ({ fairness }) => fairness.min),
  number("fairness.max", ({ fairness }) => fairness.max)
])

/** The names of the figures. */
export const names: ReadonlyArray<string> = [...figures.keys()]

/** Reads a threshold. The failure says what is wrong with it, on one line. */
export const parse = (text: string): Result.Result<Threshold, string> => {
  const [, name = "", operator, value = ""] = /^\s*([\w.]+)\s*(<=|>=|==|<|>)\s*(.*?)\s*$/.exec(text) ?? []
  if (operator === undefined) return Result.fail("a figure, a comparison and a bound, such as wait.p99<50ms")
  const figure = figures.get(name)
  if (figure === undefined) return Result.fail(`one of the figures ${names.join(", ")}`)
  const bound = figure.isTime ? Option.map(durationText.parse(value), Duration.toMillis) : numberOf(value)
  return Option.match(bound, {
    onNone: () =>
      Result.fail(`${name} compared to ${figure.isTime ? `a time: ${durationText.expected}` : "a number, such as 10"}`),
    onSome: (bound) => Result.succeed({ text, name, operator: operator as Threshold["operator"], bound })
  })
}

const numberOf = (text: string): Option.Option<number> =>
  /^\d+(\.\d+)?$/.test(text) ? Option.some(Number(text)) : Option.none()

/** Judges the figures of a run. */
export const judge = (thresholds: ReadonlyArray<Threshold>, run: Figures): ReadonlyArray<Judgement> =>
  thresholds.map(({ bound, name, operator, text }) => {
    const value = figures.get(name)!.read(run)
    return { threshold: text, value, passed: value !== null && operators[operator](value, bound) }
  })

/** A line for each: whether it passed, and what was measured. */
export const table = (thresholds: ReadonlyArray<Threshold>, run: Figures): ReadonlyArray<string> => {
  const width = Math.max(0, ...thresholds.map(({ text }) => text.length))
  return judge(thresholds, run).map(({ passed, threshold, value }, index) => {
    const { isTime } = figures.get(thresholds[index]!.name)!
    const shown = value === null ? "nothing was measured" : isTime ? preciseTime(value) : significant(value)
    return `${passed ? "ok    " : "MISSED"}  ${threshold.padEnd(width)}  ${shown}`
  })
}

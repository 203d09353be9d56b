/** Figures of a run on one server, looked up by kind and number of contenders: pure. */
import type { Kind } from "../contest/kind.ts"
import { median } from "../../src/cli/bench/harness/statistics.ts"
import type { Cell, OnServer } from "./measurements.ts"
import * as plan from "./plan.ts"
import type { Round } from "./samples.ts"

/** The figures that are numbers. */
export type Measure = {
  [Name in keyof Round]-?: Exclude<Round[Name], undefined> extends number | null ? Name : never
}[keyof Round]

/** The median over the rounds of a cell: `null` if it was not measured. */
export const middle = (cell: Cell | undefined, measure: Measure): number | null =>
  median((cell?.rounds ?? []).flatMap((round) => round[measure] ?? []))

/** The cell of a kind without a hold. */
export const cellOf = (on: OnServer, kind: Kind, contenders: number): Cell | undefined =>
  on.cells.find((cell) => cell.kind === kind && cell.contenders === contenders)

/** A figure of a kind without a hold: `null` if it was not measured. */
export const value = (on: OnServer, kind: Kind, contenders: number, measure: Measure): number | null =>
  middle(cellOf(on, kind, contenders), measure)

/** The ratio of two figures: `null` if one was not measured. */
export const ratio = (a: number | null | undefined, b: number | null | undefined): number | null =>
  a === null || a === undefined || !b ? null : a / b

/** The throughput with a hold if only the hold and one raw write separated two acquisitions: `null` if not measured. */
export const holdBound = (on: OnServer): number | null => {
  const writes = value(on, "raw", plan.hold.contenders, "perSecond")
  return writes === null ? null : 1000 / (plan.hold.millis + 1000 / writes)
}

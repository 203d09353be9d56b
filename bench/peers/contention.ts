/** The contention, as tables: pure. */
import { cellOf, type Measure, middle } from "./cells.ts"
import { about, isAlone, isElsewhere, isLimit, type Kind, kinds } from "../contest/kind.ts"
import { markdown, number, range, time } from "../../src/cli/bench/harness/text.ts"
import type { Cell, Measurements, OnServer } from "./measurements.ts"

const isWaitP99AtLeast = (cell: Cell): boolean => cell.rounds.some((round) => round.isWaitP99AtLeast)

/** The p99 of the waits, for people. `≥` means that it is at least that. */
export const p99 = (cell: Cell): string => `${isWaitP99AtLeast(cell) ? "≥ " : ""}${time(middle(cell, "waitP99"))}`

/** Acquisitions a second, and their range over the rounds. */
export const perSecond = (cell: Cell): string =>
  `${number(middle(cell, "perSecond"))}${range(cell.rounds.map(({ perSecond }) => perSecond))}`

/** How often exclusion was broken, over all rounds. */
export const overlapsOf = (cell: Cell): string =>
  String(cell.rounds.reduce((total, { overlaps }) => total + overlaps, 0))

const failures = (cell: Cell): string =>
  String(cell.rounds.reduce((total, { errors, timeouts }) => total + errors + timeouts, 0))

/** A column of a table of cells. */
export interface Column {
  readonly title: string
  readonly show: (cell: Cell) => string
}

/** A column with a figure. */
export const column = (title: string, measure: Measure, show: (value: number | null) => string = number): Column => ({
  title,
  show: (cell) => show(middle(cell, measure))
})

/**
 * The head and the rows of a table of the contention on one server: one row for each kind and number of contenders. A kind
 * that is always one process has only the first column.
 */
export const contentionRows = (
  on: OnServer,
  columns: ReadonlyArray<Column>,
  nameOf = (kind: Kind): string => about[kind].name
): readonly [head: ReadonlyArray<string>, ...rows: ReadonlyArray<ReadonlyArray<string>>] => {
  const counts = [...new Set(on.cells.map(({ contenders }) => contenders))]
  const figures = (kind: Kind, cell: Cell | undefined): ReadonlyArray<string> =>
    cell === undefined ? ["cannot"] : columns.slice(0, isAlone(kind) ? 1 : undefined).map(({ show }) => show(cell))
  return [
    ["processes", "", ...columns.map(({ title }) => title)],
    ...counts.flatMap((contenders) =>
      kinds
        .filter(
          (kind) => (kind !== "kubelock-before" && !isElsewhere(kind)) || on.cells.some((cell) => cell.kind === kind)
        )
        .map((kind) => [String(contenders), nameOf(kind)].concat(figures(kind, cellOf(on, kind, contenders))))
    )
  ]
}

/** The contention on one server. */
export const contentionTable = (on: OnServer): string => {
  const columns: ReadonlyArray<Column> = [
    { title: "acquisitions/s", show: perSecond },
    column("wait p50", "waitP50", time),
    { title: "wait p99", show: p99 },
    column("requests", "requestsPerAcquisition"),
    column("refused writes", "conflictsPerAcquisition"),
    column("watch events", "watchEventsPerAcquisition"),
    column("client CPU", "cpuPerAcquisition", time),
    column("Jain", "jain"),
    { title: "failed", show: failures },
    { title: "overlaps", show: overlapsOf }
  ]
  const [head, ...rows] = contentionRows(on, columns, (kind) =>
    kind === "kubelock" ? `**${about[kind].name}**` : about[kind].name
  )
  return markdown(head, rows, 2)
}

/** What an acquisition and its release cost the server. */
export const serverTable = (on: OnServer): string => {
  const [head, ...rows] = contentionRows(on, [column("server CPU", "serverCpuPerAcquisition", time)])
  return markdown(head, rows, 2)
}

/** The figures in which another lock was better by more than a tenth. A p99 that is only a lower bound proves nothing. */
export const losses = (run: Measurements): string => {
  const figures = [
    { measure: "perSecond", what: "acquisitions/s", isMoreBetter: true, show: number },
    { measure: "waitP50", what: "wait p50", isMoreBetter: false, show: time },
    { measure: "waitP99", what: "wait p99", isMoreBetter: false, show: time },
    { measure: "requestsPerAcquisition", what: "requests", isMoreBetter: false, show: number },
    { measure: "cpuPerAcquisition", what: "client CPU", isMoreBetter: false, show: time },
    { measure: "jain", what: "Jain", isMoreBetter: true, show: number }
  ] as const
  const found = run.servers.flatMap((on) =>
    on.cells
      .filter(({ kind }) => !kind.startsWith("kubelock") && !isLimit(kind))
      .flatMap((cell) => {
        const better = figures.flatMap(({ isMoreBetter, measure, show, what }) => {
          const own = middle(cellOf(on, "kubelock", cell.contenders), measure)
          const theirs = middle(cell, measure)
          if (own === null || theirs === null || (measure === "waitP99" && isWaitP99AtLeast(cell))) return []
          const isBetter = isMoreBetter ? theirs > own * 1.1 : theirs < own / 1.1
          return isBetter ? [`${what} ${show(theirs)} (${show(own)})`] : []
        })
        return better.length === 0
          ? []
          : [
              [
                on.server,
                String(cell.contenders),
                about[cell.kind].name,
                better.join("; "),
                number(middle(cell, "jain")),
                p99(cell)
              ]
            ]
      })
  )
  return found.length === 0
    ? "Nowhere in this run: no other lock was better by more than a tenth in any figure of the contention."
    : `The figures in which another lock was better by more than a tenth (kubelock in brackets). One process that takes the lock again before the others look makes for a high throughput, a short median wait and few requests, while the others starve. The last two columns show that.\n\n${markdown(
        ["server", "processes", "lock", "better in", "its Jain's index", "its wait p99"],
        found,
        4
      )}`
}

/** What the page says of contention: pure. */
import { cellOf, middle } from "./goals.ts"
import { about, isAlone, isLimit, kinds } from "./kind.ts"
import { number, range, table, time } from "./markdown.ts"
import type { Cell, Measurements, OnServer } from "./measurements.ts"

const isWaitP99AtLeast = (cell: Cell): boolean => cell.rounds.some((round) => round.isWaitP99AtLeast)

/** The p99 of the waits, for people; `≥` where it is only known to be at least that. */
export const p99 = (cell: Cell): string => `${isWaitP99AtLeast(cell) ? "≥ " : ""}${time(middle(cell, "waitP99"))}`

/** Acquisitions a second, and their range over the rounds. */
export const perSecond = (cell: Cell): string =>
  `${number(middle(cell, "perSecond"))}${range(cell.rounds.map(({ perSecond }) => perSecond))}`

/** How often exclusion was broken, over all rounds. */
export const overlapsOf = (cell: Cell): string =>
  String(cell.rounds.reduce((total, { overlaps }) => total + overlaps, 0))

const failures = (cell: Cell): string =>
  String(cell.rounds.reduce((total, { errors, timeouts }) => total + errors + timeouts, 0))

/** Everybody under contention, on one server. */
export const contentionTable = (on: OnServer): string => {
  const counts = [...new Set(on.cells.map(({ contenders }) => contenders))]
  return table(
    [
      "processes",
      "",
      "acquisitions/s",
      "wait p50",
      "wait p99",
      "requests",
      "refused writes",
      "watch events",
      "client CPU",
      "Jain",
      "failed",
      "overlaps"
    ],
    counts.flatMap((contenders) =>
      kinds.map((kind): ReadonlyArray<string> => {
        const cell = cellOf(on, kind, contenders)
        const name = about[kind].name
        if (cell === undefined) return [String(contenders), name, "cannot"]
        if (isAlone(kind)) return [String(contenders), name, perSecond(cell)]
        return [
          String(contenders),
          kind === "kubelock" ? `**${name}**` : name,
          perSecond(cell),
          time(middle(cell, "waitP50")),
          p99(cell),
          number(middle(cell, "requestsPerAcquisition")),
          number(middle(cell, "conflictsPerAcquisition")),
          number(middle(cell, "watchEventsPerAcquisition")),
          time(middle(cell, "cpuPerAcquisition")),
          number(middle(cell, "jain")),
          failures(cell),
          overlapsOf(cell)
        ]
      })
    ),
    2
  )
}

/** Where another lock was better by more than a tenth. A p99 that is only known to be at least so long proves nothing. */
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
      .filter(({ kind }) => kind !== "kubelock" && !isLimit(kind))
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
    : `Wherever another lock was better by more than a tenth (kubelock in brackets). A high throughput, a short median and few requests can be the work of one process that takes the lock again before anybody else looks, while the others starve: the last two columns tell.\n\n${table(
        ["server", "processes", "who", "better in", "its Jain's index", "its wait p99"],
        found,
        4
      )}`
}

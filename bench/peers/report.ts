/** The figures of a run for a terminal: pure. */
import { cellOf, goals, middle } from "./goals.ts"
import { about, isAlone, kinds } from "./kind.ts"
import { number, time } from "./markdown.ts"
import type { Measurements } from "./measurements.ts"

/** A table of the contention for each server, and the goals. */
export const report = (run: Measurements): string =>
  run.servers
    .map((on) => {
      const counts = [...new Set(on.cells.map(({ contenders }) => contenders))]
      const rows = counts.flatMap((contenders) =>
        kinds.map((kind) => {
          const cell = cellOf(on, kind, contenders)
          if (cell === undefined) return [String(contenders), about[kind].name, "cannot"]
          const throughput = number(middle(cell, "perSecond"))
          if (isAlone(kind)) return [String(contenders), about[kind].name, throughput]
          return [
            String(contenders),
            about[kind].name,
            throughput,
            time(middle(cell, "waitP50")),
            time(middle(cell, "waitP99")),
            number(middle(cell, "requestsPerAcquisition")),
            number(middle(cell, "jain"))
          ]
        })
      )
      const judged = goals.flatMap(({ figure, goal, judge }) => {
        const judgement = judge(on, run)
        return judgement === null ? [] : [[judgement.isReached ? "reached" : "MISSED", judgement.text, goal, figure]]
      })
      return [
        `${on.server} ${on.version}`,
        columns([["processes", "", "per second", "wait p50", "wait p99", "requests", "Jain"], ...rows]),
        columns(judged)
      ].join("\n\n")
    })
    .join("\n\n")

const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows.reduce<ReadonlyArray<number>>(
    (widths, row) =>
      Array.from({ length: Math.max(widths.length, row.length) }, (_, column) =>
        Math.max(widths[column] ?? 0, row[column]?.length ?? 0)
      ),
    []
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

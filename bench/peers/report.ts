/** The figures of a run for a terminal: pure. */
import { columns, time } from "../../src/cli/bench/harness/text.ts"
import { column, contentionRows } from "./contention.ts"
import { goals } from "./goals.ts"
import type { Measurements, OnServer } from "./measurements.ts"

/** The contention and the goals, for each server. */
export const report = (run: Measurements): string =>
  run.servers
    .flatMap((on) => [
      `${on.server} ${on.version}`,
      columns(contentionRows(on, shown)).join("\n"),
      columns(judgements(on, run)).join("\n")
    ])
    .join("\n\n")

const shown = [
  column("per second", "perSecond"),
  column("wait p50", "waitP50", time),
  column("wait p99", "waitP99", time),
  column("requests", "requestsPerAcquisition"),
  column("Jain", "jain")
]

const judgements = (on: OnServer, run: Measurements): ReadonlyArray<ReadonlyArray<string>> =>
  goals.flatMap(({ figure, goal, judge }) => {
    const judgement = judge(on, run)
    return judgement === null ? [] : [[judgement.isReached ? "reached" : "MISSED", judgement.text, goal, figure]]
  })

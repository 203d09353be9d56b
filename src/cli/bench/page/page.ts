/** The page of a test: one file, with the plotting library and the data in it. It loads nothing from elsewhere. */
import { preciseTime, significant } from "../harness/text.ts"
import * as report from "../load/report.ts"
import * as assets from "./assets.ts"
import { chartsOf } from "./charts.ts"
import * as data from "./data.ts"
import type { Side } from "./data.ts"

/** What the page is about. */
export interface Content {
  readonly title: string
  readonly sides: ReadonlyArray<Side>
}

/** The page. */
export const html = ({ sides, title }: Content): string => {
  const runs = sides.map(({ figures }) => figures)
  const names = runs.map(({ protocol }) => protocol)
  const timelines = sides.map(data.timelineOf)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:">
<title>Load test: ${escape(names.join(" and "))}</title>
<style>${assets.style}</style>
</head>
<body>
<main>
<h1>Load test: ${escape(names.join(" and "))}</h1>
<p>${escape(title)}</p>
<ul class="verdicts">${runs.map((run) => `<li class="${run.violations === 0 ? "good" : "bad"}">${escape(report.verdict(run))}</li>`).join("")}</ul>
<section aria-labelledby="figures"><h2 id="figures">Figures</h2>
${table(report.cellsOf(runs), "The figures of the test")}
${paragraph(report.remarks(runs).join(" "))}</section>
${figure("timeline", "Who held the lock when", timelineText(sides, timelines), turnsTable(sides, timelines), toolbar)}
${figure("throughput", "Throughput over time", "Acquisitions a second, of all objects.", throughputTable(sides))}
${figure("wait", "Waits", "From wanting the lock to having it. How many of all waits took how long, on a logarithmic scale.", percentilesTable(sides, "waitMillis"))}
${data.hasHandoffs(sides) ? figure("handoff", "Hand-offs", "From the moment when a holder left to the next entry that excludes all others.", percentilesTable(sides, "handoffMillis")) : ""}
${figure("requests", "Requests by verb", "Requests to the API server for each acquisition.", requestsTable(sides))}
${figure("fairness", "Fairness", "How often each contender had the lock. 1 is an equal share.", fairnessTable(sides))}
</main>
<script type="application/json" id="charts">${JSON.stringify(chartsOf(sides, timelines)).replaceAll("<", "\\u003c")}</script>
<!--
${assets.plottingLicense.replaceAll("--", "- -")}
-->
<script>${assets.plotting}</script>
<script>${assets.script}</script>
</body>
</html>
`
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }

const escape = (text: string): string => text.replaceAll(/[&<>"]/g, (found) => entities[found]!)

const paragraph = (text: string): string => (text.trim() === "" ? "" : `<p>${escape(text.trim())}</p>`)

const table = ([head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>, caption: string): string => {
  const columns = head.map((cell) => `<th scope="col">${escape(cell)}</th>`).join("")
  const body = rows.map(([first = "", ...cells]) => {
    const others = cells.map((cell) => `<td>${escape(cell)}</td>`).join("")
    return `<tr><th scope="row">${escape(first)}</th>${others}</tr>`
  })
  return `<div class="wide" tabindex="0" role="region" aria-label="${escape(caption)}"><table><caption>${escape(caption)}</caption><thead><tr>${columns}</tr></thead><tbody>${body.join("")}</tbody></table></div>`
}

const figure = (id: string, title: string, text: string, asTable: string, tools = ""): string => {
  const isMovable = tools !== ""
  const place = isMovable
    ? `tabindex="0" role="group" aria-label="${escape(title)}: plus and minus zoom, the arrow keys move, Home shows all" aria-describedby="${id}-text shown"`
    : `role="img" aria-label="${escape(title)}" aria-describedby="${id}-text"`
  return `<figure id="${id}" aria-labelledby="${id}-title"><figcaption><h2 id="${id}-title">${escape(title)}</h2><p id="${id}-text">${escape(text)}</p></figcaption>
${tools}<div class="chart" ${place}><div aria-hidden="true"></div></div>
<details><summary>${escape(title)} as a table</summary>${asTable}</details></figure>`
}

const toolbar = `<div class="tools" role="toolbar" aria-label="Zoom of the timeline">
${(
  [
    ["in", "Zoom in"],
    ["out", "Zoom out"],
    ["left", "Earlier"],
    ["right", "Later"],
    ["all", "Show all"]
  ] as const
)
  .map(([action, name]) => `<button type="button" data-action="${action}">${name}</button>`)
  .join("")}
<output id="shown" aria-live="polite"></output></div>
`

const timelineText = (sides: ReadonlyArray<Side>, timelines: ReadonlyArray<data.Timeline>): string => {
  const ids = sides[0]?.figures.ids ?? 1
  const what = sides[0]?.figures.kind === "semaphore" ? "permits" : "the lock"
  const merged = Math.max(...timelines.map(({ merged }) => merged))
  const parts = [
    `Each row is a thread, each bar a time in which it held ${what}${ids > 1 ? `, of the first of ${ids} objects` : ""}.`,
    ...(merged === 0 ? [] : [`Pauses of up to ${preciseTime(merged)} between holds of one thread are not shown.`]),
    ...(timelines.every(({ isComplete }) => isComplete)
      ? []
      : ["Only the first holds are shown: there were more than fit."])
  ]
  return parts.join(" ")
}

const bySide = <A>(
  sides: ReadonlyArray<Side>,
  rowsOf: (side: Side) => ReadonlyArray<A>,
  cells: (row: A) => ReadonlyArray<string>
) => sides.flatMap((side) => Array.from(rowsOf(side), (row) => [side.figures.protocol, ...cells(row)]))

const turnsTable = (sides: ReadonlyArray<Side>, timelines: ReadonlyArray<data.Timeline>): string => {
  const rows = sides.flatMap(({ figures }, side) => {
    const { turns } = timelines[side]!
    return Array.from({ length: figures.threads }, (_, thread) => {
      const own = turns.filter((turn) => turn.thread === thread)
      const lengths = own.map(({ from, to }) => to - from)
      return [
        `${figures.protocol}, thread ${thread}`,
        String(own.reduce((sum, { holds }) => sum + holds, 0)),
        String(own.length),
        preciseTime(lengths.reduce((sum, length) => sum + length, 0)),
        preciseTime(Math.max(0, ...lengths))
      ]
    })
  })
  return table([["", "holds", "bars", "time", "longest bar"], ...rows], "Who held the lock, by thread")
}

const throughputTable = (sides: ReadonlyArray<Side>): string =>
  table(
    [
      ["", "time, s", "acquisitions a second"],
      ...bySide(
        sides,
        (side) => data.throughputOf(side, 20),
        ({ perSecond, seconds }) => [seconds.toFixed(2), significant(perSecond)]
      )
    ],
    "Throughput over time"
  )

const percentilesTable = (sides: ReadonlyArray<Side>, which: "waitMillis" | "handoffMillis"): string =>
  table(
    [
      ["", "p50", "p95", "p99", "max"],
      ...sides.map(({ figures }) => [
        figures.protocol,
        ...(["p50", "p95", "p99", "max"] as const).map((name) => {
          const value = figures[which][name]
          return value === null ? "-" : preciseTime(value)
        })
      ])
    ],
    which === "waitMillis" ? "Waits" : "Hand-offs"
  )

const requestsTable = (sides: ReadonlyArray<Side>): string =>
  table(
    [
      ["", "verb", "requests", "for each acquisition"],
      ...bySide(sides, data.requestsOf, ({ count, perAcquisition, verb }) => [
        verb,
        String(count),
        significant(perAcquisition)
      ])
    ],
    "Requests by verb"
  )

const fairnessTable = (sides: ReadonlyArray<Side>): string =>
  table(
    [
      ["", "contender", "equal shares"],
      ...bySide(
        sides,
        (side) => data.sharesOf(side, 16),
        ({ contender, share }) => [String(contender), significant(share)]
      )
    ],
    "Shares of the contenders, from the least lucky"
  )

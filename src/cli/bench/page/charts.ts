/** The charts of the page: specifications for Vega, most of them made by Vega-Lite. Their colours come from the page. */
import type * as vega from "vega"
import * as vegaLite from "vega-lite"
import * as data from "./data.ts"
import type { Side } from "./data.ts"

type UnitSpec = Extract<vegaLite.TopLevelSpec, { readonly mark: unknown }>

/** A chart. `renderer`: how it is drawn. */
export interface Chart {
  readonly spec: vega.Spec
  readonly renderer: "canvas" | "svg"
}

const named = <A extends object>(sides: ReadonlyArray<Side>, rowsOf: (side: Side) => ReadonlyArray<A>) =>
  sides.flatMap((side) => Array.from(rowsOf(side), (row) => ({ side: side.figures.protocol, ...row })))

/** The charts of a test, by the ids of their places on the page. `timelines` are those of the sides. */
export const chartsOf = (
  sides: ReadonlyArray<Side>,
  timelines: ReadonlyArray<data.Timeline>
): Readonly<Record<string, Chart>> => {
  const color = {
    field: "side",
    type: "nominal",
    title: null,
    sort: null,
    legend: sides.length > 1 ? { orient: "top" } : null
  } as const
  const lite = (
    spec: Pick<UnitSpec, "mark" | "encoding"> & { readonly data: { readonly values: Array<object> } }
  ): Chart => ({
    renderer: "svg",
    spec: vegaLite.compile({
      background: "transparent",
      width: "container",
      height: 220,
      autosize: { type: "fit-x", contains: "padding" },
      ...spec
    } as vegaLite.TopLevelSpec).spec
  })
  const distribution = (which: "wait" | "handoff", title: string) =>
    lite({
      data: { values: named(sides, ({ records }) => data.distributionOf(records[which])) },
      mark: { type: "rect", opacity: sides.length > 1 ? 0.6 : 0.9 },
      encoding: {
        x: {
          field: "from",
          type: "quantitative",
          title,
          scale: { type: "log" },
          axis: { format: "~g", tickCount: 6, grid: false, labelSeparation: 6 }
        },
        x2: { field: "to" },
        y: {
          field: "share",
          type: "quantitative",
          title: "share of all",
          stack: null,
          axis: { format: "%", tickCount: 5 }
        },
        y2: { datum: 0 },
        color,
        tooltip: [
          { field: "from", title: "from, ms", format: ".3~g" },
          { field: "to", title: "to, ms", format: ".3~g" },
          { field: "share", format: ".1%" }
        ]
      }
    })

  return {
    timeline: { renderer: "canvas", spec: timeline(sides, timelines) },
    throughput: lite({
      data: { values: named(sides, (side) => data.throughputOf(side)) },
      mark: { type: "line", interpolate: "step-after", strokeWidth: 1.5 },
      encoding: {
        x: { field: "seconds", type: "quantitative", title: "time, s", axis: { grid: false } },
        y: { field: "perSecond", type: "quantitative", title: "acquisitions a second", axis: { tickCount: 5 } },
        color
      }
    }),
    wait: distribution("wait", "wait, ms (log)"),
    ...(data.hasHandoffs(sides) ? { handoff: distribution("handoff", "hand-off, ms (log)") } : {}),
    requests: lite({
      data: { values: named(sides, data.requestsOf) },
      mark: { type: "bar" },
      encoding: {
        x: { field: "verb", type: "nominal", title: null, axis: { labelAngle: 0 } },
        ...(sides.length > 1 ? { xOffset: { field: "side", sort: null } } : {}),
        y: { field: "perAcquisition", type: "quantitative", title: "requests per acquisition", axis: { tickCount: 5 } },
        color,
        tooltip: [
          { field: "side" },
          { field: "verb" },
          { field: "count", format: "," },
          { field: "perAcquisition", format: ".3~g" }
        ]
      }
    }),
    fairness: lite({
      data: { values: named(sides, (side) => data.sharesOf(side)) },
      mark: { type: "line", interpolate: "step", strokeWidth: 2, point: true },
      encoding: {
        x: {
          field: "contender",
          type: "quantitative",
          title: "contenders, from the least lucky",
          axis: { grid: false, tickMinStep: 1 }
        },
        y: { field: "share", type: "quantitative", title: "equal shares", axis: { tickCount: 5 } },
        color
      }
    })
  }
}

/** Which thread held the lock when: a row for each. The signal `domain` is the part of the time that is shown, in milliseconds. */
const timeline = (sides: ReadonlyArray<Side>, timelines: ReadonlyArray<data.Timeline>): vega.Spec => {
  const protocols = sides.map(({ figures }) => figures.protocol)
  const rows = sides.flatMap(({ figures: { protocol, threads } }) =>
    Array.from({ length: threads }, (_, thread) => ({
      protocol,
      name: sides.length > 1 ? `${protocol} ${thread}` : `thread ${thread}`
    }))
  )
  const names = rows.map(({ name }) => name)
  const turns = timelines.flatMap(({ turns }, side) => {
    const first = rows.findIndex(({ protocol }) => protocol === protocols[side])
    return turns.map(({ thread, ...turn }) => ({ ...turn, row: first + thread }))
  })
  const end = Math.max(1, ...turns.map(({ to }) => to))
  return {
    height: Math.max(60, 22 * rows.length),
    autosize: { type: "fit-x", contains: "padding" },
    signals: [
      { name: "end", value: end },
      { name: "rowsOf", value: names },
      { name: "sideOf", value: rows.map(({ protocol }) => protocol) },
      { name: "domain", value: [0, end] },
      {
        name: "width",
        init: "containerSize()[0] || 300",
        on: [{ update: "containerSize()[0] || 300", events: "window:resize" }]
      }
    ],
    data: [
      // Few bytes: the row, when it began, how long it lasted (both in microseconds), and how many holds it was.
      {
        name: "turns",
        values: turns.map(({ from, holds, row, to }) => [
          row,
          Math.round(from * 1000),
          Math.max(1, Math.round((to - from) * 1000)),
          holds
        ]),
        transform: [
          { type: "formula", expr: "datum[1] / 1000", as: "from" },
          { type: "formula", expr: "(datum[1] + datum[2]) / 1000", as: "to" },
          { type: "filter", expr: "datum.to >= domain[0] && datum.from <= domain[1]" },
          { type: "formula", expr: "rowsOf[datum[0]]", as: "row" }
        ]
      }
    ],
    scales: [
      { name: "x", type: "linear", range: "width", domain: { signal: "domain" }, nice: false, zero: false },
      { name: "y", type: "band", range: "height", domain: names, paddingInner: 0.25, paddingOuter: 0.1 },
      { name: "color", type: "ordinal", range: "category", domain: protocols }
    ],
    axes: [
      {
        orient: "bottom",
        scale: "x",
        title: "time, s",
        tickCount: 6,
        grid: true,
        encode: {
          labels: {
            update: {
              text: {
                signal:
                  "format(datum.value / 1000, domain[1] - domain[0] < 50 ? '.4f' : domain[1] - domain[0] < 5000 ? '.2f' : '~r')"
              }
            }
          }
        }
      },
      { orient: "left", scale: "y", domain: false, ticks: false }
    ],
    marks: [
      {
        type: "group",
        encode: { update: { width: { signal: "width" }, height: { signal: "height" }, clip: { value: true } } },
        marks: [
          {
            type: "rect",
            from: { data: "turns" },
            encode: {
              update: {
                y: { scale: "y", field: "row" },
                height: { scale: "y", band: 1 },
                x: { scale: "x", field: "from" },
                // What is shorter than a pixel is seen all the same.
                x2: { signal: "max(scale('x', datum.to), scale('x', datum.from) + 0.75)" },
                fill: { scale: "color", signal: "sideOf[datum[0]]" },
                tooltip: {
                  signal:
                    "{thread: datum.row, from: format(datum.from, ',.3f') + ' ms', 'for': format(datum.to - datum.from, ',.3f') + ' ms', holds: format(datum[3], ',')}"
                }
              }
            }
          }
        ]
      }
    ]
  } as vega.Spec
}

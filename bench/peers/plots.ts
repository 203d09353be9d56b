/** The plots of the page, drawn by Vega-Lite. */
import * as vega from "vega"
import * as vegaLite from "vega-lite"
import { about, isLimit, type Kind, kinds, syncsEverySecond } from "../contest/kind.ts"
import { type Measure, middle } from "./cells.ts"
import type { Cell, Measurements } from "./measurements.ts"
import { grid } from "./samples.ts"

/** A plot: its file, its title, and the SVG. */
export interface Plot {
  readonly file: string
  readonly title: string
  readonly svg: string
}

/** The number of contenders whose distributions are drawn. If it was not measured, the largest number that was. */
const drawnContenders = 8

/** Draws all plots of a run. */
export const draw = async (run: Measurements): Promise<ReadonlyArray<Plot>> => {
  const cells = run.servers.flatMap(({ cells, server }) =>
    cells.flatMap((cell) => (syncsEverySecond(cell.kind) ? [] : [{ ...cell, server }]))
  )
  const counts = [...new Set(cells.map(({ contenders }) => contenders))]
  const contenders = counts.includes(drawnContenders) ? drawnContenders : Math.max(...counts)

  const against = (measure: Measure, title: string, isUseful: (cell: Cell) => boolean) =>
    lines({
      rows: cells.filter(isUseful).flatMap((cell) => {
        const y = middle(cell, measure)
        return y === null || y <= 0 ? [] : [{ server: cell.server, who: about[cell.kind].name, x: cell.contenders, y }]
      }),
      x: { title: "contending processes", ticks: counts },
      y: { title, isLog: true },
      hasPoints: true
    })

  const distribution = (which: "wait" | "handoff", title: string) =>
    lines({
      rows: cells
        .filter((cell) => cell.contenders === contenders && !isLimit(cell.kind))
        .flatMap((cell) =>
          cell[which].map((millis, index) => ({
            server: cell.server,
            who: about[cell.kind].name,
            x: Math.max(0.1, millis),
            y: grid[index]!
          }))
        ),
      x: { title },
      y: { title: "share that is no longer", isLog: false },
      hasPoints: false
    })

  const plots = [
    ["throughput", "Acquisitions a second", against("perSecond", "acquisitions/s", () => true)],
    [
      "requests",
      "Requests per acquisition",
      against("requestsPerAcquisition", "requests per acquisition", ({ kind }) => !isLimit(kind))
    ],
    ["wait-p99", "The longest waits: p99", against("waitP99", "wait p99, ms", ({ kind }) => !isLimit(kind))],
    ["wait", `Waits of ${contenders} processes`, distribution("wait", "wait, ms")],
    ["handoff", `Hand-offs of ${contenders} processes`, distribution("handoff", "from leaving to the next entry, ms")],
    ["ids", "Cost against the number of ids", idCosts(run)]
  ] as const
  return Promise.all(
    plots.map(async ([name, title, spec]) => ({ file: `benchmarks/${name}.svg`, title, svg: await toSvg(spec) }))
  )
}

const colours: Readonly<Record<Kind, string>> = {
  kubelock: "#0b6bcb",
  "kubelock-before": "#7cb8f0",
  "kubelock-lease": "#0f766e",
  "kubelock-configmap": "#65a30d",
  dex: "#c2410c",
  "lease-fast": "#15803d",
  "lease-default": "#86b817",
  "k8s-lease-lock": "#7e22ce",
  "etcd-mutex": "#0891b2",
  etcdctl: "#67e8f9",
  "redis-semaphore": "#be123c",
  redlock: "#f43f5e",
  "effect-distributed-lock": "#fda4af",
  "redis-semaphore-everysec": "#854d0e",
  "redlock-everysec": "#ca8a04",
  "effect-distributed-lock-everysec": "#fde047",
  relay: "#a8a29e",
  raw: "#6b7280"
}

const size = { width: 360, height: 260 }

const lines = (options: {
  readonly rows: ReadonlyArray<{
    readonly server: string
    readonly who: string
    readonly x: number
    readonly y: number
  }>
  readonly x: { readonly title: string; readonly ticks?: ReadonlyArray<number> }
  readonly y: { readonly title: string; readonly isLog: boolean }
  readonly hasPoints: boolean
}): vegaLite.TopLevelSpec => {
  const shown = kinds.filter((kind) => options.rows.some(({ who }) => who === about[kind].name))
  const servers = [...new Set(options.rows.map(({ server }) => server))]
  const { ticks } = options.x
  return {
    data: { values: [...options.rows] },
    facet: { column: { field: "server", type: "nominal", title: null, sort: servers } },
    spec: {
      ...size,
      mark: {
        type: "line",
        strokeWidth: 2,
        point: options.hasPoints,
        interpolate: options.hasPoints ? "linear" : "step-after"
      },
      encoding: {
        x: {
          field: "x",
          type: "quantitative",
          title: options.x.title,
          scale: {
            type: "log",
            ...(ticks === undefined ? {} : { base: 2, domain: [Math.min(...ticks), Math.max(...ticks)] })
          },
          axis: ticks === undefined ? { tickCount: 6 } : { values: [...ticks], format: "d" }
        },
        y: {
          field: "y",
          type: "quantitative",
          title: options.y.title,
          scale: options.y.isLog ? { type: "log" } : { domain: [0, 1] }
        },
        color: {
          field: "who",
          type: "nominal",
          title: null,
          sort: shown.map((kind) => about[kind].name),
          scale: { domain: shown.map((kind) => about[kind].name), range: shown.map((kind) => colours[kind]) }
        }
      }
    }
  }
}

const idCosts = ({ memory }: Measurements): vegaLite.TopLevelSpec => {
  const x = {
    field: "ids",
    type: "quantitative",
    title: "ids",
    scale: { type: "log" },
    axis: { values: memory.ids.map(({ ids }) => ids), format: ",d" }
  } as const
  const mark = { type: "line", strokeWidth: 2, point: { color: colours.kubelock }, color: colours.kubelock } as const
  const y = (field: string, title: string) => ({ field, type: "quantitative", title, scale: { zero: true } }) as const
  return {
    data: { values: [...memory.ids] },
    hconcat: [
      { ...size, mark, encoding: { x, y: y("cycleMicrosP50", "cycle p50, microseconds") } },
      { ...size, mark, encoding: { x, y: y("bytesPerId", "bytes on the heap for each idle id") } }
    ]
  }
}

const toSvg = (spec: vegaLite.TopLevelSpec): Promise<string> => {
  const compiled = vegaLite.compile({ background: "white", padding: 8, ...spec }).spec
  return new vega.View(vega.parse(compiled), { renderer: "none" }).toSVG()
}

/** The dashboard for Grafana, docs/observability/dashboard.json: `npm run dashboard` writes it. */
import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog"
import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh
} from "@grafana/grafana-foundation-sdk/dashboard"
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus"
import * as stat from "@grafana/grafana-foundation-sdk/stat"
import * as stateTimeline from "@grafana/grafana-foundation-sdk/statetimeline"
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries"

const source = { type: "prometheus", uid: "${datasource}" }

/** Which series: those of the chosen namespaces and jobs, and of the chosen kinds of locks. */
const chosen = 'namespace=~"$namespace", job=~"$job"'
const ofKind = `${chosen}, kind=~"$kind"`

type Query = readonly [legend: string, expr: string]

const query = ([legend, expr]: Query): Builder<Dataquery> =>
  new DataqueryBuilder().datasource(source).expr(expr).legendFormat(legend)

const rate = (metric: string, by: string, where = ofKind): string =>
  `sum by (${by}) (rate(${metric}{${where}}[$__rate_interval]))`

const totalRate = (metric: string, where = ofKind): string => `sum(rate(${metric}{${where}}[$__rate_interval]))`

/**
 * How often something rare has happened within a time, for each series. A series that appears counts whole: its counter is above 0 from
 * the beginning, and has no increase.
 */
const times = (metric: string, within: string, where: string): string => {
  const series = `${metric}{${where}}`
  return `(max_over_time(${series}[${within}]) unless ${series} offset ${within}) or increase(${series}[${within}])`
}

const total = (metric: string): string => `sum(${times(metric, "$__range", ofKind)})`

const counted = (metric: string, by = "", where = ofKind): string =>
  `sum by (${by}) (${times(metric, "$__rate_interval", where)})`

const quantiles = (metric: string, where = ofKind): ReadonlyArray<Query> =>
  (["0.5", "0.95", "0.99"] as const).map((quantile) => [
    `p${Number(quantile) * 100}`,
    `histogram_quantile(${quantile}, ${rate(`${metric}_bucket`, "le", where)})`
  ])

interface Chart {
  readonly title: string
  readonly text: string
  readonly unit?: string
  readonly queries: ReadonlyArray<Query>
}

const chart = ({ queries, text, title, unit = "short" }: Chart): Builder<Panel> =>
  new timeseries.PanelBuilder()
    .title(title)
    .description(text)
    .datasource(source)
    .targets(queries.map(query))
    .unit(unit)
    .min(0)
    .fillOpacity(10)
    .span(8)
    .height(8)

/** One number. It is red from `bad` on. */
const number = (title: string, text: string, expr: string, bad?: number): Builder<Panel> =>
  new stat.PanelBuilder()
    .title(title)
    .description(text)
    .datasource(source)
    .targets([query(["", expr])])
    .noValue("0")
    .thresholds(
      new ThresholdsConfigBuilder()
        .mode(ThresholdsMode.Absolute)
        .steps([
          { value: null, color: bad === undefined ? "text" : "green" },
          ...(bad === undefined ? [] : [{ value: bad, color: "red" }])
        ])
    )
    .span(4)
    .height(4)

const overview = [
  number("Held", "Locks that are held.", `sum(kubelock_held{${ofKind}})`),
  number("Waiting", "Contenders that wait.", `sum(kubelock_waiting{${ofKind}})`),
  number(
    "Lost",
    "Locks lost in the chosen time. KubelockLockLost in docs/observability.md.",
    total("kubelock_losses_total"),
    1
  ),
  number(
    "Timed out",
    "Waits that ended without the lock in the chosen time. KubelockWaitTimedOut in docs/observability.md.",
    total("kubelock_timeouts_total"),
    1
  ),
  number(
    "Failed",
    "Acquisitions that failed in the chosen time. KubelockAcquisitionsFail in docs/observability.md.",
    total("kubelock_failures_total"),
    1
  ),
  number(
    "Overdue",
    "Locks that are held for longer than announced. KubelockHeldTooLong in docs/observability.md.",
    `sum(kubelock_overdue{${ofKind}})`,
    1
  )
]

const locks = [
  chart({
    title: "Acquisitions",
    text: "Locks acquired a second, by their kind.",
    unit: "ops",
    queries: [["{{kind}} {{mode}}", rate("kubelock_acquisitions_total", "kind, mode")]]
  }),
  chart({
    title: "Waits",
    text: "From the call to the acquisition. The default wait schedule ends after 20 s.",
    unit: "s",
    queries: quantiles("kubelock_wait_seconds")
  }),
  chart({
    title: "Holds",
    text: "From the acquisition to the release. A hold counts when it has ended.",
    unit: "s",
    queries: quantiles("kubelock_hold_seconds")
  }),
  chart({
    title: "Held and waiting",
    text: "Waits that are much longer than holds are a queue.",
    queries: [
      ["held, {{kind}} {{mode}}", `sum by (kind, mode) (kubelock_held{${ofKind}})`],
      ["permits held", `sum(kubelock_permits_held{${ofKind}})`],
      ["waiting, {{kind}} {{mode}}", `sum by (kind, mode) (kubelock_waiting{${ofKind}})`]
    ]
  }),
  chart({
    title: "Losses and take-overs",
    text: "Locks lost by the reason, expired locks taken over, and locks broken, in each interval.",
    queries: [
      ["lost: {{reason}}", counted("kubelock_losses_total", "reason")],
      ["taken over", counted("kubelock_takeovers_total")],
      ["broken", counted("kubelock_breaks_total")]
    ]
  }),
  chart({
    title: "Time-outs, failures, conflicts, renewals",
    text: "In each interval. A conflict is an attempt that found the lock held, or lost a race: normal in a contest.",
    queries: [
      ["timed out", counted("kubelock_timeouts_total")],
      ["failed: {{error}}", counted("kubelock_failures_total", "error")],
      ["conflicts", counted("kubelock_conflicts_total")],
      ["renewals", counted("kubelock_renewals_total")]
    ]
  })
]

const requests = [
  chart({
    title: "Requests",
    text: "Requests to the API server a second. 409 and 422 of a patch are writes that lost a race.",
    unit: "reqps",
    queries: [["{{verb}} {{status}}", rate("kubelock_request_seconds_count", "verb, status", chosen)]]
  }),
  chart({
    title: "How long a request takes",
    text: "p99, by the verb. For a watch, until it is open.",
    unit: "s",
    queries: [["{{verb}}", `histogram_quantile(0.99, ${rate("kubelock_request_seconds_bucket", "le, verb", chosen)})`]]
  }),
  chart({
    title: "Requests for each acquisition",
    text: "All requests, divided by all acquisitions.",
    queries: [
      [
        "requests",
        `${totalRate("kubelock_request_seconds_count", chosen)} / ${totalRate("kubelock_acquisitions_total", chosen)}`
      ]
    ]
  })
]

const others = [
  new stateTimeline.PanelBuilder()
    .title("Who leads")
    .description("1 in the leader of an election, 0 in its candidates.")
    .datasource(source)
    .targets([query(["{{name}} {{instance}}", `max by (name, instance) (leader_election_master_status{${chosen}})`])])
    .span(8)
    .height(8),
  chart({
    title: "Elections: slow path",
    text: "Writes to a Lease that had to read it first, in each interval.",
    queries: [["{{name}}", counted("leader_election_slowpath_total", "name", chosen)]]
  }),
  chart({
    title: "Once: runs",
    text: "Runs by their outcome in each interval, and the time of the work.",
    queries: [
      ["{{outcome}}", counted("kubelock_once_runs_total", "outcome", chosen)],
      ["seconds, p99", `histogram_quantile(0.99, ${rate("kubelock_once_run_seconds_bucket", "le", chosen)})`]
    ]
  }),
  chart({
    title: "Refreshes",
    text: "Refreshes by their outcome in each interval, and values that are not written yet.",
    queries: [
      ["{{outcome}}", counted("kubelock_refreshes_total", "outcome", chosen)],
      ["unwritten", `sum(kubelock_refresh_unwritten{${chosen}})`]
    ]
  }),
  chart({
    title: "The upstream of refreshes",
    text: "The time that it takes.",
    unit: "s",
    queries: quantiles("kubelock_refresh_upstream_seconds", chosen)
  })
]

const choice = (name: string, label: string, of: string) =>
  new QueryVariableBuilder(name)
    .label(label)
    .datasource(source)
    .query(`label_values(${of}, ${name})`)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .includeAll(true)
    // Also series that do not have the label.
    .allValue(".*")
    .multi(true)
    .current({ text: "All", value: "$__all" })

const dashboard = new DashboardBuilder("kubelock")
  .uid("kubelock")
  .description("What the locks of kubelock do. docs/observability.md explains it.")
  .tags(["kubelock", "kubernetes", "locks"])
  .tooltip(DashboardCursorSync.Crosshair)
  .refresh("30s")
  .time({ from: "now-1h", to: "now" })
  .withVariable(new DatasourceVariableBuilder("datasource").label("Prometheus").type("prometheus"))
  .withVariable(choice("namespace", "Namespace", "kubelock_request_seconds_count"))
  .withVariable(choice("job", "Job", "kubelock_request_seconds_count"))
  .withVariable(choice("kind", "Kind", "kubelock_held"))

for (const [title, panels] of [
  ["At a glance", overview],
  ["Locks", locks],
  ["Requests to the API server", requests],
  ["Elections, runs that are done once, refreshes", others]
] as const) {
  dashboard.withRow(new RowBuilder(title))
  for (const panel of panels) dashboard.withPanel(panel)
}

/** The dashboard as Grafana imports it. */
export const json = (): string => `${JSON.stringify(dashboard.build(), null, 2)}\n`

/** The dashboard and the alerts that the package has, and the example that exports what they show. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Schedule from "effect/Schedule"
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parse } from "yaml"
import * as kubelock from "../../src/index.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as Ports from "../../src/testing/envtest/Ports.ts"
import { inPath } from "../../tools/inPath.ts"
import { describeMissing } from "../../tools/notRun.ts"
import { json } from "../../tools/observability/dashboard.ts"
import { publicMetrics } from "../utils/publicMetrics.ts"
import { root } from "../utils/publicModules.ts"

const folder = join(root, "docs/observability")
const alertsFile = join(folder, "alerts.yaml")

interface Rule {
  readonly alert: string
  readonly expr: string
}

const alerts = (
  parse(readFileSync(alertsFile, "utf8")) as { readonly groups: ReadonlyArray<{ rules: Array<Rule> }> }
).groups.flatMap(({ rules }) => rules)

const panels = JSON.parse(json()) as {
  readonly panels: ReadonlyArray<{ readonly targets?: ReadonlyArray<{ readonly expr: string }> }>
}
/** What the panels ask, with values for Grafana's variables. */
const queries = panels.panels
  .flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  .map((expr) => expr.replaceAll(/\$__(rate_interval|range)/g, "5m").replaceAll(/\$(namespace|job|kind)/g, ".*"))

describe("the dashboard", () => {
  it("is up to date", () => {
    assert.strictEqual(
      readFileSync(join(folder, "dashboard.json"), "utf8"),
      json(),
      "Run `npm run dashboard`, and commit docs/observability/dashboard.json."
    )
  })
})

describe("the dashboard and the alerts", () => {
  const known = new Map(publicMetrics(kubelock).map((metric) => [metric.id, metric.type]))
  const asked = [...queries, ...alerts.map(({ expr }) => expr)].flatMap((expr) =>
    [...expr.matchAll(/\b(?:kubelock|leader_election)_\w+/g)].map(([name]) => name)
  )

  it("ask for metrics that exist", () => {
    const unknown = asked.filter((name) => {
      const [, base, part] = /^(.*?)(_bucket|_count|_sum)?$/.exec(name)!
      return known.get(base!) === undefined || (known.get(base!) === "Histogram") !== (part !== undefined)
    })
    assert.deepStrictEqual(unknown, [])
  })

  it("show every metric", () => {
    const shown = new Set(asked.map((name) => name.replace(/_(bucket|count|sum)$/, "")))
    assert.deepStrictEqual(
      [...known.keys()].filter((id) => !shown.has(id)),
      []
    )
  })

  it.effect("ask for buckets that exist", () =>
    Effect.gen(function* () {
      const page = yield* kubelock.Lock.withLock("a")(Effect.void).pipe(
        Effect.andThen(PrometheusMetrics.format()),
        Effect.provide(kubelock.Lock.layerMemory()),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      const buckets = alerts.flatMap(({ expr }) => [...expr.matchAll(/le="[^"]*"/g)].map(([bucket]) => bucket))
      assert.isNotEmpty(buckets)
      for (const bucket of buckets) assert.include(page, bucket)
    })
  )
})

describe("each alert", () => {
  it("has a section on the page, and each section an alert", () => {
    const page = readFileSync(join(root, "docs/observability.md"), "utf8")
    assert.deepStrictEqual(
      [...page.matchAll(/^### (Kubelock\w+)$/gm)].map(([, name]) => name!),
      alerts.map(({ alert }) => alert)
    )
  })
})

const has = (program: string): boolean => inPath(program) !== undefined

const missing = (program: string) => `NOT RUN, no ${program}: Debian's package prometheus has one`

/** A folder that goes when the work is done. */
const inFolder = <A>(use: (folder: string) => A): A => {
  const home = mkdtempSync(join(tmpdir(), "kubelock-prometheus-"))
  try {
    return use(home)
  } finally {
    rmSync(home, { recursive: true })
  }
}

if (has("promtool")) {
  describe("to promtool,", () => {
    const promtool = (...args: ReadonlyArray<string>) => {
      const { status, stderr, stdout } = spawnSync("promtool", args, { encoding: "utf8" })
      assert.strictEqual(status, 0, `${stdout}\n${stderr}`)
    }

    it("the alerts are rules, and fire when they should", () => {
      promtool("check", "rules", "--lint-fatal", alertsFile)
      inFolder((home) => {
        const tests = readFileSync(join(import.meta.dirname, "alerts.test.yaml"), "utf8")
        writeFileSync(join(home, "tests.yaml"), tests.replace("[ALERTS]", `[${JSON.stringify(alertsFile)}]`))
        promtool("test", "rules", join(home, "tests.yaml"))
        for (const { alert } of alerts) assert.include(tests, `alertname: ${alert}\n`)
      })
    })

    it("the queries of the dashboard are PromQL", () => {
      inFolder((home) => {
        const rules = queries.map((expr, index) => ({ record: `query_${index}`, expr }))
        writeFileSync(join(home, "queries.yaml"), JSON.stringify({ groups: [{ name: "dashboard", rules }] }))
        promtool("check", "rules", join(home, "queries.yaml"))
      })
    })

    it("the dashboard counts what happens for the first time, when its series appears", () => {
      // Acquisitions are many: they are shown as a rate.
      const counters = publicMetrics(kubelock).filter(
        ({ id, type }) => type === "Counter" && id !== "kubelock_acquisitions_total"
      )
      const asking = counters.flatMap(({ id }) => {
        const found = queries.filter((query) => query.includes(id))
        assert.isNotEmpty(found, id)
        return found
      })
      const test = {
        interval: "30s",
        input_series: counters.map(({ id }) => ({
          series: `${id}{namespace="n",job="s",kind="lock",name="l",outcome="Failed"}`,
          values: "_x20 1x5"
        })),
        promql_expr_test: asking.map((query) => ({
          expr: `max(${query}) == bool 1`,
          eval_time: "11m30s",
          exp_samples: [{ labels: "{}", value: 1 }]
        }))
      }
      inFolder((home) => {
        writeFileSync(join(home, "tests.yaml"), JSON.stringify({ evaluation_interval: "30s", tests: [test] }))
        promtool("test", "rules", join(home, "tests.yaml"))
      })
    })
  })
} else {
  describeMissing("to promtool,", missing("promtool"))
}

/** The example on an embedded API server. Returns its address, and what it has sent to an OTLP collector so far. */
const example = Effect.gen(function* () {
  const { kubeConfig } = yield* ApiServer.make()
  const sent: Array<{ readonly path: string; readonly body: string }> = []
  const collector = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk) => (body += String(chunk)))
        request.on("end", () => {
          sent.push({ path: request.url!, body })
          response.setHeader("content-type", "application/json").end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close(() => {}).closeAllConnections())
  )
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-observability-"))),
    (home) => Effect.sync(() => rmSync(home, { recursive: true }))
  )
  writeFileSync(join(home, "kubeconfig"), kubeConfig)
  const port = yield* Ports.free
  yield* running(
    process.execPath,
    ["--conditions=kubelock-source", join(root, "docs/examples/observability/service.ts")],
    {
      KUBECONFIG: join(home, "kubeconfig"),
      PORT: String(port),
      OTEL_SERVICE_NAME: "rounds",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_LOGS_EXPORTER: "otlp",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      OTEL_BSP_SCHEDULE_DELAY: "500",
      OTEL_BLRP_SCHEDULE_DELAY: "500"
    }
  )
  return { address: `127.0.0.1:${port}`, home, sent }
})

const running = (program: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(program, args, { stdio: "ignore", env: { ...process.env, ...env } })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Asks again and again until the answer is as it should be. */
const eventually = <A>(url: string, read: (text: string) => A | undefined) =>
  HttpClient.get(url).pipe(
    Effect.flatMap(({ status, text }) => (status === 200 ? text : Effect.fail(new Error(`the status is ${status}`)))),
    Effect.flatMap((text) => {
      const found = read(text)
      return found === undefined ? Effect.fail(new Error(`not yet: ${text.slice(0, 2000)}`)) : Effect.succeed(found)
    }),
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 1000 }),
    Effect.provide(FetchHttpClient.layer)
  )

describe("the example", () => {
  it.live("has a page for Prometheus, and sends spans, metrics and logs to a collector", () =>
    Effect.gen(function* () {
      const { address, sent } = yield* example
      const page = yield* eventually(`http://${address}/metrics`, (text) =>
        text.includes('kubelock_acquisitions_total{kind="lock"}') ? text : undefined
      )
      assert.match(page, /^# TYPE kubelock_wait_seconds histogram$/m)
      const expected = [
        ["/v1/traces", "kubelock.acquire"],
        ["/v1/traces", "url.template"],
        ["/v1/metrics", "kubelock_wait_seconds"],
        ["/v1/logs", "working"]
      ] as const
      yield* eventually(`http://${address}/metrics`, () => {
        const isSent = ([path, text]: (typeof expected)[number]) =>
          sent.some((one) => one.path === path && one.body.includes(text))
        return expected.every(isSent) ? true : undefined
      })
      assert.isTrue(sent.every(({ body }) => body.includes("rounds")))
    }).pipe(Effect.scoped)
  )
})

if (has("prometheus")) {
  describe("a Prometheus", () => {
    it.live("scrapes the example, and evaluates the alerts and the queries of the dashboard", () =>
      Effect.gen(function* () {
        const { address, home } = yield* example
        const listen = `127.0.0.1:${yield* Ports.free}`
        const config = {
          global: { scrape_interval: "1s", evaluation_interval: "1s" },
          rule_files: [alertsFile],
          scrape_configs: [
            { job_name: "rounds", static_configs: [{ targets: [address], labels: { namespace: "default" } }] }
          ]
        }
        writeFileSync(join(home, "prometheus.yaml"), JSON.stringify(config))
        yield* running("prometheus", [
          `--config.file=${join(home, "prometheus.yaml")}`,
          `--storage.tsdb.path=${join(home, "data")}`,
          `--web.listen-address=${listen}`
        ])
        const ask = (query: string) => `http://${listen}/api/v1/query?${new URLSearchParams({ query }).toString()}`
        const value = yield* eventually(ask('kubelock_acquisitions_total{job="rounds",kind="lock"}'), (text) => {
          const { data } = JSON.parse(text) as {
            readonly data: { readonly result: ReadonlyArray<{ value: [number, string] }> }
          }
          return data.result[0]?.value[1]
        })
        assert.isAtLeast(Number(value), 1)
        for (const query of queries) {
          yield* eventually(ask(query), (text) => {
            assert.strictEqual((JSON.parse(text) as { readonly status: string }).status, "success", query)
            return true
          })
        }
        yield* eventually(`http://${listen}/api/v1/rules`, (text) => {
          const healths = [...text.matchAll(/"health":"(\w+)"/g)].map(([, health]) => health)
          return healths.length === alerts.length && healths.every((health) => health === "ok") ? true : undefined
        })
      }).pipe(Effect.scoped)
    )
  })
} else {
  describeMissing("a Prometheus", missing("prometheus"))
}

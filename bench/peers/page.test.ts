import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { goals } from "./goals.ts"
import { elsewhere, type Kind, kinds } from "../contest/kind.ts"
import type { Cell, Measurements, OnServer } from "./measurements.ts"
import { page } from "./page.ts"
import * as plan from "./plan.ts"
import { draw } from "./plots.ts"
import { report } from "./report.ts"
import { curve, type Round } from "./samples.ts"

const round = (part: Partial<Round>): Round => ({
  acquisitions: 100,
  perSecond: 100,
  requestsPerAcquisition: 2,
  conflictsPerAcquisition: 0,
  watchEventsPerAcquisition: 2,
  cpuPerAcquisition: 1,
  serverCpuPerAcquisition: 2,
  waitP50: 10,
  waitP99: 20,
  isWaitP99AtLeast: false,
  handoffP50: 3,
  burstMillis: 30,
  jain: 1,
  timeouts: 0,
  errors: 0,
  overlaps: 0,
  ...part
})

const cell = (kind: Kind, contenders: number, ...rounds: ReadonlyArray<Partial<Round>>): Cell => ({
  kind,
  contenders,
  holdMillis: 0,
  rounds: rounds.map(round),
  wait: curve([1, 10, 20]),
  handoff: curve([2, 3, 4])
})

const mixedOf = (kind: Kind, share: number) => ({
  kind,
  acquisitions: 1000 * share,
  share,
  timeouts: 0,
  errors: 0,
  waitP50: 5,
  waitP99: 500,
  waitMax: 900
})

const kubeApiserver: OnServer = {
  server: "kube-apiserver",
  version: "v1.20.2",
  cells: [
    cell("kubelock", 8, { perSecond: 180 }, { perSecond: 220 }),
    cell("dex", 8, { perSecond: 50, waitP99: 3000, isWaitP99AtLeast: true, jain: 0.4, cpuPerAcquisition: 0.5 }),
    cell("lease-default", 8, { perSecond: 300, waitP99: 1, isWaitP99AtLeast: true, jain: 0.13 }),
    cell("etcdctl", 8, { perSecond: 20, requestsPerAcquisition: null, cpuPerAcquisition: null }),
    cell("relay", 8, { perSecond: 225, cpuPerAcquisition: 0.5 }),
    cell("raw", 8, { perSecond: 250 })
  ],
  hold: [cell("kubelock", 8, { perSecond: 40 })],
  waiting: [{ kind: "kubelock", waiters: 4, requestsPerWaiterSecond: 0 }],
  wire: [
    { kind: "kubelock", objectBytes: 8192, bytesPerCycle: 4000 },
    { kind: "dex", objectBytes: 8192, bytesPerCycle: 60_000 }
  ],
  threads: [
    { protocol: "kubelock", throughputPerSecond: 9000, violations: 0, waitMillis: { p50: 1, p99: 8 } },
    { protocol: "dex", throughputPerSecond: 60, violations: 0, waitMillis: { p50: 300, p99: 4000 } }
  ],
  failures: [
    { kind: "kubelock", takenAfter: 9800, workedOn: 2, freedSuccessor: false, killedAfter: 9900 },
    { kind: "dex", takenAfter: null, workedOn: null, freedSuccessor: true, killedAfter: 10_500 }
  ],
  many: [
    { kind: "kubelock", ids: 400, busyLoops: 0, millis: 1500, lost: 0 },
    { kind: "kubelock-before", ids: 400, busyLoops: 0, millis: 3000, lost: 0 },
    { kind: "kubelock", ids: 1000, busyLoops: 0, millis: 4000, lost: 0 },
    { kind: "kubelock", ids: 1000, busyLoops: 4, millis: 9000, lost: 2 }
  ],
  mixed: { seconds: 60, contendersOfEach: 4, overlaps: 0, kinds: [mixedOf("kubelock", 0.8), mixedOf("dex", 0.2)] }
}

const run: Measurements = {
  machine: {
    date: "2026-11-24",
    cpu: "A processor",
    cpus: 2,
    memoryGiB: 8,
    kernel: "Linux 6",
    loadBefore: 0.1,
    node: "v24.0.0",
    etcd: "3.5.30",
    commit: "abcdef0",
    packages: { effect: "4.1.0" }
  },
  others: { "redis-server": "7.0.15" },
  leftOut: [],
  settings: plan.defaults,
  tookSeconds: 1000,
  memory: {
    cycleMicrosP50: 25,
    contended: { fibers: 16, handoffMicrosP50: 10, perSecond: 60_000 },
    ids: [
      { ids: 1, cycleMicrosP50: 25, bytesPerId: null },
      { ids: 10_000, cycleMicrosP50: 30, bytesPerId: 250 }
    ]
  },
  servers: [
    kubeApiserver,
    {
      ...kubeApiserver,
      server: "apiextensions-apiserver",
      version: "v1.36.4",
      cells: kubeApiserver.cells.filter(({ kind }) => kind !== "etcdctl"),
      failures: [],
      many: []
    }
  ]
}

const judge = (figure: string) => goals.find((goal) => goal.figure === figure)!.judge(kubeApiserver, run)

/** The row of a table that begins so. */
const rowOf = (text: string, beginning: string): string | undefined =>
  text.split("\n").find((line) => line.startsWith(beginning))

describe("goals", () => {
  it("are judged by ratios of medians", () => {
    assert.deepStrictEqual(judge("8 processes, hold 0: acquisitions/s against raw writes/s"), {
      text: "0.800",
      isReached: true
    })
    assert.deepStrictEqual(judge("8 processes: throughput against Dex"), { text: "4.00 x", isReached: true })
    assert.deepStrictEqual(judge("8 processes: wait p99 against Dex"), { text: "1/150", isReached: true })
    // 1000 / (20 + 1000 / 250)
    assert.deepStrictEqual(judge("8 processes, hold 20 ms: throughput of 1000/(20 + one raw write in ms)"), {
      text: "0.960",
      isReached: true
    })
  })

  it("judge many locks at once beside the earlier build, and that none is lost", () => {
    assert.deepStrictEqual(judge("400 ids change hands at once: time against the earlier build"), {
      text: "0.500 x",
      isReached: true
    })
    assert.deepStrictEqual(judge("1,000 ids change hands at once: locks lost"), { text: "0", isReached: true })
    assert.deepStrictEqual(judge("the same beside four busy loops: locks lost"), { text: "2", isReached: false })
  })

  it("are missed if the figure is not good enough", () => {
    const slow = {
      ...kubeApiserver,
      cells: [cell("kubelock", 8, { perSecond: 180 }), cell("raw", 8, { perSecond: 250 })]
    }
    const goal = goals.find(({ figure }) => figure === "8 processes, hold 0: acquisitions/s against raw writes/s")!
    assert.deepStrictEqual(goal.judge(slow, run), { text: "0.720", isReached: false })
    assert.deepStrictEqual(judge("8 processes: requests per acquisition"), { text: "2.00", isReached: false })
    assert.deepStrictEqual(judge("the same: Dex's share of the acquisitions"), { text: "20.0 %", isReached: false })
    assert.deepStrictEqual(judge("memory per idle id at 10,000 ids"), { text: "250 bytes", isReached: false })
  })

  it("are left open if nothing was measured", () => {
    assert.isNull(judge("64 processes, hold 0: acquisitions/s against raw writes/s"))
    assert.isNull(judge("warm uncontended cycles/s against the raw client's pairs of writes"))
    assert.isNull(
      goals.find(({ figure }) => figure.includes("timeouts"))!.judge({ ...kubeApiserver, mixed: null }, run)
    )
  })
})

describe("the page", () => {
  const text = page(run, [{ file: "benchmarks/throughput.svg", title: "Acquisitions a second" }])

  it("names the machine, the versions and the kinds", () => {
    for (const part of ["A processor", "kube-apiserver v1.20.2, apiextensions-apiserver v1.36.4", "effect 4.1.0"]) {
      assert.include(text, part)
    }
    assert.notInclude(text, "Noisy")
    assert.include(page({ ...run, machine: { ...run.machine, loadBefore: 3 } }, []), "Noisy")
  })

  it("marks the goals that were reached and those that were not", () => {
    assert.strictEqual(
      rowOf(text, "| 8 processes: requests per acquisition"),
      "| 8 processes: requests per acquisition | at most 1.1 | **2.00** ✗ | **2.00** ✗ |"
    )
    assert.match(rowOf(text, "| 8 processes: throughput against Dex")!, /4\.00 x ✓/)
  })

  it("has medians with ranges, and says that a p99 is a lower bound if waits were cut short", () => {
    assert.match(rowOf(text, "| 8 | **kubelock**")!, /\| 200 \(180 to 220\) \| 10\.0 ms \| 20\.0 ms \|/)
    assert.match(rowOf(text, "| 8 | Dex")!, /≥ 3\.0 s/)
  })

  it("says which kinds cannot run", () => {
    assert.include(text, "Not on apiextensions-apiserver: this server has no Leases.")
    assert.match(rowOf(text, "| 8 | client-go, fastest")!, /\| cannot \|/)
  })

  it("shows where other locks are better, but does not count a p99 that is only a lower bound", () => {
    const [losses] = text.slice(text.indexOf("## Where kubelock is not the best")).split("## Holding")
    assert.include(losses, "| kube-apiserver | 8 | client-go, default | acquisitions/s 300 (200) | 0.13 | ≥ 1.00 ms |")
    assert.include(losses, "| kube-apiserver | 8 | Dex | client CPU 0.50 ms (1.00 ms) | 0.40 | ≥ 3.0 s |")
    assert.notInclude(losses, "wait p99 1.00 ms")
  })

  it("compares what a hand-over takes of the CPUs, in contenders and servers together", () => {
    assert.include(text, "| kube-apiserver | 8 | 2.50 ms | 3.00 ms | 30 % | 0.833 | 0.889 |")
  })

  it("compares the relay with raw writes, and kubelock with the relay", () => {
    assert.include(text, "| kube-apiserver | 8 | 250 | 225 | 200 | 0.900 | 0.889 |")
  })

  it("shows locks on other servers where they were measured, and says what was left out", () => {
    assert.strictEqual(
      text.split("\n").filter((line) => line.startsWith("| 8 | etcdctl lock | 20.0 | 10.0 ms")).length,
      1
    )
    assert.include(text, "redis-server 7.0.15")
    assert.notInclude(text, "Left out")
    const leftOut = [{ kind: "redlock", why: "there is no redis-server on this machine" }] as const
    assert.include(page({ ...run, leftOut }, []), "**Left out:** redlock (there is no redis-server on this machine).")
  })

  it("says what becomes of work whose holder is suspended, and of waiters whose holder is killed", () => {
    assert.include(text, "| kube-apiserver | kubelock | 9.8 s | ends after 2.00 ms | does no harm | 9.9 s |")
    assert.include(
      text,
      "| kube-apiserver | Dex | not within a minute | goes on, and hears nothing | **frees the lock of its successor** | 10.5 s |"
    )
    const servers = run.servers.map((on) => ({ ...on, failures: [] }))
    assert.include(page({ ...run, servers }, []), "Not measured in this run.")
  })

  it("says how long many locks take that change hands at once", () => {
    assert.include(text, "| kube-apiserver | kubelock | 1,000 | 4 | 9.0 s | 2 |")
  })

  it("says of how many locks it took too long", () => {
    const servers = run.servers.map((on) => ({ ...on, many: on.many.filter(({ busyLoops }) => busyLoops === 0) }))
    const text = page({ ...run, servers }, [])
    assert.include(rowOf(text, "| kube-apiserver | kubelock | 1,000 | 4"), "not within 3 minutes")
  })

  it("says how long it takes until all have had the lock that come at once", () => {
    assert.match(text, /\| kube-apiserver \| Dex \| .*30\.0 ms/)
  })

  it("links the plots", () => {
    assert.include(text, "![Acquisitions a second](benchmarks/throughput.svg)")
  })
})

describe("docs/benchmarks.md", () => {
  /** The paragraphs and the heads of tables of a page, without numbers. */
  const prose = (text: string) =>
    text
      .split("\n")
      .filter((line, index, lines) => !line.startsWith("|") || lines[index + 1]?.startsWith("| ---"))
      .filter((line) => !line.startsWith("!["))
      .map((line) => line.replaceAll(/\d[\d.,]*/g, "#").replace(/with `--[^`]*`/, "with `flags`"))

  it("has the words of the page that a run makes now", () => {
    const settings = { ...plan.defaults, against: "before" }
    const made = new Set(prose(page({ ...run, settings, machine: { ...run.machine, loadBefore: 3 } }, [])))
    const published = prose(readFileSync(new URL("../../docs/benchmarks.md", import.meta.url), "utf8"))
    assert.isAbove(published.length, 30)
    assert.deepStrictEqual(
      published.filter((line) => !made.has(line)),
      []
    )
  })
})

describe("plots", () => {
  it.effect("are SVG, and name all kinds that were measured", () =>
    Effect.gen(function* () {
      const plots = yield* Effect.promise(() => draw(run))
      assert.deepStrictEqual(
        plots.map(({ file }) => file),
        ["throughput", "requests", "wait-p99", "wait", "handoff", "ids"].map((name) => `benchmarks/${name}.svg`)
      )
      for (const { svg } of plots) {
        assert.match(svg, /^<svg /)
        assert.notMatch(svg, /NaN|undefined/)
      }
      for (const name of ["kubelock", "Dex", "client-go, default", "raw writes"]) assert.include(plots[0]!.svg, name)
      assert.notInclude(plots[0]!.svg, "k8s-lease-lock")
    })
  )
})

describe("the table for a terminal", () => {
  it("shows all kinds and the goals", () => {
    const text = report(run)
    assert.match(text, /8 +kubelock +200 +10\.0 ms/)
    assert.match(text, /8 +k8s-lease-lock +cannot/)
    assert.match(text, /MISSED +2\.00 +at most 1\.1 +8 processes: requests per acquisition/)
  })
})

describe("the plan", () => {
  it("lets kinds take turns, and slow kinds play once", () => {
    const loads = plan.interleaved(4, 0, { kinds: ["kubelock", "k8s-lease-lock", "dex"], rounds: 2 })
    assert.deepStrictEqual(
      loads.map(({ kind }) => kind),
      ["kubelock", "k8s-lease-lock", "dex", "kubelock", "dex"]
    )
  })

  it("knows which kinds need Leases", () => {
    const settings = { against: "before", absent: [] }
    assert.deepStrictEqual(plan.able("kube-apiserver", settings), kinds)
    const withoutLeases: ReadonlyArray<Kind> = ["kubelock", "kubelock-before", "dex", "relay", "raw"]
    assert.deepStrictEqual(plan.able("apiextensions-apiserver", settings), withoutLeases)
  })

  it("leaves out what this machine does not have", () => {
    const able = plan.able("kube-apiserver", { against: "before", absent: elsewhere })
    assert.deepStrictEqual(
      able,
      kinds.filter((kind) => !elsewhere.some((one) => one === kind))
    )
  })

  it("has an earlier build only if there is one", () => {
    assert.notInclude(plan.able("kube-apiserver", { ...plan.defaults, absent: [] }), "kubelock-before")
    const servers = run.servers.map((on) => ({ ...on, many: [] }))
    assert.notInclude(page({ ...run, servers }, []), "kubelock before")
    assert.include(page({ ...run, settings: { ...plan.defaults, against: "before" } }, []), "kubelock before")
  })
})

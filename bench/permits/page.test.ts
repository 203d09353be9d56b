import { assert, describe, it } from "@effect/vitest"
import type { Cell, Measurements, PermitRound } from "./measurements.ts"
import { page } from "./page.ts"

const round: PermitRound = {
  acquisitions: 1000,
  perSecond: 150,
  requestsPerAcquisition: 1.2,
  conflictsPerAcquisition: 0,
  watchEventsPerAcquisition: 2,
  cpuPerAcquisition: 1,
  serverCpuPerAcquisition: 7,
  waitP50: 80,
  waitP99: 120,
  isWaitP99AtLeast: false,
  handoffP50: 1,
  burstMillis: null,
  jain: 0.99,
  timeouts: 0,
  errors: 0,
  overlaps: 0,
  worstWriter: null,
  handOver: 0.015
}

const cell = (part: Partial<Cell>): Cell => ({
  name: "kubelock",
  kind: "semaphore",
  processes: 16,
  fibers: 1,
  limit: 4,
  writers: 0,
  holdMillis: 20,
  rounds: [round],
  ...part
})

const run: Measurements = {
  machine: {
    date: "2026-11-28",
    cpu: "a CPU",
    cpus: 2,
    memoryGiB: 8,
    kernel: "Linux",
    loadBefore: 0,
    node: "v24",
    etcd: "3.5",
    commit: "abc",
    packages: {}
  },
  seconds: 15,
  rounds: 1,
  tookSeconds: 100,
  priority: 0,
  loadAfter: 1,
  servers: [
    {
      server: "kube-apiserver",
      version: "v1",
      writeMillis: 3,
      cells: [
        cell({}),
        cell({ kind: "kubelock", limit: 1, rounds: [{ ...round, perSecond: 40 }] }),
        cell({ kind: "shared", limit: 1, rounds: [{ ...round, worstWriter: 3, perSecond: 110 }] }),
        cell({ processes: 1, fibers: 64, limit: 8, holdMillis: 0, rounds: [{ ...round, requestsPerAcquisition: 0 }] })
      ]
    }
  ],
  redis: {
    version: "7",
    cells: [cell({ name: "redis-semaphore", kind: "redis", rounds: [{ ...round, waitP99: 90 }] })]
  }
}

describe("the page of permits", () => {
  it("marks what is reached and what is missed", () => {
    const text = page(run)
    assert.match(text, /kube-apiserver \| kubelock \| 20 ms \| 150 \| 0\.86 ✓ \| 1\.20 ✓ \| 2\.00 ✓/)
    assert.match(text, /\| \*\*120 ms\*\* ✗ \| 0\.99 ✓ \| 0 \| 0 \|/)
    assert.match(text, /\| 20 ms \| 110 \| 40\.0 \| 2\.75 ✓ \| 1\.20 \| \*\*3\.00\*\* ✗/)
    assert.match(text, /\| 0\.00000 ✓ \| 15\.0 us ✓/)
    assert.match(text, /\| shared lock \| 20 ms \| 1\.00 ms \| 7\.00 ms \| 44 % \| 250 \|/)
    assert.notMatch(text, /Noisy/)
  })

  it("says what was left out, and that the machine was busy", () => {
    const text = page({
      ...run,
      redis: { leftOut: "no redis-server" },
      machine: { ...run.machine, loadBefore: 9 }
    })
    assert.match(text, /left out: no redis-server/)
    assert.match(text, /Noisy/)
    assert.match(text, /\| 120 ms \| 0\.99 ✓/)
  })
})

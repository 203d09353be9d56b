import { assert, describe, it } from "@effect/vitest"
import type { Measurements, Round } from "./measurements.ts"
import { page } from "./page.ts"

const round = (dexShare: number, dex: number): Round => ({
  dexShare,
  perSecond: 20,
  longestWait: { kubelock: 1000, dex },
  timeouts: 0,
  overlaps: 0
})

const run: Measurements = {
  machine: {
    date: "2026-11-28",
    cpu: "a CPU",
    cpus: 2,
    memoryGiB: 8,
    kernel: "Linux",
    loadBefore: 3,
    node: "v24",
    etcd: "3.5",
    commit: "abc",
    packages: {}
  },
  server: "kube-apiserver",
  version: "v1.30.0",
  seconds: 30,
  tookSeconds: 61,
  priority: -15,
  loadAfter: 18,
  crashes: [
    { dexes: 8, victim: "dex", chains: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], late: [3, 4, 5, 6, 7, 8, 9, 10, 11, 12] },
    { dexes: 1, victim: "kubelock", chains: [1, 3], late: [5, 6] }
  ],
  mixes: [
    { kubelocks: 2, dexes: 8, rounds: [round(0.5, 6000), round(0.6, 8000), round(0.4, 4000)] },
    { kubelocks: 0, dexes: 10, rounds: [round(1, 7000)] },
    { kubelocks: 4, dexes: 4, rounds: [round(0.2, 4000)] }
  ]
}

describe("the page beside Dex", () => {
  const text = page(run)

  it("says of each row whether it reached the goal", () => {
    assert.include(text, "| Dex | 8 | 10 | 10 | 100 % ✓ | 1 ✓ |")
    assert.include(text, "| kubelock | 1 | 2 | 4 | **50 %** ✗ | **3** ✗ |")
    assert.include(text, "| 2 + 8 | 20.0 | 50 % ✓ | 80 % | 6.0 s ✓ | 7.0 s |")
    assert.include(text, "| 4 + 4 | 20.0 | **20 %** ✗ | 50 % | 4.0 s | - |")
  })

  it("says that the machine was busy, and that it is not to be edited", () => {
    assert.include(text, "the load was 3.0 on 2 CPUs when this run began, and 18.0 when it ended")
    assert.include(text, "(nice value) -15")
    const machine = { ...run.machine, loadBefore: 0.1 }
    assert.include(page({ ...run, machine }), "Noisy")
    assert.notInclude(page({ ...run, machine, loadAfter: 2 }), "Noisy")
    assert.match(text, /^<!-- Written by `npm run bench:dex`/)
  })
})

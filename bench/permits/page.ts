/** The page that a run makes, `docs/permits-benchmarks.md`: pure. */
import { cpuMillis } from "../contest/warmUp.ts"
import { markdown, number, time } from "../../src/cli/bench/harness/text.ts"
import { median } from "../../src/cli/bench/harness/statistics.ts"
import { noise } from "../peers/noise.ts"
import type { Cell, Measurements, OnServer, PermitRound } from "./measurements.ts"

/** What a release should reach. */
export const goals = {
  shareOfLimit: 0.7,
  requests: 1.5,
  watchEvents: 2.5,
  jain: 0.98,
  timesExclusive: { 20: 2.5, 200: 4 } as Readonly<Record<number, number>>,
  worstWriter: 2,
  handOverMillis: 0.02,
  requestsInProcess: 0.001
}

const middle = (cell: Cell | undefined, figure: keyof PermitRound): number | null =>
  median((cell?.rounds ?? []).map((round) => round[figure]).filter((value) => typeof value === "number"))

const mark = (
  value: number | null,
  isReached: (value: number) => boolean,
  show: (value: number) => string = number
): string => {
  if (value === null) return "-"
  return isReached(value) ? `${show(value)} ✓` : `**${show(value)}** ✗`
}

const atMost = (goal: number) => (value: number) => value <= goal
const atLeast = (goal: number) => (value: number) => value >= goal

const overlapsOf = ({ rounds }: Cell): string => String(rounds.reduce((sum, { overlaps }) => sum + overlaps, 0))

const failuresOf = ({ rounds }: Cell): string =>
  String(rounds.reduce((sum, { errors, timeouts }) => sum + errors + timeouts, 0))

const cellOf = ({ cells }: OnServer, kind: Cell["kind"], holdMillis: number, processes: number): Cell | undefined =>
  cells.find((cell) => cell.kind === kind && cell.holdMillis === holdMillis && cell.processes === processes)

/** The semaphore of many processes, on each server and beside those on Redis. */
export const semaphoreTable = ({ redis, servers }: Measurements): string => {
  const peers = "cells" in redis ? redis.cells : []
  const rows = servers.flatMap((on) =>
    on.cells
      .filter(({ kind, processes }) => kind === "semaphore" && processes > 1)
      .map((cell) => {
        const perSecond = middle(cell, "perSecond")
        const most = on.writeMillis === null ? null : (cell.limit * 1000) / (cell.holdMillis + on.writeMillis)
        const share = perSecond === null || most === null ? null : perSecond / most
        const others = peers.filter(({ holdMillis }) => holdMillis === cell.holdMillis && cell.holdMillis > 0)
        const best = (figure: "waitP99" | "jain", how: (...all: Array<number>) => number) =>
          how(...others.map((peer) => middle(peer, figure)).filter((value) => value !== null))
        return [
          on.server,
          cell.name,
          `${cell.holdMillis} ms`,
          number(perSecond),
          cell.holdMillis === 0 ? number(share) : mark(share, atLeast(goals.shareOfLimit)),
          mark(middle(cell, "requestsPerAcquisition"), atMost(goals.requests)),
          mark(middle(cell, "watchEventsPerAcquisition"), atMost(goals.watchEvents)),
          time(middle(cell, "waitP50")),
          others.length === 0
            ? time(middle(cell, "waitP99"))
            : mark(middle(cell, "waitP99"), atMost(best("waitP99", Math.min)), time),
          mark(
            middle(cell, "jain"),
            (jain) => jain >= goals.jain && (others.length === 0 || jain >= best("jain", Math.max))
          ),
          failuresOf(cell),
          overlapsOf(cell)
        ]
      })
  )
  const ofPeers = peers.map((cell) => [
    "Redis",
    cell.name,
    `${cell.holdMillis} ms`,
    number(middle(cell, "perSecond")),
    "",
    "",
    "",
    time(middle(cell, "waitP50")),
    time(middle(cell, "waitP99")),
    number(middle(cell, "jain")),
    failuresOf(cell),
    overlapsOf(cell)
  ])
  return markdown(
    [
      "on",
      "semaphore",
      "hold",
      "acquisitions/s",
      "of the limit",
      "requests",
      "watch events",
      "wait p50",
      "wait p99",
      "Jain",
      "failed",
      "too many inside"
    ],
    [...rows, ...ofPeers],
    2
  )
}

/** The shared lock against the exclusive one. */
export const sharedTable = ({ servers }: Measurements): string =>
  markdown(
    [
      "on",
      "hold",
      "shared/s",
      "exclusive/s",
      "ratio",
      "requests",
      "passed a writer",
      "wait p99",
      "Jain",
      "failed",
      "beside a writer"
    ],
    servers.flatMap((on) =>
      on.cells
        .filter(({ kind }) => kind === "shared")
        .map((cell) => {
          const [shared, exclusive] = [cell, cellOf(on, "kubelock", cell.holdMillis, cell.processes)].map((one) =>
            middle(one, "perSecond")
          )
          const ratio = !shared || !exclusive ? null : shared / exclusive
          return [
            on.server,
            `${cell.holdMillis} ms`,
            number(shared),
            number(exclusive),
            mark(ratio, atLeast(goals.timesExclusive[cell.holdMillis] ?? 1)),
            number(middle(cell, "requestsPerAcquisition")),
            mark(middle(cell, "worstWriter"), atMost(goals.worstWriter)),
            time(middle(cell, "waitP99")),
            mark(middle(cell, "jain"), atLeast(goals.jain)),
            failuresOf(cell),
            overlapsOf(cell)
          ]
        })
    )
  )

/** What an acquisition takes of the CPUs, in the contenders and in the server with its etcd, and how busy they are with it. */
const cpuTable = ({ machine, servers }: Measurements): string =>
  markdown(
    ["on", "", "hold", "contenders", "server", "CPUs busy", "acquisitions/s if CPU were all"],
    servers.flatMap((on) =>
      on.cells
        .filter(({ processes }) => processes > 1)
        .map((cell) => {
          const [own, server, perSecond] = (["cpuPerAcquisition", "serverCpuPerAcquisition", "perSecond"] as const).map(
            (figure) => middle(cell, figure)
          )
          const total = own == null || server == null ? null : own + server
          return [
            on.server,
            names[cell.kind],
            `${cell.holdMillis} ms`,
            time(own ?? null),
            time(server ?? null),
            total === null || perSecond == null ? "-" : `${Math.round((perSecond * total) / (10 * machine.cpus))} %`,
            number(total === null ? null : (1000 * machine.cpus) / total)
          ]
        })
    ),
    3
  )

const names: Readonly<Record<Cell["kind"], string>> = {
  kubelock: "lock",
  semaphore: "semaphore",
  shared: "shared lock",
  redis: "on Redis"
}

/** One process with many fibers. */
export const fibersTable = ({ servers }: Measurements): string =>
  markdown(
    ["on", "acquisitions/s", "requests", "hand-over p50", "failed", "too many inside"],
    servers.flatMap((on) =>
      on.cells
        .filter(({ fibers }) => fibers > 1)
        .map((cell) => [
          on.server,
          number(middle(cell, "perSecond")),
          mark(middle(cell, "requestsPerAcquisition"), atMost(goals.requestsInProcess), (value: number) =>
            value.toFixed(5)
          ),
          mark(
            middle(cell, "handOver"),
            atMost(goals.handOverMillis),
            (value: number) => `${(value * 1000).toFixed(1)} us`
          ),
          failuresOf(cell),
          overlapsOf(cell)
        ])
    )
  )

const where = (run: Measurements): string => {
  const { machine, redis, rounds, seconds, servers, tookSeconds } = run
  const packages = "cells" in redis ? `redis-server ${redis.version}, appendfsync always` : `left out: ${redis.leftOut}`
  const table = markdown(
    ["", ""],
    [
      ["date", machine.date],
      ["machine", `${machine.cpus} x ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}`],
      ...servers.map(({ server, version, writeMillis }) => [
        "API server",
        `${server} ${version}, etcd ${machine.etcd}; a compare-and-swap write takes ${time(writeMillis)}`
      ]),
      ["Redis", packages],
      ["Node.js", machine.node],
      ["kubelock", machine.commit],
      [
        "run",
        `${rounds} rounds of ${seconds} s. What runs on one server takes turns; ${Math.ceil(tookSeconds / 60)} min in all`
      ]
    ],
    2
  )
  return machine.loadBefore > 0.5 ? `${table}\n\n${noise(run)}` : table
}

/** Writes the page. */
export const page = (run: Measurements): string =>
  [
    "<!-- Written by `npm run bench:permits` from what a run measured. Do not edit. -->",
    "# Permits and readers",
    "Semaphores and shared locks of many processes on real API servers. All processes share the machine and its clock with the servers. ✓ is a goal that is reached, and ✗ one that is missed. Figures are medians over the rounds. Requests and watch events count for each acquisition.",
    where(run),
    "## Semaphore",
    `Each process takes one permit, holds it, gives it back, and wants it again. The limit is one permit after the other without a pause, each with one write: permits x 1000 / (hold + write in ms). Goals: ${goals.shareOfLimit} of it while permits are held, at most ${goals.requests} requests and ${goals.watchEvents} watch events, and Jain's index at least ${goals.jain}. While permits are held, wait p99 and Jain's index are to be better than those on Redis.`,
    semaphoreTable(run),
    "## Shared lock",
    `One of ten acquisitions writes, chosen at random. Goals: ${goals.timesExclusive[20]} times the acquisitions of the exclusive lock if it is held for 20 ms, and ${goals.timesExclusive[200]} times for 200 ms; and while a writer waits, at most ${goals.worstWriter} others enter for each that was there before it. The table shows the worst writer of a round, once each process has been inside.`,
    sharedTable(run),
    "## Within a process",
    `Many fibers of one process contend for a semaphore. Goals: no requests but renewals, and a permit that is given back is in use again after ${goals.handOverMillis * 1000} us (p50).`,
    fibersTable(run),
    "## What bounds them",
    "Contenders and servers share the CPUs of one machine. So a throughput is bounded by the time that a lock is held, and by what an acquisition takes of the CPUs. An exclusive lock that is held for 20 ms is far from the second bound. Semaphores and shared locks, of which several are held at once, come near it: their goals are for a machine on which there is CPU left. Leaving is what readers cannot share: they enter together with one write, but each process has a lease of its own, and gives it back by a write of its own, or joins again with it.",
    cpuTable(run),
    "## Run it again",
    "With `KUBEBUILDER_ASSETS` naming a folder with `etcd` and an API server, on a quiet machine. The packages on Redis need `redis-server` and `npm ci` in `bench/elsewhere/npm`:\n\n```sh\nnpm run bench:permits              # writes this page\nnpm run bench:permits -- --quick   # a minute: shows that everything works, and writes nothing\n```",
    `Services that have run for a while are compared: before its first contest each process contends with itself, for an object of its own, until it has spent ${cpuMillis(run.seconds) / 1000} seconds of CPU.`
  ].join("\n\n") + "\n"

/** The goals of the design, and whether a run reached them: pure. */
import { type Kind } from "../contest/kind.ts"
import type { Cell, Measurements, OnServer } from "./measurements.ts"
import * as plan from "./plan.ts"
import { median } from "../harness/statistics.ts"
import type { Round } from "./samples.ts"

/** A goal, and what a run says of it on one server; `null` where it was not measured. */
export interface Goal {
  readonly figure: string
  readonly goal: string
  readonly judge: (on: OnServer, run: Measurements) => Judgement | null
}

/** What was measured, for people, and whether it is enough. */
export interface Judgement {
  readonly text: string
  readonly isReached: boolean
}

/** The figures that are numbers. */
export type Measure = {
  [Name in keyof Round]-?: Exclude<Round[Name], undefined> extends number | null ? Name : never
}[keyof Round]

/** The median over the rounds of a cell; `null` where it was not measured. */
export const middle = (cell: Cell | undefined, measure: Measure): number | null =>
  median((cell?.rounds ?? []).flatMap((round) => round[measure] ?? []))

/** The cell of a kind at a number of contenders, without a hold. */
export const cellOf = (on: OnServer, kind: Kind, contenders: number): Cell | undefined =>
  on.cells.find((cell) => cell.kind === kind && cell.contenders === contenders)

/** A figure of a kind at a number of contenders, without a hold; `null` where it was not measured. */
export const value = (on: OnServer, kind: Kind, contenders: number, measure: Measure): number | null =>
  middle(cellOf(on, kind, contenders), measure)

/** The ratio of two figures; `null` where one was not measured. */
export const ratio = (a: number | null | undefined, b: number | null | undefined): number | null =>
  a === null || a === undefined || !b ? null : a / b

const atLeast = (measured: number | null, goal: number, show: (value: number) => string): Judgement | null =>
  measured === null ? null : { text: show(measured), isReached: measured >= goal }

const atMost = (measured: number | null, goal: number, show: (value: number) => string): Judgement | null =>
  measured === null ? null : { text: show(measured), isReached: measured <= goal }

/** A figure without a unit, for people. */
export const plain = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3)
const times = (value: number): string => `${plain(value)} x`
const part = (value: number): string => (value < 1 && value > 0 ? `1/${plain(1 / value)}` : times(value))
const unit = (name: string) => (value: number) => `${plain(value)} ${name}`

const againstRaw = (contenders: number, goal: number): Goal => ({
  figure: `${contenders} processes, hold 0: acquisitions/s against raw writes/s`,
  goal: `at least ${goal}`,
  judge: (on) =>
    atLeast(
      ratio(value(on, "kubelock", contenders, "perSecond"), value(on, "raw", contenders, "perSecond")),
      goal,
      plain
    )
})

const againstDex = (contenders: number, throughput: number, wait: number): ReadonlyArray<Goal> => [
  {
    figure: `${contenders} processes: throughput against Dex`,
    goal: `at least ${throughput} x`,
    judge: (on) =>
      atLeast(
        ratio(value(on, "kubelock", contenders, "perSecond"), value(on, "dex", contenders, "perSecond")),
        throughput,
        times
      )
  },
  {
    figure: `${contenders} processes: wait p99 against Dex`,
    goal: `at most 1/${wait}`,
    judge: (on) =>
      atMost(
        ratio(value(on, "kubelock", contenders, "waitP99"), value(on, "dex", contenders, "waitP99")),
        1 / wait,
        part
      )
  }
]

const requests = (contenders: number, goal: number): Goal => ({
  figure: `${contenders} processes: requests per acquisition`,
  goal: `at most ${goal}`,
  judge: (on) => atMost(value(on, "kubelock", contenders, "requestsPerAcquisition"), goal, plain)
})

const watchEvents = (contenders: number): Goal => ({
  figure: `${contenders} processes: watch events per acquisition`,
  goal: "at most 2.2",
  judge: (on) => atMost(value(on, "kubelock", contenders, "watchEventsPerAcquisition"), 2.2, plain)
})

const fairness = (contenders: number): Goal => ({
  figure: `${contenders} processes: Jain's fairness`,
  goal: "at least 0.99",
  judge: (on) => atLeast(value(on, "kubelock", contenders, "jain"), 0.99, (jain) => jain.toFixed(3))
})

const threadsOf = (on: OnServer, protocol: "kubelock" | "dex") =>
  on.threads.find((threads) => threads.protocol === protocol)

/** All goals that a run can judge. */
export const goals: ReadonlyArray<Goal> = [
  {
    figure: "warm uncontended cycle: requests",
    goal: "2",
    // the first acquisition of a round is not warm, and the last one may be cut short
    judge: (on) =>
      atMost(
        value(on, "kubelock", 1, "requestsPerAcquisition"),
        2 + 2 / (value(on, "kubelock", 1, "acquisitions") ?? 1),
        plain
      )
  },
  {
    figure: "bytes on the wire per such cycle, object of 8 KiB, against Dex",
    goal: "at most 1/8",
    judge: ({ wire }) => {
      const bytes = (kind: Kind) => wire.find((figure) => figure.kind === kind)?.bytesPerCycle
      return atMost(ratio(bytes("kubelock"), bytes("dex")), 1 / 8, part)
    }
  },
  {
    figure: "warm uncontended cycles/s against the raw client's pairs of writes",
    goal: "at least 0.9",
    judge: (on) =>
      atLeast(
        ratio(value(on, "kubelock", 1, "perSecond"), (value(on, "raw", 1, "perSecond") ?? Number.NaN) / 2),
        0.9,
        plain
      )
  },
  againstRaw(2, 0.85),
  againstRaw(8, 0.75),
  againstRaw(32, 0.6),
  againstRaw(64, 0.45),
  ...againstDex(8, 2.5, 15),
  ...againstDex(32, 3, 8),
  {
    figure: "8 processes, hold 20 ms: throughput of 1000/(20 + one raw write in ms)",
    goal: "at least 0.85",
    judge: (on) => {
      const cell = on.hold.find(({ kind }) => kind === "kubelock")
      const writes = value(on, "raw", plan.hold.contenders, "perSecond")
      const bound = writes === null ? null : 1000 / (plan.hold.millis + 1000 / writes)
      return atLeast(ratio(middle(cell, "perSecond"), bound), 0.85, plain)
    }
  },
  requests(8, 1.1),
  requests(32, 1.3),
  ...[8, 16, 32, 64].map(watchEvents),
  fairness(8),
  fairness(32),
  {
    figure: "4 threads of 8 fibers: throughput against Dex",
    goal: "at least 100 x",
    judge: (on) =>
      atLeast(
        ratio(threadsOf(on, "kubelock")?.throughputPerSecond, threadsOf(on, "dex")?.throughputPerSecond),
        100,
        times
      )
  },
  {
    figure: "4 threads of 8 fibers: wait p99 against Dex",
    goal: "at most 1/100",
    judge: (on) =>
      atMost(ratio(threadsOf(on, "kubelock")?.waitMillis.p99, threadsOf(on, "dex")?.waitMillis.p99), 1 / 100, part)
  },
  {
    figure: "waiting without change: requests a second for each waiter",
    goal: "0",
    judge: ({ waiting }) => {
      const figure = waiting.find(({ kind }) => kind === "kubelock")
      return atMost(figure?.requestsPerWaiterSecond ?? null, 0.05, plain)
    }
  },
  {
    figure: "4 kubelock and 4 Dex on one token: timeouts",
    goal: "0",
    judge: ({ mixed }) => {
      if (mixed === null) return null
      const timeouts = mixed.kinds.reduce((total, kind) => total + kind.timeouts, 0)
      return { text: String(timeouts), isReached: timeouts === 0 }
    }
  },
  {
    // 4 of 8 Dex have half of all acquisitions
    figure: "the same: Dex's share of the acquisitions",
    goal: "25 to 100 %",
    judge: ({ mixed }) => {
      const share = mixed?.kinds.find(({ kind }) => kind === "dex")?.share
      return share === undefined ? null : { text: `${(share * 100).toFixed(1)} %`, isReached: share >= 0.25 }
    }
  },
  {
    figure: "store in memory: hand-off p50",
    goal: "at most 20 us",
    judge: (_, { memory }) => atMost(memory.contended.handoffMicrosP50, 20, unit("us"))
  },
  {
    figure: "store in memory: acquisitions/s",
    goal: "at least 50,000",
    judge: (_, { memory }) => atLeast(memory.contended.perSecond, 50_000, plain)
  },
  {
    figure: "store in memory: uncontended cycle p50",
    goal: "at most 30 us",
    judge: (_, { memory }) => atMost(memory.cycleMicrosP50, 30, unit("us"))
  },
  {
    figure: "memory per idle id at 10,000 ids",
    goal: "at most 200 bytes",
    judge: (_, { memory }) => {
      const figure = memory.ids.find(({ ids }) => ids === 10_000)
      return atMost(figure?.bytesPerId ?? null, 200, unit("bytes"))
    }
  }
]

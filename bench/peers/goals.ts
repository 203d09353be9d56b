/** The goals of the design, and whether a run reached them: pure. */
import type { Kind } from "../contest/kind.ts"
import { sum } from "../../src/cli/bench/harness/statistics.ts"
import { count } from "../../src/cli/bench/harness/text.ts"
import { holdBound, type Measure, middle, ratio, value } from "./cells.ts"
import type { Measurements, OnServer } from "./measurements.ts"

/** A goal, and how a run on one server compares with it: `null` if that was not measured. */
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

type Read = (on: OnServer, run: Measurements) => number | null | undefined
type Show = (value: number) => string

/** A figure without a unit: three significant digits at least. */
export const plain = (value: number): string => (value >= 1000 ? count(value) : value.toPrecision(3))
const times: Show = (value) => `${plain(value)} x`
const part: Show = (value) => (value < 1 && value > 0 ? `1/${plain(1 / value)}` : times(value))
const fixed: Show = (value) => value.toFixed(3)
const percent: Show = (value) => `${(value * 100).toFixed(1)} %`
const unit =
  (name: string): Show =>
  (value) =>
    `${plain(value)} ${name}`

const goalOf = (figure: string, goal: string, isReached: (value: number) => boolean, show: Show, read: Read): Goal => ({
  figure,
  goal,
  judge: (on, run) => {
    const measured = read(on, run) ?? null
    return measured === null ? null : { text: show(measured), isReached: isReached(measured) }
  }
})

const atLeast = (figure: string, goal: string, bound: number, show: Show, read: Read): Goal =>
  goalOf(figure, `at least ${goal}`, (value) => value >= bound, show, read)

const atMost = (figure: string, goal: string, bound: number, show: Show, read: Read): Goal =>
  goalOf(figure, `at most ${goal}`, (value) => value <= bound, show, read)

const own =
  (contenders: number, measure: Measure): Read =>
  (on) =>
    value(on, "kubelock", contenders, measure)

/** A figure of kubelock in those of a peer. */
const against =
  (peer: Kind, contenders: number, measure: Measure): Read =>
  (on) =>
    ratio(value(on, "kubelock", contenders, measure), value(on, peer, contenders, measure))

const againstRaw = (contenders: number, goal: number): Goal =>
  atLeast(
    `${contenders} processes, hold 0: acquisitions/s against raw writes/s`,
    `${goal}`,
    goal,
    plain,
    against("raw", contenders, "perSecond")
  )

/** A figure of kubelock in those of an earlier build: nothing if none contends. */
const againstBefore = (
  contenders: number,
  measure: Measure,
  what: string,
  goal: number,
  judge: typeof atLeast = atLeast
): Goal =>
  judge(
    `${contenders === 1 ? "one process" : `${contenders} processes`}: ${what} against the earlier build`,
    `${goal} x`,
    goal,
    times,
    against("kubelock-before", contenders, measure)
  )

const againstRelay = (contenders: number, goal: number): Goal =>
  atLeast(
    `${contenders} processes, hold 0: acquisitions/s against the relay`,
    `${goal}`,
    goal,
    plain,
    against("relay", contenders, "perSecond")
  )

const againstDex = (contenders: number, throughput: number, wait: number): ReadonlyArray<Goal> => [
  atLeast(
    `${contenders} processes: throughput against Dex`,
    `${throughput} x`,
    throughput,
    times,
    against("dex", contenders, "perSecond")
  ),
  atMost(
    `${contenders} processes: wait p99 against Dex`,
    `1/${wait}`,
    1 / wait,
    part,
    against("dex", contenders, "waitP99")
  )
]

const requests = (contenders: number, goal: number): Goal =>
  atMost(
    `${contenders} processes: requests per acquisition`,
    `${goal}`,
    goal,
    plain,
    own(contenders, "requestsPerAcquisition")
  )

const watchEvents = (contenders: number): Goal =>
  atMost(
    `${contenders} processes: watch events per acquisition`,
    "2.2",
    2.2,
    plain,
    own(contenders, "watchEventsPerAcquisition")
  )

const fairness = (contenders: number): Goal =>
  atLeast(`${contenders} processes: Jain's fairness`, "0.99", 0.99, fixed, own(contenders, "jain"))

const threadsOf = (on: OnServer, protocol: "kubelock" | "dex") =>
  on.threads.find((threads) => threads.protocol === protocol)

const bytesOf = (on: OnServer, wanted: Kind) => on.wire.find(({ kind }) => kind === wanted)?.bytesPerCycle

const manyOf = ({ many }: OnServer, wanted: Kind, ids: number, loops = 0) =>
  many.find((figure) => figure.kind === wanted && figure.ids === ids && figure.busyLoops === loops)

/** All goals that a run can be judged by. */
export const goals: ReadonlyArray<Goal> = [
  {
    figure: "warm uncontended cycle: requests",
    goal: "2",
    judge: (on) => {
      const measured = value(on, "kubelock", 1, "requestsPerAcquisition")
      // The first acquisition of a round is not warm, and the last one may be cut short.
      const bound = 2 + 2 / (value(on, "kubelock", 1, "acquisitions") ?? 1)
      return measured === null ? null : { text: plain(measured), isReached: measured <= bound }
    }
  },
  atMost("bytes on the wire per such cycle, object of 8 KiB, against Dex", "1/25", 1 / 25, part, (on) =>
    ratio(bytesOf(on, "kubelock"), bytesOf(on, "dex"))
  ),
  atLeast("warm uncontended cycles/s against the raw client's pairs of writes", "0.9", 0.9, plain, (on) =>
    ratio(value(on, "kubelock", 1, "perSecond"), (value(on, "raw", 1, "perSecond") ?? Number.NaN) / 2)
  ),
  atLeast("one process on a Lease: cycles/s against client-go's fastest", "1.3 x", 1.3, times, (on) =>
    ratio(value(on, "kubelock-lease", 1, "perSecond"), value(on, "lease-fast", 1, "perSecond"))
  ),
  againstBefore(1, "perSecond", "cycles/s", 1.5),
  againstBefore(2, "perSecond", "acquisitions/s", 1.8),
  againstBefore(8, "perSecond", "acquisitions/s", 1.7),
  againstBefore(32, "perSecond", "acquisitions/s", 1.5),
  againstBefore(64, "perSecond", "acquisitions/s", 1.5),
  againstBefore(8, "serverCpuPerAcquisition", "server CPU an acquisition", 0.6, atMost),
  againstBefore(8, "cpuPerAcquisition", "client CPU an acquisition", 0.6, atMost),
  againstBefore(32, "cpuPerAcquisition", "client CPU an acquisition", 0.6, atMost),
  againstRelay(2, 0.85),
  againstRelay(8, 0.85),
  againstRelay(32, 0.8),
  againstRelay(64, 0.7),
  againstRaw(2, 0.85),
  againstRaw(8, 0.75),
  againstRaw(32, 0.6),
  againstRaw(64, 0.45),
  ...againstDex(8, 3, 20),
  ...againstDex(32, 4, 15),
  atLeast("8 processes, hold 20 ms: throughput of 1000/(20 + one raw write in ms)", "0.85", 0.85, plain, (on) => {
    const cell = on.hold.find(({ kind }) => kind === "kubelock")
    return ratio(middle(cell, "perSecond"), holdBound(on))
  }),
  requests(8, 1.1),
  requests(32, 1.3),
  ...[8, 16, 32, 64].map(watchEvents),
  fairness(8),
  fairness(32),
  atLeast("4 threads of 8 fibers: throughput against Dex", "100 x", 100, times, (on) =>
    ratio(threadsOf(on, "kubelock")?.throughputPerSecond, threadsOf(on, "dex")?.throughputPerSecond)
  ),
  atMost("4 threads of 8 fibers: wait p99 against Dex", "1/100", 1 / 100, part, (on) =>
    ratio(threadsOf(on, "kubelock")?.waitMillis.p99, threadsOf(on, "dex")?.waitMillis.p99)
  ),
  atMost("400 ids change hands at once: time against the earlier build", "0.6 x", 0.6, times, (on) =>
    ratio(manyOf(on, "kubelock", 400)?.millis, manyOf(on, "kubelock-before", 400)?.millis)
  ),
  goalOf(
    "1,000 ids change hands at once: locks lost",
    "0",
    (value) => value === 0,
    String,
    (on) => manyOf(on, "kubelock", 1000)?.lost
  ),
  goalOf(
    "the same beside four busy loops: locks lost",
    "0",
    (value) => value === 0,
    String,
    (on) => manyOf(on, "kubelock", 1000, 4)?.lost
  ),
  goalOf(
    "waiting without change: requests a second for each waiter",
    "0",
    (value) => value <= 0.05,
    plain,
    ({ waiting }) => waiting.find(({ kind }) => kind === "kubelock")?.requestsPerWaiterSecond
  ),
  goalOf(
    "4 kubelock and 4 Dex on one token: timeouts",
    "0",
    (value) => value === 0,
    String,
    ({ mixed }) => (mixed === null ? null : sum(mixed.kinds.map(({ timeouts }) => timeouts)))
  ),
  // 4 of 8 Dex have half of all acquisitions.
  goalOf(
    "the same: Dex's share of the acquisitions",
    "25 to 100 %",
    (value) => value >= 0.25,
    percent,
    ({ mixed }) => mixed?.kinds.find(({ kind }) => kind === "dex")?.share
  ),
  atMost(
    "store in memory: hand-off p50",
    "20 us",
    20,
    unit("us"),
    (_, { memory }) => memory.contended.handoffMicrosP50
  ),
  atLeast("store in memory: acquisitions/s", "50,000", 50_000, plain, (_, { memory }) => memory.contended.perSecond),
  atMost("store in memory: uncontended cycle p50", "30 us", 30, unit("us"), (_, { memory }) => memory.cycleMicrosP50),
  atMost(
    "memory per idle id at 10,000 ids",
    "200 bytes",
    200,
    unit("bytes"),
    (_, { memory }) => memory.ids.find(({ ids }) => ids === 10_000)?.bytesPerId
  )
]

/** The page that a run makes, `docs/dex-benchmarks.md`: pure. */
import { markdown, number, time } from "../../src/cli/bench/harness/text.ts"
import { sorted, quantile, sum } from "../../src/cli/bench/harness/statistics.ts"
import type { Crashes, Measurements, Mix, Round } from "./measurements.ts"
import { noise } from "../peers/noise.ts"
import { holdMillis } from "./place.ts"

/** How many of all expiries kubelock should be the first to break, and how many expiries a chain may last. */
export const goals = { brokenByUs: 0.9, longestChain: 2, dexShare: 0.6 }

/** Writes the page. */
export const page = (run: Measurements): string =>
  [
    "<!-- Written by `npm run bench:dex` from what a run measured. Do not edit. -->",
    "# Beside Dex",
    "kubelock and Dex on one RefreshToken of a real API server. Each contender is a process of its own, and all processes share the machine and its clock with the server. Dex is the lock of `src/testing/dex`, which reads the clock in whole milliseconds. [Interoperating with Dex](dex.md) says what the figures mean.",
    where(run),
    "## After a crash",
    `A process that holds the lock is killed (SIGKILL), while one kubelock and so many Dex wait. Each time the lock expires, somebody breaks it. The chain is how many expiries it takes until kubelock does. The goal: kubelock breaks at least ${goals.brokenByUs * 10} of 10, and no chain lasts longer than ${goals.longestChain}.`,
    crashTable(run.crashes),
    "How late kubelock broke the lock counts from the expiry to the watch event that tells of it.",
    "## Room for Dex",
    `Each process takes the lock, holds it for ${holdMillis} ms, releases it, and wants it again. Figures are medians over the rounds. The goal: Dex's share is at least ${goals.dexShare} of its share of the contenders, and its longest wait is no longer than among as many Dex alone.`,
    roomTable(run.mixes),
    "## Run it again",
    "With `KUBEBUILDER_ASSETS` naming a folder with `etcd` and `kube-apiserver`, on a quiet machine:\n\n```sh\nnpm run bench:dex              # about twenty minutes; writes this page\nnpm run bench:dex -- --quick   # a minute: shows that everything works, and writes nothing\n```"
  ].join("\n\n") + "\n"

const where = (run: Measurements): string => {
  const { loadAfter, machine, mixes, seconds, server, tookSeconds, version } = run
  const rounds = mixes[0]?.rounds.length ?? 0
  const table = markdown(
    ["", ""],
    [
      ["date", machine.date],
      ["machine", `${machine.cpus} x ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}`],
      ["API server", `${server} ${version}, etcd ${machine.etcd}`],
      ["Node.js", machine.node],
      ["kubelock", machine.commit],
      [
        "run",
        `${rounds} rounds of ${seconds} s for each mix, which take turns; ${Math.ceil(tookSeconds / 60)} min in all`
      ]
    ],
    2
  )
  return machine.loadBefore > 0.5 || loadAfter > 2 * machine.cpus ? `${table}\n\n${noise(run)}` : table
}

const names = { kubelock: "kubelock", dex: "Dex" }

const mark = (isReached: boolean, text: string): string => (isReached ? `${text} ✓` : `**${text}** ✗`)

const middle = (values: ReadonlyArray<number>): number | null => quantile(sorted(values), 0.5)

/** Crashes as a table. */
export const crashTable = (crashes: ReadonlyArray<Crashes>): string =>
  markdown(
    ["who died", "waiting Dex", "crashes", "expiries", "broken by kubelock", "longest chain", "late, median"],
    crashes.map(({ chains, dexes, late, victim }) => {
      const expiries = sum(chains)
      const share = late.length / expiries
      const longest = Math.max(...chains)
      return [
        names[victim],
        String(dexes),
        String(chains.length),
        String(expiries),
        mark(share >= goals.brokenByUs, `${(share * 100).toFixed(0)} %`),
        mark(longest <= goals.longestChain, String(longest)),
        time(middle(late))
      ]
    })
  )

/** Mixes as a table. */
export const roomTable = (mixes: ReadonlyArray<Mix>): string => {
  const middleOf = (mix: Mix, figure: (round: Round) => number | null): number | null =>
    middle(mix.rounds.map(figure).filter((value) => value !== null))
  const dexWait = (mix: Mix) => middleOf(mix, ({ longestWait }) => longestWait.dex)
  return markdown(
    [
      "kubelock + Dex",
      "acquisitions/s",
      "Dex's share",
      "of the contenders",
      "Dex's longest wait",
      "among Dex alone",
      "kubelock's longest wait",
      "timeouts",
      "overlaps"
    ],
    mixes.map((mix) => {
      const { dexes, kubelocks, rounds } = mix
      const share = middleOf(mix, ({ dexShare }) => dexShare) ?? 0
      const fair = dexes / (dexes + kubelocks)
      const alone = mixes.find((other) => other.kubelocks === 0 && other.dexes === dexes + kubelocks)
      const [longest, alonest] = [dexWait(mix) ?? 0, alone === undefined ? null : dexWait(alone)]
      const isAlone = kubelocks === 0
      return [
        `${kubelocks} + ${dexes}`,
        number(middleOf(mix, ({ perSecond }) => perSecond)),
        isAlone ? "100 %" : mark(share >= goals.dexShare * fair, `${(share * 100).toFixed(0)} %`),
        `${(fair * 100).toFixed(0)} %`,
        isAlone || alonest === null ? time(longest) : mark(longest <= alonest, time(longest)),
        time(alonest),
        time(middleOf(mix, ({ longestWait }) => longestWait.kubelock)),
        String(sum(rounds.map(({ timeouts }) => timeouts))),
        String(sum(rounds.map(({ overlaps }) => overlaps)))
      ]
    })
  )
}

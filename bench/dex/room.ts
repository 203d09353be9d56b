/** kubelock and Dex contend for one token: the share of Dex, and how long each waits. */
import * as Effect from "effect/Effect"
import type { Pool } from "../../src/cli/bench/contest/pool.ts"
import { sum } from "../../src/cli/bench/harness/statistics.ts"
import * as samples from "../peers/samples.ts"
import type { Round } from "./measurements.ts"
import { type Place, taskOf } from "./place.ts"

/** Plays one round. */
export const measure = Effect.fnUntraced(function* (
  pool: Pool,
  place: Place,
  { dexes, kubelocks, seconds }: { readonly dexes: number; readonly kubelocks: number; readonly seconds: number }
) {
  const kinds = [
    ...Array.from({ length: kubelocks }, () => "kubelock" as const),
    ...Array.from({ length: dexes }, () => "dex" as const)
  ]
  const reports = yield* pool.play(kinds.map((kind) => taskOf(place, kind, seconds)))
  const of = (kind: "kubelock" | "dex") => reports.filter((_, index) => kinds[index] === kind)
  const acquisitions = (kind: "kubelock" | "dex") => sum(of(kind).map(({ visits }) => visits.length))
  const longestWait = (kind: "kubelock" | "dex") => {
    const waits = samples.waits(of(kind))
    return waits.length === 0 ? null : Math.max(...waits)
  }
  const total = acquisitions("kubelock") + acquisitions("dex")
  const round: Round = {
    dexShare: acquisitions("dex") / total,
    perSecond: total / seconds,
    longestWait: { kubelock: longestWait("kubelock"), dex: longestWait("dex") },
    timeouts: sum(reports.map(({ timeouts }) => timeouts)),
    overlaps: samples.overlaps(reports)
  }
  return round
})

/** The report of the scenarios and of the figures, for people. */
import type { Kind } from "./candidate.ts"
import { type HandOver, overlapsOf, problems, type Seen } from "./judge.ts"

/** What a kind is called. */
export const names: Readonly<Record<Kind, string>> = { go: "client-go", model: "model", ours: "kubelock" }

/** What a scenario showed, in a few lines. */
export const scenario = (name: string, first: Kind, second: Kind, seen: Seen): string => {
  const broken = problems(seen)
  const terms = seen.records.reduce((sum, record) => sum + record.terms.length, 0)
  const longest = Math.max(0, ...overlapsOf(seen).map(({ millis }) => millis))
  return [
    `${broken.length === 0 ? "ok    " : "BROKEN"} ${names[first]} and ${names[second]}: ${name} (${(seen.millis / 1000).toFixed(0)} s)`,
    `       ${terms} terms; two led at once for ${overlapsOf(seen).length === 0 ? "no time" : `${longest.toFixed(0)} ms`}${gaps(seen.handOvers)}`,
    ...seen.notes.map((note) => `       ${note}`),
    ...broken.map((problem) => `       ${problem.replaceAll("\n", "\n         ")}`)
  ].join("\n")
}

const gaps = (handOvers: ReadonlyArray<HandOver>): string =>
  handOvers.length === 0
    ? ""
    : `; followed after ${handOvers.map(({ millis, to }) => `${millis.toFixed(0)} ms (${names[to]})`).join(", ")}`

/** The hand-overs by who followed whom: the least, the median, the greatest. */
export const handOvers = (all: ReadonlyArray<HandOver>): ReadonlyArray<string> =>
  [...Map.groupBy(all, ({ from, how, to }) => `${names[from]} ${how}, ${names[to]} follows`)].map(([what, some]) => {
    const sorted = some.map(({ millis }) => millis).toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(0)
    return `${what.padEnd(44)} ${String(sorted.length).padStart(3)} times  ${at(0).padStart(6)}  ${at(0.5).padStart(6)}  ${at(1).padStart(6)} ms`
  })

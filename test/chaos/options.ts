/** What `npm run test:chaos` was asked for, and what it does with each report. */
import { assert } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { appendFileSync } from "node:fs"
import * as Houses from "./houses.ts"
import * as Report from "./report.ts"
import type * as settings from "./settings.ts"
import { now } from "./testimony.ts"

/** What processes contend for in this house: all that they contend for at once, or the kind that was asked for. */
export const kindsIn = (house: Houses.Kind): ReadonlyArray<settings.Kind> => {
  const asked = process.env["KUBELOCK_CHAOS_KIND"]
  return asked === undefined ? Houses.atOnceOn(house) : Houses.possibleOn(house).filter((kind) => kind === asked)
}

/** The seed, and how long faults are injected in each run. */
export const options = Config.all({
  seed: Config.Int("KUBELOCK_CHAOS_SEED").pipe(Config.withDefault(1)),
  seconds: Config.Int("KUBELOCK_CHAOS_SECONDS").pipe(Config.withDefault(25))
})

/** Plays until the time is up, at least once, with one seed after the other. */
export const repeatedly = Effect.fnUntraced(function* <E, R>(play: (seed: number) => Effect.Effect<void, E, R>) {
  const { seconds, seed } = yield* options
  const ends = now() + seconds * 1000
  for (let round = 0; round === 0 || now() < ends; round++) yield* play(seed + round)
})

/** Appends one line of JSON to the file of `KUBELOCK_CHAOS_RECORD`, if it is set. */
export const record = Effect.fnUntraced(function* (line: object) {
  const file = yield* Config.String("KUBELOCK_CHAOS_RECORD").pipe(Config.withDefault(""))
  if (file !== "") appendFileSync(file, `${JSON.stringify(line)}\n`)
})

/** Prints and records a report, and fails if a promise was broken. */
export const judge = Effect.fnUntraced(function* (report: Report.Report) {
  yield* Console.log(Report.format(report))
  yield* record(Report.record(report))
  assert.deepStrictEqual(Report.problems(report), [])
})

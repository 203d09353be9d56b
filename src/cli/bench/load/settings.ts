/** What the flags of a load test mean. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { type Ended, misused } from "../../exitCodes.ts"
import type * as ServerWitness from "../contest/serverWitness.ts"
import { type Given, protocols } from "../flags.ts"
import type { Threshold } from "../threshold.ts"
import type { Subject } from "./figures.ts"

/** Whose lock. */
export type Protocol = (typeof protocols)[number]

/** How the contenders are divided, how the figures are printed, and how they are judged. */
export interface Others {
  readonly threads: number
  readonly fibers: number
  readonly json: boolean
  readonly thresholds: ReadonlyArray<Threshold>
}

/** What to test. Two protocols take turns, and `seconds` is the time of each. */
export interface Settings extends Subject, Others {
  readonly protocols: ReadonlyArray<Protocol>
  readonly ids: number
  readonly holdMillis: number
  readonly seconds: number
  readonly seed: number
  readonly reportFile?: string | undefined
  /** The witness on the API server, if contenders of other machines contend, too. */
  readonly serverWitness?: ServerWitness.Options | undefined
}

/** The settings. */
export const make = (
  { compare, duration, hold, ids, kind, limit, protocol, report, seed, writers }: Given,
  others: Others
): Effect.Effect<Settings, Ended> =>
  Effect.suspend(() => {
    const problem = misfit({ compare, kind, limit, protocol, writers }) ?? noFolder(report)
    if (problem !== undefined) return misused(problem)
    return Effect.succeed({
      ...others,
      kind,
      ids,
      limit: kind === "semaphore" ? Option.getOrElse(limit, () => 4) : null,
      writers: kind === "shared" ? Option.getOrElse(writers, () => 0.1) : null,
      seconds: Duration.toSeconds(duration),
      reportFile: Option.getOrUndefined(report),
      holdMillis: Duration.toMillis(hold),
      protocols: compare ? protocols : [protocol],
      seed: Option.getOrElse(seed, () => crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1)
    })
  })

// A page that cannot be written is no surprise for the end of a long test.
const noFolder = (report: Option.Option<string>): string | undefined => {
  if (Option.isNone(report)) return undefined
  const folder = dirname(resolve(report.value))
  return existsSync(folder) ? undefined : `--report: there is no folder ${folder}`
}

const misfit = ({
  compare,
  kind,
  limit,
  protocol,
  writers
}: Pick<Given, "compare" | "kind" | "limit" | "protocol" | "writers">): string | undefined => {
  if (Option.isSome(limit) && kind !== "semaphore")
    return "--limit needs --kind semaphore: only a semaphore has a limit"
  if (Option.isSome(writers) && kind !== "shared")
    return "--writers needs --kind shared: only a shared lock has readers"
  if (kind !== "lock" && (compare || protocol === "dex")) {
    return `Dex has no --kind ${kind}: leave out ${compare ? "--compare" : "--protocol dex"}, or use --kind lock`
  }
  return undefined
}

/** The command line of `npm run bench:peers`. */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as plan from "./plan.ts"

const servers = ["kube-apiserver", "apiextensions-apiserver"] as const

const number = (name: string, range: readonly [min: number, max: number], description: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => {
        const value = text.trim() === "" ? Number.NaN : Number(text)
        return value >= range[0] && value <= range[1] ? Option.some(value) : Option.none()
      },
      () => `a number from ${range[0]} to ${range[1]}`
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.optional
  )

/** The flags. */
export const flags = {
  quick: Flag.Boolean("quick").pipe(
    Flag.withDefault(false),
    Flag.withDescription(
      "A run of less than a minute on one server: shows that everything works, and leaves docs/benchmarks.md alone"
    )
  ),
  seconds: number("seconds", [0.5, 600], `How long each kind contends each time (default ${plan.defaults.seconds})`),
  rounds: number("rounds", [1, 20], `How often the kinds take turns (default ${plan.defaults.rounds})`),
  mixedSeconds: number(
    "mixed-seconds",
    [0, 3600],
    `How long kubelock and Dex contend with each other, 0 for not at all (default ${plan.defaults.mixedSeconds})`
  ),
  contenders: Flag.String("contenders").pipe(
    Flag.filterMap(
      (text) => {
        const counts = text.split(",").map(Number)
        return counts.every((count) => Number.isInteger(count) && count >= 1 && count <= 64)
          ? Option.some<ReadonlyArray<number>>(counts)
          : Option.none()
      },
      () => "whole numbers from 1 to 64, such as 2,8,32"
    ),
    Flag.withMetavar("N,N"),
    Flag.withDescription(`How many processes contend (default ${plan.defaults.contenders.join(",")})`),
    Flag.optional
  ),
  server: Flag.Literals("server", servers).pipe(
    Flag.withDescription("Only this API server of KUBEBUILDER_ASSETS (default: all that are there)"),
    Flag.optional
  ),
  json: Flag.String("json").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write what was measured to this file"),
    Flag.optional
  ),
  page: Flag.String("page").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Measure nothing: write docs/benchmarks.md and its plots from what --json wrote to this file"),
    Flag.optional
  )
}

/** What the flags say. */
export type Given = { readonly [Name in keyof typeof flags]: ValueOf<(typeof flags)[Name]> }

type ValueOf<F> = F extends Flag.Flag<infer A> ? A : never

/** The settings that the flags mean. */
export const toSettings = (given: Given): plan.Settings => {
  const base = given.quick ? plan.quick : plan.defaults
  return {
    seconds: Option.getOrElse(given.seconds, () => base.seconds),
    rounds: Option.getOrElse(given.rounds, () => base.rounds),
    mixedSeconds: Option.getOrElse(given.mixedSeconds, () => base.mixedSeconds),
    contenders: Option.getOrElse(given.contenders, () => base.contenders).toSorted((a, b) => a - b),
    servers: Option.isSome(given.server) ? [given.server.value] : base.servers
  }
}

/** Examples for the help. */
export const examples = [
  { command: "npm run bench:peers -- --quick", description: "Shows in less than a minute that everything works" },
  {
    command: "npm run bench:peers -- --json peers.json",
    description: "The whole run, about twenty minutes; writes docs/benchmarks.md as well"
  },
  { command: "npm run bench:peers -- --page peers.json", description: "The page again, from the JSON" }
]

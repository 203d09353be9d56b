/** The command line of `npm run bench:peers`. */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { number, toggle } from "../../tools/flags.ts"
import { measurementsFile, type Values } from "../harness/flags.ts"
import * as plan from "./plan.ts"

const { defaults } = plan

/** The flags. */
export const flags = {
  quick: toggle(
    "quick",
    "A run of a few minutes on one server: shows that everything works, and leaves docs/benchmarks.md alone"
  ),
  seconds: number("seconds", [0.5, 600], `How long each kind contends each time (default ${defaults.seconds})`).pipe(
    Flag.optional
  ),
  rounds: number("rounds", [1, 20], `How often the kinds take turns (default ${defaults.rounds})`).pipe(Flag.optional),
  mixedSeconds: number(
    "mixed-seconds",
    [0, 3600],
    `How long kubelock and Dex contend with each other, 0 for not at all (default ${defaults.mixedSeconds})`
  ).pipe(Flag.optional),
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
    Flag.withDescription(`How many processes contend (default ${defaults.contenders.join(",")})`),
    Flag.optional
  ),
  server: Flag.Literals("server", ["kube-apiserver", "apiextensions-apiserver"]).pipe(
    Flag.withDescription("Only this API server of KUBEBUILDER_ASSETS (default: all that are there)"),
    Flag.optional
  ),
  against: Flag.String("against").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("An earlier build contends as well: the folder where its package (npm pack) was unpacked"),
    Flag.optional
  ),
  json: measurementsFile,
  page: Flag.String("page").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Measure nothing: write docs/benchmarks.md and its plots from what --json wrote to this file"),
    Flag.optional
  )
}

/** The values of the flags. */
export type Given = Values<typeof flags>

/** The settings that the flags mean. */
export const toSettings = (given: Given): plan.Settings => {
  const base = given.quick ? plan.quick : defaults
  return {
    seconds: Option.getOrElse(given.seconds, () => base.seconds),
    rounds: Option.getOrElse(given.rounds, () => base.rounds),
    mixedSeconds: Option.getOrElse(given.mixedSeconds, () => base.mixedSeconds),
    contenders: Option.getOrElse(given.contenders, () => base.contenders).toSorted((a, b) => a - b),
    servers: Option.isSome(given.server) ? [given.server.value] : base.servers,
    against: Option.getOrUndefined(given.against),
    hasFailures: base.hasFailures
  }
}

/** Examples for the help. */
export const examples = [
  { command: "npm run bench:peers -- --quick", description: "Shows in a few minutes that everything works" },
  {
    command: "npm run bench:peers -- --json peers.json",
    description: "The whole run, more than an hour; writes docs/benchmarks.md as well"
  },
  {
    command: "npm run bench:peers -- --against ../before/package --contenders 2,8 --json peers.json",
    description: "The same beside an earlier build, in turns"
  },
  { command: "npm run bench:peers -- --page peers.json", description: "The page again, from the JSON" }
]

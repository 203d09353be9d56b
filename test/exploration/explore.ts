/**
 * Explores deeper than `npm test` does: `npm run explore -- --depth N [--world TITLE]`. See `--help`.
 *
 * Ends with 1 and the shortest history if something is violated.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { whole } from "../../tools/flags.ts"
import * as program from "../../tools/program.ts"
import { elections } from "./elections/elections.ts"
import * as elected from "./elections/search.ts"
import { lines } from "./permits/permits.ts"
import * as permitted from "./permits/search.ts"
import { explore } from "./search.ts"
import * as withSessions from "./sessions/search.ts"
import { sessions } from "./sessions/sessions.ts"
import type { Outcome, Progress } from "./walk.ts"
import { worlds } from "./worlds.ts"

class Violated extends Data.TaggedError("Violated") {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

/** What can be explored: a world of a lock, an election, a world of a lock with permits, or one of locks under sessions. */
interface Explored {
  readonly title: string
  readonly depth: number
  readonly explore: (depth: number, onDepth: (progress: Progress) => void) => Found
}

/** What was found. `besides` is worth a word. */
interface Found extends Pick<Outcome, "states" | "depth" | "violation"> {
  readonly besides: string
}

const all: ReadonlyArray<Explored> = [
  ...worlds.map((world): Explored => ({
    title: world.title,
    depth: world.depth,
    explore: (depth, onDepth) => {
      const found = explore(world, depth, onDepth)
      const besides = `; in ${found.shared} a contender still relied on a lock it was robbed of; everybody had the lock after ${found.slowest} s`
      return { ...found, besides }
    }
  })),
  ...elections.map((election): Explored => ({
    title: election.title,
    depth: election.depth,
    explore: (depth, onDepth) => ({ ...elected.explore(election, depth, onDepth), besides: "" })
  })),
  ...lines.map((line): Explored => ({
    title: line.title,
    depth: line.depth,
    explore: (depth, onDepth) => {
      const found = permitted.explore(line, depth, onDepth)
      return { ...found, besides: `; everybody had the permits after ${found.slowest} s` }
    }
  })),
  ...sessions.map((world): Explored => ({
    title: world.title,
    depth: world.depth,
    explore: (depth, onDepth) => {
      const found = withSessions.explore(world, depth, onDepth)
      return { ...found, besides: `; every process had its locks after ${found.slowest} s` }
    }
  }))
]

const flags = {
  depth: whole("depth", [1, 99], "How many moves deep (default: as deep as npm test, which differs by world)").pipe(
    Flag.optional
  ),
  world: Flag.String("world").pipe(
    Flag.filterMap(
      (wanted) => Option.fromUndefinedOr(all.find(({ title }) => title === wanted)),
      () => "the title of a world"
    ),
    Flag.withMetavar("TITLE"),
    Flag.withDescription("Only this world (default: all)"),
    Flag.optional
  )
}

/** Explores a world. Whether nothing was violated. */
const run = (world: Explored, depth: number): boolean => {
  console.log(`${world.title}, down to depth ${depth}`)
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  const {
    besides,
    depth: reached,
    states,
    violation
  } = world.explore(depth, (progress) => {
    const rate = Math.round(progress.states / seconds())
    console.log(
      `  depth ${progress.depth}: ${progress.states} states, ${progress.fresh} new, ${seconds().toFixed(1)} s, ${rate} states/s`
    )
  })
  console.log(`  ${states} states visited, depth ${reached}${besides}`)
  if (violation === undefined) return true
  console.log(`VIOLATION at depth ${reached}: ${violation.what}`)
  for (const line of violation.history) console.log(`  ${line}`)
  return false
}

const command = Command.make("npm run explore --", flags, ({ depth, world }) =>
  Effect.suspend(() => {
    const chosen = Option.match(world, { onNone: () => all, onSome: (one) => [one] })
    const isSound = chosen.every((one) =>
      run(
        one,
        Option.getOrElse(depth, () => one.depth)
      )
    )
    return isSound ? Effect.void : new Violated()
  })
).pipe(
  Command.withDescription(
    `Explores every interleaving of small worlds, and checks the promises of the lock, of elections, of locks with permits, and of locks under sessions, in each state. The worlds:\n${all.map(({ title }) => `  "${title}"`).join("\n")}`
  ),
  Command.withExamples([
    { command: "npm run explore", description: "All worlds, as deep as npm test" },
    { command: `npm run explore -- --world "two kubelocks" --depth 12`, description: "One world, deeper" }
  ])
)

program.run(command, process.argv.slice(2))

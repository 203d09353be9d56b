/** A candidate: a process that campaigns for one Lease, and what it said. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import type * as Guard from "../../src/testing/envtest/Guard.ts"
import * as Faketime from "../chaos/faketime.ts"
import { type Event, now, parse } from "./events.ts"
import { type Term, termsOf } from "./terms.ts"

/** What a candidate runs: the real client-go, the model of it, or this library. */
export const kinds = ["go", "model", "ours"] as const
export type Kind = (typeof kinds)[number]

/** The times of an election, in milliseconds. */
export interface Timings {
  readonly leaseDuration: number
  readonly renewDeadline: number
  readonly retryPeriod: number
}

/**
 * What to run.
 *
 * - `elector`: the binary of the elector in Go.
 * - `term`: it steps down after leading for so many milliseconds.
 * - `clock`: by how many seconds its wall clock is ahead. `directory` keeps the file that sets it.
 */
export interface Options {
  readonly kind: Kind
  readonly name: string
  readonly lease: string
  readonly timings: Timings
  readonly releases: boolean
  readonly kubeconfig: string
  readonly elector: string
  readonly guard: Guard.Guard
  readonly directory: string
  readonly term?: number | undefined
  readonly clock?: number | undefined
}

/**
 * A candidate that was started.
 *
 * - `events`: what it said so far. `terms`: the same as terms.
 * - `leads`: whether it leads, as far as it said.
 * - `kill`: SIGKILL. Answers the time just before. `terminate`: SIGTERM; does not wait.
 * - `pause`, `resume`: SIGSTOP and SIGCONT.
 * - `exit`: waits for its end.
 * - `complaints`: the last lines of its output that are no events.
 */
export interface Candidate {
  readonly kind: Kind
  readonly name: string
  readonly events: ReadonlyArray<Event>
  readonly terms: () => ReadonlyArray<Term>
  readonly leads: () => boolean
  readonly kill: Effect.Effect<number>
  readonly terminate: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  readonly exit: Effect.Effect<void>
  readonly complaints: () => string
}

/** Starts a candidate. It ends with the scope. */
export const start = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Candidate, EnvtestError, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> {
  const { guard, kind, name } = options
  const events: Array<Event> = []
  const complaints: Array<string> = []
  let leads = false

  const daemon = yield* Daemon.make({
    name,
    command: "env",
    args: command(options),
    guard,
    heed: (line) => {
      const event = parse(line)
      if (event === undefined) {
        complaints.push(line)
        if (complaints.length > 5) complaints.shift()
        return
      }
      events.push(event)
      if (event.event === "started") leads = true
      if (event.event === "stopped") leads = false
    }
  })
  yield* daemon.start
  const exit = yield* Effect.forkScoped(
    Effect.tap(Effect.exit(daemon.died), () =>
      Effect.sync(() => {
        leads = false
      })
    )
  )

  return {
    kind,
    name,
    events,
    terms: () => termsOf(name, events),
    leads: () => leads,
    kill: Effect.tap(Effect.sync(now), () => daemon.signal("SIGKILL")),
    terminate: daemon.signal("SIGTERM"),
    pause: daemon.pause,
    resume: daemon.resume,
    exit: Effect.asVoid(Fiber.await(exit)),
    complaints: () => complaints.join("\n")
  }
})

/** The program and its arguments, with a wall clock of its own. Go reads the clock without libc, so its elector shifts what it writes. */
const command = (options: Options): ReadonlyArray<string> => {
  const { clock = 0, directory, elector, kind, kubeconfig, lease, name, term, timings } = options
  const flags = [
    `--kubeconfig=${kubeconfig}`,
    `--namespace=default`,
    `--name=${lease}`,
    `--identity=${name}`,
    `--lease-duration=${timings.leaseDuration}ms`,
    `--renew-deadline=${timings.renewDeadline}ms`,
    `--retry-period=${timings.retryPeriod}ms`,
    ...(options.releases ? ["--release-on-cancel"] : []),
    ...(term === undefined ? [] : [`--term=${term}ms`])
  ]
  if (kind === "go") return [elector, ...flags, `--clock-ahead=${clock}s`]
  const program = [process.execPath, join(import.meta.dirname, `${kind}.ts`), ...flags]
  if (clock === 0 || Faketime.library === undefined) return program
  const file = join(directory, `${lease}-${name}.clock`)
  Faketime.set(file, clock)
  return [...Faketime.environment(Faketime.library, file), ...program]
}

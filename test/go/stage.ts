/** One Lease on a real API server, candidates that contend for it, and somebody else who writes to its metadata. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type * as Envtest from "../../src/testing/envtest/Envtest.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import type * as Guard from "../../src/testing/envtest/Guard.ts"
import * as Proxy from "../chaos/proxy.ts"
import * as Candidate from "./candidate.ts"
import { now } from "./events.ts"
import type { HandOver, Seen } from "./judge.ts"
import { beganAt } from "./terms.ts"

/** What all stages share. `elector`: the binary of the elector in Go. `directory`: a folder for files. */
export interface House {
  readonly api: Envtest.ApiServerProcess
  readonly guard: Guard.Guard
  readonly elector: string
  readonly directory: string
}

/** How a candidate differs from the usual one, which releases and goes by the right time. */
export type Particulars = Partial<Pick<Candidate.Options, "clock" | "releases" | "term" | "kubeconfig">>

/** What did not happen in time. */
export class Unmet extends Schema.Error<Unmet>("kubelock/test/go/Unmet")({
  _tag: Schema.tag("Unmet"),
  what: Schema.String
}) {}

/** What may happen on a stage. */
export type Act<A = void> = Effect.Effect<
  A,
  Unmet | EnvtestError,
  ChildProcessSpawner.ChildProcessSpawner | Scope.Scope
>

/**
 * The stage. Times are in milliseconds.
 *
 * - `start`: starts a candidate under a name of its own.
 * - `until`: waits for something, and fails if it takes longer.
 * - `leads`: waits until a candidate leads. `waits`: waits until it knows of a leader.
 * - `exits`: waits until a candidate that was ended is gone.
 * - `follows`: waits until a candidate leads after another has ended at a time or of itself, and notes how long that took.
 * - `note`: puts something into the report.
 * - `proxied`: a proxy to the API server, and the kubeconfig that goes through it.
 * - `transitions`: how often the Lease has changed hands.
 */
export interface Stage {
  readonly timings: Candidate.Timings
  readonly start: (kind: Candidate.Kind, particulars?: Particulars) => Act<Candidate.Candidate>
  readonly until: (what: string, condition: () => boolean, within: number) => Act
  readonly leads: (candidate: Candidate.Candidate, within: number) => Act
  readonly waits: (candidate: Candidate.Candidate) => Act
  readonly exits: (candidate: Candidate.Candidate) => Act
  readonly follows: (
    next: Candidate.Candidate,
    last: Candidate.Candidate,
    how: HandOver["how"],
    killedAt?: number
  ) => Act
  readonly note: (text: string) => void
  readonly proxied: Act<{ readonly proxy: Proxy.Proxy; readonly kubeconfig: string }>
  readonly transitions: Effect.Effect<number>
}

/** How long a process may take to do what it does at once: for a busy machine. */
export const slack = 2000

/** How much longer the duration on a Lease of ours may be than the lease: seconds are rounded, and the server's time is not known exactly. */
const longestRounding = 2000

/** How long a candidate may take to see that nobody leads any more. */
export const longestLook = ({ retryPeriod }: Candidate.Timings): number => 2.2 * retryPeriod

/**
 * How long it may take until a candidate leads after the leader has released the Lease, or was killed.
 *
 * A release of client-go fails if somebody else writes to the Lease at that moment (until 0.37), and then leaves the lease to run
 * out.
 */
export const longestGap = (timings: Candidate.Timings, how: HandOver["how"] | "release may fail"): number =>
  how === "released"
    ? longestLook(timings) + slack
    : timings.leaseDuration + longestRounding + 2 * longestLook(timings) + slack

const leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"

/** Makes the Lease, plays, and tells what was seen. `writes`: whether somebody else writes to the metadata of the Lease. */
export const play = Effect.fnUntraced(function* (
  house: House,
  options: {
    readonly lease: string
    readonly timings: Candidate.Timings
    readonly leadsOn: (kind: Candidate.Kind) => number
    readonly writes: boolean
  },
  act: (stage: Stage) => Act
) {
  const { api, directory } = house
  const { lease, leadsOn, timings } = options
  const path = `${leases}/${lease}`
  const began = now()
  const started: Array<Candidate.Candidate> = []
  const handOvers: Array<HandOver> = []
  const unmet: Array<string> = []
  const notes: Array<string> = []

  yield* Effect.orDie(
    api.request("POST", leases, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: lease, annotations: { "example.com/count": "0" }, labels: { "example.com/team": "a" } }
    })
  )
  const read = Effect.map(Effect.orDie(api.request("GET", path)), ({ body }) => body)
  let written = 0
  const writer = Effect.forever(
    Effect.gen(function* () {
      yield* Effect.sleep(timings.retryPeriod * 1.7)
      const metadata = { annotations: { "example.com/count": String(written + 1) } }
      const { status } = yield* Effect.orDie(api.request("PATCH", path, { metadata }))
      if (status === 200) written++
    })
  )

  const until: Stage["until"] = (what, condition, within) =>
    Effect.sleep("2 millis").pipe(
      Effect.repeat({ until: condition }),
      Effect.timeoutOrElse({
        duration: within,
        orElse: () => {
          const said = started.map(({ complaints, name }) => `${name}: ${complaints()}`).join("\n")
          return Effect.fail(new Unmet({ what: `${what} not within ${within} ms\n${said}` }))
        }
      }),
      Effect.asVoid
    )
  const leads: Stage["leads"] = (candidate, within) => until(`${candidate.name} leads`, candidate.leads, within)

  const stage: Stage = {
    timings,
    until,
    leads,
    start: (kind, particulars = {}) =>
      Effect.tap(
        Candidate.start({
          kubeconfig: api.kubeConfigPath,
          releases: true,
          ...house,
          ...particulars,
          kind,
          lease,
          timings,
          name: `${kind}-${started.length + 1}`
        }),
        (candidate) => Effect.sync(() => started.push(candidate))
      ),
    waits: (candidate) =>
      until(
        `${candidate.name} sees a leader`,
        () => candidate.events.some((event) => event.event === "leader" && event.leader !== ""),
        10_000
      ),
    exits: ({ exit, name }) =>
      Effect.timeoutOrElse(exit, {
        duration: timings.renewDeadline + slack,
        orElse: () => Effect.fail(new Unmet({ what: `${name} does not end` }))
      }),
    follows: (next, last, how, killedAt) =>
      Effect.gen(function* () {
        const mayFail = how === "released" && options.writes && last.kind !== "ours"
        yield* leads(next, longestGap(timings, mayFail ? "release may fail" : how))
        const ended = killedAt ?? last.terms().at(-1)?.stopped
        if (ended === undefined) return yield* new Unmet({ what: `${last.name} did not stop` })
        handOvers.push({ from: last.kind, to: next.kind, how, millis: beganAt(next.terms().at(-1)!) - ended })
      }),
    note: (text) => void notes.push(text),
    proxied: Effect.gen(function* () {
      const proxy = yield* Proxy.make(Number(new URL(api.url).port))
      const kubeconfig = join(directory, `${lease}.kubeconfig`)
      writeFileSync(kubeconfig, api.kubeConfig.replace(api.url, `https://127.0.0.1:${proxy.port}`), { mode: 0o600 })
      return { proxy, kubeconfig }
    }),
    transitions: Effect.map(read, (body) => Number((body["spec"] as Record<string, unknown>)["leaseTransitions"]))
  }

  const writing = options.writes ? yield* Effect.forkScoped(writer) : undefined
  yield* Effect.catch(act(stage), (error) =>
    Effect.sync(() => void unmet.push(error._tag === "Unmet" ? error.what : error.message))
  )
  if (writing !== undefined) yield* Fiber.interrupt(writing)
  const { metadata = {} } = yield* read
  return {
    records: started.map((candidate) => ({ name: candidate.name, kind: candidate.kind, terms: candidate.terms() })),
    leadsOn,
    handOvers,
    unmet,
    notes,
    millis: now() - began,
    lost: [
      ...(Number(metadata.annotations?.["example.com/count"]) >= written ? [] : ["an annotation"]),
      ...(metadata.labels?.["example.com/team"] === "a" ? [] : ["a label"])
    ]
  } satisfies Seen
}, Effect.scoped)

/** The scenarios: what befalls two candidates, each of any kind, and for how long a leader may lead on then. */
import * as Effect from "effect/Effect"
import type { Candidate, Kind, Timings } from "./candidate.ts"
import { type Act, longestGap, type Particulars, slack, type Stage } from "./stage.ts"

/**
 * A scenario. `first` is what the fault hits.
 *
 * `leadsOn`: who may lead on when another has begun. A leader of client-go does so until its renew deadline, counted from the
 * first renewal that fails. A leader of this library whose Lease a stranger emptied does so until it hears of it, at its next
 * renewal at the latest.
 */
export interface Scenario {
  readonly name: string
  readonly leadsOn: "nobody" | "client-go" | "anybody"
  readonly act: (stage: Stage, first: Kind, second: Kind) => Act
}

/** The times of all scenarios. The renew deadline and a retry period are well within the lease. */
export const timings: Timings = { leaseDuration: 4000, renewDeadline: 2000, retryPeriod: 500 }

/** For how long a leader of a kind may lead on, in milliseconds. */
export const longestOverlap = ({ leadsOn }: Scenario, kind: Kind): number => {
  if (leadsOn === "nobody") return 0
  if (kind === "ours") return leadsOn === "anybody" ? timings.retryPeriod + slack : 0
  return timings.renewDeadline + timings.retryPeriod + slack
}

/** Starts a candidate that leads, and one that waits. */
const twoOf = (stage: Stage, first: Kind, second: Kind, particulars?: Particulars) =>
  Effect.gen(function* () {
    const leader = yield* stage.start(first, particulars)
    yield* stage.leads(leader, 10_000)
    const next = yield* stage.start(second)
    yield* stage.waits(next)
    return { leader, next }
  })

/** Ends one leader after the other, of one kind after the other. Each is followed by a candidate that waits. */
export const relay = (
  stage: Stage,
  kinds: readonly [Kind, Kind],
  rounds: number,
  how: "released" | "crashed",
  particulars: (round: number) => Particulars = () => ({})
): Act =>
  Effect.gen(function* () {
    let leader: Candidate = yield* stage.start(kinds[0], particulars(0))
    yield* stage.leads(leader, 10_000)
    for (let round = 1; round <= rounds; round++) {
      const next = yield* stage.start(kinds[round % 2]!, particulars(round))
      yield* stage.waits(next)
      // At any moment between two looks of the candidate and two renewals of the leader.
      yield* Effect.sleep(Math.random() * 2 * stage.timings.retryPeriod)
      const killedAt = how === "crashed" ? yield* leader.kill : undefined
      if (killedAt === undefined) yield* leader.terminate
      yield* stage.exits(leader)
      yield* stage.follows(next, leader, how, killedAt)
      leader = next
    }
  })

/** Suspends the leader until the other one leads, and for a while longer. */
const suspended = (stage: Stage, first: Kind, second: Kind) =>
  Effect.gen(function* () {
    const { leader, next } = yield* twoOf(stage, first, second)
    yield* leader.pause
    yield* stage.leads(next, longestGap(stage.timings, "crashed"))
    yield* Effect.sleep(stage.timings.retryPeriod)
    return { leader, next }
  })

/** A leader is asked to stop after its lease. A late release empties the Lease of its successor, while a third candidate waits. */
const stopsLate = (stage: Stage, first: Kind, second: Kind, third: Kind): Act =>
  Effect.gen(function* () {
    const { leader, next } = yield* suspended(stage, first, second)
    const waiting = yield* stage.start(third)
    yield* stage.waits(waiting)
    const before = yield* stage.transitions
    yield* leader.terminate
    yield* leader.resume
    yield* stage.exits(leader)
    yield* Effect.sleep(stage.timings.renewDeadline + 2 * stage.timings.retryPeriod)
    stage.note(
      (yield* stage.transitions) === before
        ? "the Lease of its successor stayed as it was"
        : "it emptied the Lease of its successor"
    )
    yield* stage.until("one leads alone", () => next.leads() !== waiting.leads(), slack)
    const [last, other] = next.leads() ? [next, waiting] : [waiting, next]
    yield* last.terminate
    yield* stage.exits(last)
    yield* stage.follows(other, last, "released")
  })

const stops = (stage: Stage, candidate: Candidate) =>
  stage.until(`${candidate.name} stops`, () => !candidate.leads(), stage.timings.renewDeadline * 2 + slack)

/** All of them. */
export const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "each leader releases",
    leadsOn: "nobody",
    act: (stage, first, second) => relay(stage, [first, second], 4, "released")
  },
  {
    name: "each leader is killed",
    leadsOn: "nobody",
    act: (stage, first, second) => relay(stage, [first, second], 2, "crashed")
  },
  {
    name: "wall clocks are ten minutes ahead and behind, leaders release",
    leadsOn: "nobody",
    act: (stage, first, second) =>
      relay(stage, [first, second], 4, "released", (round) => ({ clock: round % 2 === 0 ? 600 : -600 }))
  },
  {
    name: "wall clocks are ten minutes behind and ahead, leaders are killed",
    leadsOn: "nobody",
    act: (stage, first, second) =>
      relay(stage, [first, second], 2, "crashed", (round) => ({ clock: round % 2 === 0 ? -600 : 600 }))
  },
  {
    name: "the leader is suspended past its lease",
    leadsOn: "client-go",
    act: (stage, first, second) =>
      Effect.gen(function* () {
        const { leader, next } = yield* suspended(stage, first, second)
        yield* leader.resume
        yield* stops(stage, leader)
        yield* next.terminate
        yield* stage.exits(next)
        yield* stage.follows(leader, next, "released")
      })
  },
  {
    name: "the leader is suspended past its lease and then asked to stop",
    leadsOn: "anybody",
    act: (stage, first, second) => stopsLate(stage, first, second, second)
  },
  {
    name: "the leader is suspended past its lease and then asked to stop, beside one of its own kind",
    leadsOn: "anybody",
    act: (stage, first, second) => stopsLate(stage, first, first, second)
  },
  {
    name: "the leader is cut off past its lease",
    leadsOn: "nobody",
    act: (stage, first, second) =>
      Effect.gen(function* () {
        const { kubeconfig, proxy } = yield* stage.proxied
        // With ReleaseOnCancel client-go leads on until its release has timed out.
        const { leader, next } = yield* twoOf(stage, first, second, { kubeconfig, releases: false })
        yield* proxy.set({ _tag: "Blackhole" })
        yield* stage.leads(next, longestGap(stage.timings, "crashed"))
        yield* Effect.sleep(stage.timings.retryPeriod)
        yield* proxy.set({ _tag: "Open" })
        yield* stops(stage, leader)
        yield* next.terminate
        yield* stage.exits(next)
        yield* stage.leads(leader, 30_000)
      })
  },
  {
    name: "six candidates step down again and again",
    leadsOn: "nobody",
    act: (stage, first, second) =>
      Effect.gen(function* () {
        const all = yield* Effect.forEach([first, second, first, second, first, second], (kind) =>
          stage.start(kind, { term: 200 })
        )
        yield* stage.until("each of six leads", () => all.every(({ terms }) => terms().length > 0), 60_000)
      })
  }
]

/** What a candidate of the library does, by the library's own decisions, over its own store of Leases. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as electionStore from "../../../src/internal/election/electionStore.ts"
import type { Answer, Now } from "../../../src/internal/protocol/answer.ts"
import * as holding from "../../../src/internal/protocol/holding.ts"
import * as release from "../../../src/internal/protocol/release.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockProtocol from "../../../src/LockProtocol.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../../src/ObjectStore.ts"
import type { Boundary } from "../../mutations/boundary.ts"
import * as stores from "../stores.ts"
import { clockAt, millis, runAt } from "../time.ts"
import { nameOf } from "./names.ts"
import { type Candidate, leaseDuration, recordOf, renewDeadline, type Sent, type Sight } from "./world.ts"

const key = "kubelock.dev/leader"
const id = "lease"
const kind = electionStore.kind(key)

/** The library, as it is or with a mutation. */
export interface Mutation extends Boundary {
  /** For how long a leader relies on its Lease, in seconds. */
  readonly renewDeadline?: number
}

/** The clocks of everybody at a tick. */
export const nowAt = (tick: number): Now => {
  const wall = millis(tick)
  return { clock: clockAt(tick), server: { earliest: wall, latest: wall } }
}

const unavailable = new LockError.Unavailable({ object: id, verb: "patch", detail: "no answer" })
const missing = new LockError.NotFound({ id, object: id, missing: "object" })

/** What a server does with the requests of a candidate. */
export interface Requests {
  readonly read: () => ObjectSnapshot | undefined
  readonly write: (sent: Sent) => ObjectSnapshot | "refused" | "lost"
}

/** What a candidate wants to do next. */
export type Intent =
  | { readonly _tag: "Waits" }
  | { readonly _tag: "Joins"; readonly write: ConditionalPatch }
  | { readonly _tag: "Acquires"; readonly write: ConditionalPatch; readonly pending: NonNullable<Candidate["pending"]> }
  | { readonly _tag: "Creates"; readonly pending: NonNullable<Candidate["pending"]> }
  | { readonly _tag: "Leads"; readonly hold: holding.State; readonly token: number }

/** Makes the library. */
export const make = (mutation: Mutation) => {
  const deadline = mutation.renewDeadline ?? renewDeadline

  // The store of a candidate, as it is after all that it has seen.
  const storeOf = (sights: ReadonlyArray<Sight>, tick: number, requests: Requests) => {
    const process = { key, otherKeys: [], owns: () => false }
    const seen: Array<Sight> = [...sights]
    let real = false
    let past: Sight | undefined
    const now = () => {
      const { server } = nowAt(past?.tick ?? tick)
      return mutation.now?.(server) ?? server
    }
    const heard = (snapshot: ObjectSnapshot, request: "read" | "commit"): ObjectSnapshot => {
      if (real) seen.push({ lease: snapshot, tick })
      const answer: Answer = { _tag: "Found", snapshot }
      const changed = mutation.hears?.(answer, request, process) ?? answer
      return changed._tag === "Found" ? changed.snapshot : snapshot
    }
    const written = (sent: Sent): Effect.Effect<Option.Option<ObjectSnapshot>, LockError.StoreError> => {
      const answer = requests.write(sent)
      if (answer === "lost") return Effect.fail(unavailable)
      return Effect.succeed(answer === "refused" ? Option.none() : Option.some(heard(answer, "commit")))
    }
    const leases = stores.make(key, {
      now: Effect.sync(now),
      read: () =>
        Effect.suspend(() => {
          const found = past === undefined ? requests.read() : past.lease
          return found === undefined ? Effect.fail(missing) : Effect.succeed(heard(found, "read"))
        }),
      create: (_, annotations, content) => Effect.suspend(() => written({ annotations, created: content ?? {} })),
      compareAndSwap: (_, patch) => Effect.suspend(() => written(mutation.sends?.(patch, process) ?? patch))
    })
    const store = electionStore.make(leases, {
      key,
      leaseDuration,
      onSlowPath: () => Effect.void,
      onLongLease: () => Effect.void
    })
    for (const sight of sights) {
      past = sight
      runAt(sight.tick, Effect.orDie(store.read(id)))
    }
    past = undefined
    real = true
    return {
      ...stores.answersOf(store, id, tick),
      /** What it has seen by now, as far as it matters. */
      sights: (): ReadonlyArray<Sight> => {
        const last = seen.at(-1)
        if (last === undefined) return []
        const first = seen[seen.findLastIndex(({ lease }) => recordOf(lease) !== recordOf(last.lease)) + 1]!
        return first === last || first.lease === last.lease ? [first] : [first, last]
      }
    }
  }

  const contender = (index: number) => ({
    kind,
    holderId: nameOf(index),
    ttl: leaseDuration * 1000,
    renews: true,
    yields: false
  })

  const terms = (index: number): holding.Terms => ({
    kind,
    holderId: nameOf(index),
    ttl: leaseDuration * 1000,
    renewEvery: 1000,
    renewDeadline: deadline * 1000
  })

  const releaseOf = (index: number): release.Release => ({
    kind,
    holderId: nameOf(index),
    requeue: undefined,
    sharedWithDex: false,
    handsOver: true
  })

  const pendingOf = (
    lease: NonNullable<Candidate["pending"]>["lease"],
    { clock, server }: Now
  ): NonNullable<Candidate["pending"]> => ({
    lease,
    issuedAt: clock,
    validFor: LockProtocol.validFor(server, leaseDuration * 1000),
    tookOverFrom: undefined,
    displaced: 0
  })

  const begun = (pending: NonNullable<Candidate["pending"]>, snapshot: ObjectSnapshot): Intent => ({
    _tag: "Leads",
    hold: holding.begin({ ...pending, snapshot }, { renewDeadline: deadline * 1000 }),
    token: Number(snapshot.resourceVersion)
  })

  // Commands of a release that is not interrupted: one after the other.
  const perform = (store: ReturnType<typeof storeOf>, index: number, first: release.Step, tick: number): void => {
    let [state, command] = first
    for (let requests = 0; requests < mostRequests; requests++) {
      if (command._tag === "Done" || command._tag === "Fail" || command._tag === "LookLater") return
      const answer = command._tag === "Write" ? store.write(command.write) : store.read()
      ;[state, command] = release.step(releaseOf(index), state, answer, nowAt(tick))
    }
  }

  return {
    storeOf,
    /** A candidate sees the Lease, and decides. */
    look: (store: ReturnType<typeof storeOf>, index: number, tick: number): Intent => {
      const now = { ...nowAt(tick), server: mutation.now?.(nowAt(tick).server) ?? nowAt(tick).server }
      const found = store.read()
      if (found._tag !== "Found") {
        return { _tag: "Creates", pending: pendingOf(LockProtocol.nextLease(now.server, contender(index)), now) }
      }
      const { annotations, resourceVersion } = found.snapshot
      const record = kind.decode(annotations)
      const decision = LockProtocol.decide(
        record,
        LockProtocol.queueOf(kind, annotations),
        now.server,
        contender(index)
      )
      switch (decision._tag) {
        case "Acquire":
          return {
            _tag: "Acquires",
            write: { expect: { resourceVersion }, annotations: decision.patch },
            pending: pendingOf(decision.lease, now)
          }
        case "Rewrite":
          return {
            _tag: "Acquires",
            write: { expect: { annotations: kind.encode(decision.over) }, annotations: kind.encode(decision.lease) },
            pending: pendingOf(decision.lease, now)
          }
        case "Claim":
          return begun({ ...pendingOf(decision.lease, now), validFor: decision.validFor }, found.snapshot)
        case "Wait":
          return decision.canJoin
            ? {
                _tag: "Joins",
                write: {
                  expect: { annotations: kind.held() },
                  annotations: LockQueue.joinPatch(key, nameOf(index), resourceVersion)
                }
              }
            : { _tag: "Waits" }
        case "Malformed":
          return { _tag: "Waits" }
      }
    },

    /** The annotations of a lease, as a new Lease has them. */
    encode: kind.encode,

    /** What follows on the answer to an acquiring write. */
    acquired: (pending: NonNullable<Candidate["pending"]>, answer: Answer): Intent =>
      answer._tag === "Written" && LockProtocol.isStored(kind.decode(answer.snapshot.annotations), pending.lease)
        ? begun(pending, answer.snapshot)
        : { _tag: "Waits" },

    /** A leader renews. */
    renew: (hold: holding.State, index: number, tick: number) => holding.planRenewal(hold, terms(index), nowAt(tick)),

    /** What follows on the answer to a renewal. Reads if it must. */
    renewed: (
      store: ReturnType<typeof storeOf>,
      { hold, renewal }: Candidate,
      index: number,
      answer: Answer,
      tick: number
    ): readonly [holding.State, holding.Next] => {
      const on = (state: holding.State, answer: Answer) =>
        holding.onAnswer(state, terms(index), renewal!, answer, 1000, nowAt(tick))
      const [state, next] = on(hold!, answer)
      return next._tag === "Read" ? on(state, store.read()) : [state, next]
    },

    /** A leader gives the Lease back: the first write. */
    release: (hold: holding.State, index: number, tick: number): ConditionalPatch => {
      const [, command] = release.release(releaseOf(index), hold.lease, hold.snapshot, nowAt(tick))
      return command._tag === "Write" ? command.write : { expect: { annotations: {} }, annotations: {} }
    },

    /** Makes the rest of a release, or a withdrawal, from a reading on. */
    withdraw: (store: ReturnType<typeof storeOf>, index: number, tick: number): void =>
      perform(store, index, release.beginWithReading, tick),

    /** Whether a candidate takes itself to lead. */
    isValid: ({ hold, stage }: Candidate, tick: number): boolean =>
      (stage === "Leading" || stage === "Renewing") && hold !== undefined && holding.isValid(hold, nowAt(tick).clock),

    /** Until when it relies on that, in ticks. */
    reliesUntil: ({ hold }: Candidate, tick: number): number =>
      tick + Math.max(0, holding.remaining(hold!, nowAt(tick).clock)) / 1000
  }
}

const mostRequests = 8

/** A library. */
export type Library = ReturnType<typeof make>

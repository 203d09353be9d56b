/** What a contender does, by the library's own decisions. A mutation changes what passes between them and the world. */
import type { ConditionalPatch, ObjectSnapshot } from "../../../src/ObjectStore.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockKind from "../../../src/LockKind.ts"
import type { PermitKind } from "../../../src/PermitProtocol.ts"
import type { Answer, Now } from "../../../src/internal/protocol/answer.ts"
import * as acquisition from "../../../src/internal/protocol/acquisition.ts"
import type * as acquiring from "../../../src/internal/protocol/acquisitionState.ts"
import * as holding from "../../../src/internal/protocol/holding.ts"
import * as release from "../../../src/internal/protocol/release.ts"
import { normal as normalized } from "../normal.ts"
import { clockAt, millis } from "../time.ts"
import { type Cast, type Giving, holderId, ttl } from "./world.ts"

const key = "kubelock.dev/lock"

/** A contender at the boundary. `now` is the time as it knows it, `seen` the object that it goes by, if it has one. */
export interface Explored {
  readonly holderId: string
  readonly kind: PermitKind
  readonly now: Now["server"]
  readonly seen: ObjectSnapshot | undefined
}

/**
 * What a mutation changes: how a contender reads and writes the line, what it sends, what it sees of the object, and what it believes of its
 * hold when it is asked whether that is valid. `forgetsCutOff`: a contender that gives up forgets its write that was cut off.
 */
export interface Mutation {
  readonly kind?: (kind: PermitKind) => PermitKind
  readonly sends?: (write: ConditionalPatch, contender: Explored) => ConditionalPatch
  readonly sees?: (snapshot: ObjectSnapshot, contender: Explored) => ObjectSnapshot
  readonly believes?: (hold: holding.State) => holding.State
  readonly forgetsCutOff?: true
}

/** The lock as it is: what counts, whatever a contender makes of it. */
export const trueKind = ({ permits }: Pick<Cast, "permits">): PermitKind =>
  LockKind.withPermits(key, permits) as PermitKind

const unavailable = new LockError.Unavailable({ object: "object", verb: "patch", detail: "no answer" })

/** The answer that does not come. */
export const lost: Answer = { _tag: "Failed", error: unavailable }

/** Makes the library. */
export const make = (cast: Cast, mutation: Mutation) => {
  const changed = mutation.kind ?? ((kind: PermitKind) => kind)
  const kinds = cast.askers.map(({ of = cast.permits }) => changed(trueKind({ permits: of })))
  const ids = cast.askers.map((_, index) => holderId(cast, index))

  const nowOf = (index: number, tick: number): Now => {
    const [earliest, latest] = cast.askers[index]!.clock ?? [0, 0]
    return { clock: clockAt(tick), server: { earliest: millis(tick + earliest), latest: millis(tick + latest) } }
  }

  const selves = cast.askers.map(({ needs, permits }, index): acquiring.Acquisition => ({
    id: "id",
    kind: kinds[index]!,
    holderId: ids[index]!,
    asks: { permits, needs: needs ?? permits },
    startedAt: clockAt(0),
    settings: {
      describe: () => "object",
      ttl: ttl * 1000,
      renews: true,
      sharedWithDex: false,
      createIfMissing: false,
      includesContent: false
    }
  }))

  const terms = (index: number): holding.Terms => ({
    kind: kinds[index]!,
    holderId: ids[index]!,
    ttl: ttl * 1000,
    renewEvery: 1000,
    renewDeadline: Number.POSITIVE_INFINITY
  })

  const releaseOf = (index: number, { cutOff, leaving }: Pick<Giving, "cutOff" | "leaving">): release.Release => ({
    kind: kinds[index]!,
    holderId: ids[index]!,
    requeue: leaving?.again?.holderId,
    sharedWithDex: false,
    handsOver: leaving === undefined,
    cutOff: mutation.forgetsCutOff === true ? undefined : cutOff,
    leaving
  })

  // A line goes by places, whatever version a waiter found first.
  const normal = (step: acquiring.Step): acquiring.Step => {
    const [state, command] = normalized(step)
    return [{ ...state, joinVersion: undefined }, command]
  }

  return {
    kinds,
    ids,
    asks: selves.map(({ asks }) => asks!),
    nowOf,

    /** What arrives of a write. */
    sent: (index: number, write: ConditionalPatch, seen: ObjectSnapshot | undefined, tick: number): ConditionalPatch =>
      mutation.sends?.(write, {
        holderId: ids[index]!,
        kind: kinds[index]!,
        now: nowOf(index, tick).server,
        seen
      }) ?? write,

    /** What a contender sees of the object. */
    seen: (index: number, snapshot: ObjectSnapshot, tick: number): ObjectSnapshot =>
      mutation.sees?.(snapshot, {
        holderId: ids[index]!,
        kind: kinds[index]!,
        now: nowOf(index, tick).server,
        seen: snapshot
      }) ?? snapshot,

    begun: (index: number, start: acquiring.Start, tick: number): acquiring.Step =>
      normal(acquisition.begin(selves[index]!, start, nowOf(index, tick))),

    stepped: (index: number, state: acquiring.State, event: acquiring.Event, tick: number): acquiring.Step => {
      const now = nowOf(index, tick)
      return normal(acquisition.step(selves[index]!, { ...state, requestedAt: now.clock }, event, now))
    },

    holds: (grant: acquiring.Grant): holding.State => holding.begin(grant, { renewDeadline: Number.POSITIVE_INFINITY }),

    renews: (index: number, hold: holding.State, tick: number) =>
      holding.planRenewal(hold, terms(index), nowOf(index, tick)),

    renewed: (index: number, hold: holding.State, renewal: holding.Renewal, answer: Answer, tick: number) =>
      holding.onAnswer(hold, terms(index), renewal, answer, 1000, nowOf(index, tick)),

    /** It takes all permits that there are. */
    raises: (index: number, hold: holding.State): ConditionalPatch | undefined => {
      const { limit } = kinds[index]!.permits
      return hold.lease.permits === limit ? undefined : holding.planRaise(hold, terms(index), limit)
    },

    /** It learns from the answer to a write that changed its permits. */
    wrote: (index: number, hold: holding.State, snapshot: ObjectSnapshot, tick: number) =>
      holding.onReading(hold, terms(index), { _tag: "Found", snapshot }, nowOf(index, tick)),

    permits: (index: number, hold: holding.State) => holding.permitsOf(hold, terms(index)),

    releases: (
      index: number,
      { lease, snapshot }: holding.State,
      leaving: NonNullable<Giving["leaving"]>,
      tick: number
    ): release.Step =>
      release.release(releaseOf(index, { leaving, cutOff: undefined }), lease, snapshot, nowOf(index, tick)),

    withdraws: release.beginWithReading,

    gave: (index: number, giving: Giving, event: release.Event, tick: number): release.Step =>
      release.step(releaseOf(index, giving), giving.state, event, nowOf(index, tick)),

    /** Whether a holder takes its permits to be valid, and for how many ticks from now it would rely on them. */
    isValid: (hold: holding.State, tick: number): boolean =>
      holding.isValid(mutation.believes?.(hold) ?? hold, clockAt(tick)),
    reliesFor: (hold: holding.State, tick: number): number =>
      Math.max(0, holding.remaining(mutation.believes?.(hold) ?? hold, clockAt(tick))) / 1000
  }
}

/** A library. */
export type Library = ReturnType<typeof make>

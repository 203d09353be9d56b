/**
 * The protocol with one thing wrong, so that both proofs are known to bite: what is wrong, and what each proof must find.
 *
 * `how` does it at the boundary that both proofs share. A proof that has its own way to do it says so.
 */
import * as Effect from "effect/Effect"
import type { Held } from "../../src/Held.ts"
import { localClockError } from "../../src/internal/kubernetes/apiClient.ts"
import type { Answer } from "../../src/internal/protocol/answer.ts"
import * as LockError from "../../src/LockError.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import { expiryMargin } from "../../src/LockProtocol.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import * as serverClock from "../../src/internal/time/serverClock.ts"
import type { ConditionalPatch, MetadataPatch, ObjectSnapshot, ServerTime } from "../../src/ObjectStore.ts"
import {
  acquires,
  claims,
  commits,
  handsOver,
  isAwaited,
  isAwaitedByTwo,
  isLeftFree,
  leaves,
  queues,
  renews,
  timePasses,
  twoHaveDied
} from "../exploration/beginnings.ts"
import type { Mutation as ExploredMutation } from "../exploration/library/port.ts"
import { type Place as Election, goLeads, leads } from "../exploration/elections/elections.ts"
import type { Mutation as ElectionMutation } from "../exploration/elections/library.ts"
import type { Place } from "../exploration/worlds.ts"
import type { Machine } from "../simulation/machine.ts"
import type { ElectionPlan, Theme } from "../simulation/plan.ts"
import * as boundary from "./boundary.ts"
import { type Boundary, key, kindOf, labelKey, queueKey, withSnapshot } from "./boundary.ts"
import * as leases from "./leases.ts"

/**
 * A mutation. The name completes "finds a protocol that". Worlds of one mutation in which the exploration finds different things
 * have names of their own.
 */
export interface Mutation {
  readonly name: string
  readonly how?: Boundary
  readonly simulation?: InSimulation
  readonly exploration?: ReadonlyArray<InExploration>
  readonly election?: InElection
}

/**
 * What the simulation must find: the breach of one of the rules `by`, within so many seeds from the first. `theme` is of the worlds
 * in which it can be found.
 */
export interface InSimulation {
  readonly by: ReadonlyArray<string>
  readonly within: number
  readonly theme?: Theme
  /** Of elections; of locks by default. */
  readonly kind?: "elections"
  readonly how?: (machine: Machine) => Boundary
  /** By which times a candidate of an election goes in place of its own. */
  readonly times?: (election: ElectionPlan) => ElectionPlan
  /** How a process learns the server's time from an answer. */
  readonly learns?: typeof serverClock.learn
  /** What a process has in place of the lock that it got. */
  readonly holds?: (held: Held) => Held
}

/** What the exploration must find in a world: the violation, and after how many actions at least. */
export interface InExploration {
  readonly breaks: string
  readonly depth: number
  readonly in: Place
  readonly name?: string
  readonly how?: ExploredMutation
}

/** What the exploration of elections must find: the violation, and after how many moves at least. */
export interface InElection {
  readonly breaks: string
  readonly depth: number
  readonly in: Election
  readonly how?: ElectionMutation
}

/** The violation of exclusion, as the exploration calls it. */
export const twoAtOnce = "two contenders hold the lock at once"
const leftLock = "a contender is done and has left its lock behind"
const leftPlace = "a contender is done and has left its place in the queue behind"
const tookLive = "a lock was taken that had not expired"
const removedOthers = "a contender removed a lock that is not its own"
const reliesTooLong = "a holder relies on its lock for longer than it stands"
const tokenIsNoGreater = "a fencing token is no greater than that of an acquisition before it"
const handedOverHeld = "a lock was handed over that was not free"
const waitsForEver = "a contender waits for ever"

const wroteToGo = "a candidate wrote to the Lease that a client-go holds"
const besideGo: Election = { candidates: 1, hasGo: true, before: goLeads }

const one: Place = { actors: ["kubelock"] }
const two: Place = { actors: ["kubelock", "kubelock"] }
const three: Place = { actors: ["kubelock", "kubelock", "kubelock"] }
const four: Place = { actors: ["kubelock", "kubelock", "kubelock", "kubelock"] }
const five: Place = { actors: ["kubelock", "kubelock", "kubelock", "kubelock", "kubelock"] }

const isHandedOver = [...isAwaited, ...handsOver(0)]
const isHandedOverByTwo = [...isAwaitedByTwo, ...handsOver(0)]

const hasGotNoAnswer: NonNullable<Place["before"]> = [
  ["reads", 0],
  ["sends an acquiring write", 0],
  ["the server works on the write of", 0],
  ["the network loses the answer to", 0],
  ["reads", 0]
]

const isOfQueue = (annotation: string): boolean => annotation.startsWith(queueKey)

// The lease that a holder would write that knows of no lease that stands.
const shortening = (kind: boundary.RequestKind): ExploredMutation => ({
  sends: (write, { holderId, server, ttl }) =>
    kindOf(write) === kind
      ? {
          ...write,
          annotations: {
            ...write.annotations,
            ...LockRecord.toAnnotations(key, { holderId, expiry: LockRecord.expiryAt(server.latest + ttl) })
          }
        }
      : write
})

// The lease that a holder would write whose commit is not in doubt: it may be the very lease that the commit expects.
const renewingInPlace: ExploredMutation = {
  sends: (write, { holderId, lease, server, ttl }) => {
    if (kindOf(write) !== "renew" || lease === undefined) return write
    const expiry = LockRecord.expiryAt(server.latest + ttl)
    const written = { holderId, expiry: expiry > lease.expiry ? expiry : lease.expiry }
    return { ...write, annotations: { ...write.annotations, ...LockRecord.toAnnotations(key, written) } }
  }
}

// All contenders go by one holder ID.
const sharedId = LockQueue.holderId("contender", "process00000", 0)

const renamed = <A>(values: Readonly<Record<string, A>>, from: string, to: string): Readonly<Record<string, A>> =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "string" ? (value.replaceAll(from, to) as A) : value
    ])
  )

const seenAs = (snapshot: ObjectSnapshot, holderId: string): ObjectSnapshot => ({
  ...snapshot,
  annotations: renamed(snapshot.annotations, sharedId, holderId)
})

const sharingId: ExploredMutation = {
  sends: (write, { holderId }) => ({ ...write, annotations: renamed(write.annotations, holderId, sharedId) }),
  hears: (answer, _, { holderId }) => withSnapshot(answer, (snapshot) => seenAs(snapshot, holderId)),
  watches: (snapshot, { holderId }) => seenAs(snapshot, holderId)
}

const freeIfMalformed = (snapshot: ObjectSnapshot): ObjectSnapshot =>
  LockRecord.fromAnnotations(key, snapshot.annotations)._tag === "Malformed" ? boundary.unlocked(snapshot) : snapshot

// Joins with versions that run backwards.
const backwards = (annotations: MetadataPatch): MetadataPatch =>
  Object.fromEntries(
    Object.entries(annotations).map(([name, value]) => {
      const [holder, version] = value!.split("@")
      return [name, `${holder}@${1_000_000 - Number(version)}`]
    })
  )

const withLease = (snapshot: ObjectSnapshot, holderId: string | undefined, expiry: string): ObjectSnapshot =>
  boundary.withAnnotations(
    snapshot,
    holderId === undefined ? { [key]: expiry } : LockRecord.toAnnotations(key, { holderId, expiry })
  )

// Nobody but its holder sees that the lock will ever expire.
const never = (snapshot: ObjectSnapshot, { owns }: boundary.Process): ObjectSnapshot => {
  const lease = LockRecord.leaseOf(LockRecord.fromAnnotations(key, snapshot.annotations))
  return lease === undefined || owns(lease.holderId ?? "")
    ? snapshot
    : withLease(snapshot, lease.holderId, "2099-01-01T00:00:00Z")
}

// Nobody but the first waiter sees that the lock will ever expire.
const farAway = (snapshot: ObjectSnapshot, process: boundary.Process): ObjectSnapshot => {
  const [first] = LockQueue.fromAnnotations(key, snapshot.annotations).waiters
  return first === undefined || process.owns(first) ? snapshot : never(snapshot, process)
}

// Shows a lease of its own seven seconds longer than it is, and writes as if it did not know.
const prolonging = (): Boundary => {
  const real = new Map<string, string>()
  const prolonged = (snapshot: ObjectSnapshot, { owns }: boundary.Process): ObjectSnapshot => {
    const lease = LockRecord.leaseOf(LockRecord.fromAnnotations(key, snapshot.annotations))
    if (lease?.holderId === undefined || !owns(lease.holderId)) return snapshot
    const expiry = LockRecord.expiryAt(lease.expiresAt + 7000)
    real.set(expiry, lease.expiry)
    return withLease(snapshot, lease.holderId, expiry)
  }
  const asWritten = (write: ConditionalPatch): ConditionalPatch => {
    if (!("annotations" in write.expect)) return write
    const expiry = write.expect.annotations[key]
    const written = typeof expiry === "string" ? real.get(expiry) : undefined
    if (written === undefined) return write
    const lease = { holderId: boundary.holderIn(write.expect.annotations)!, expiry: written }
    const annotations = { ...write.expect.annotations, ...LockRecord.toAnnotations(key, lease) }
    return { ...write, expect: { ...write.expect, annotations } }
  }
  return {
    watches: (snapshot, process, byLabel) => (byLabel ? prolonged(snapshot, process) : snapshot),
    sends: asWritten
  }
}

const unavailable = new LockError.Unavailable({ object: "", verb: "patch", detail: "" })

const rejected: Answer = {
  _tag: "Failed",
  error: new LockError.Rejected({ object: "", verb: "patch", status: 422, detail: "" })
}

const isUnanswered = (answer: Answer): boolean => answer._tag === "Failed" && answer.error._tag === "LockUnavailable"

// Tells of no loss from its first commit on.
const silenced = (held: Held): Held => {
  let hasBegun = false
  const { fencingToken, give, holderId, id, isValid, snapshot } = held
  return {
    id,
    holderId,
    fencingToken,
    isValid,
    snapshot,
    give,
    lost: Effect.catch(held.lost, (loss) => (hasBegun ? Effect.never : Effect.fail(loss))),
    guard: (effect) => effect,
    commitAndRelease: (content, annotations) =>
      Effect.suspend(() => {
        hasBegun = true
        return held.commitAndRelease(content, annotations)
      })
  }
}

const exactly = (millis: number): ServerTime => ({ earliest: millis, latest: millis })

// Sends no write twice: whoever settles the fate of a write sends it again.
const onlyOnce = (): NonNullable<Boundary["sends"]> => {
  const sent = new WeakSet<ConditionalPatch>()
  return (write) => {
    if (sent.has(write)) return { expect: { annotations: { [key]: "never" } }, annotations: {} }
    sent.add(write)
    return write
  }
}

/** The mutations. */
export const mutations: ReadonlyArray<Mutation> = [
  // Preconditions.
  {
    name: "acquires without compare-and-swap",
    how: boundary.unconditional("acquire"),
    simulation: { by: ["theft"], within: 10 },
    exploration: [
      { breaks: tookLive, depth: 6, in: two },
      {
        name: "takes over from a waiter that does not claim the lock without compare-and-swap",
        breaks: tookLive,
        depth: 10,
        in: { ...three, before: isHandedOverByTwo }
      }
    ]
  },
  {
    name: "renews whatever lease stands",
    how: boundary.unconditional("renew"),
    simulation: { by: ["theft"], within: 100 },
    exploration: [{ breaks: leftLock, depth: 9, in: two }]
  },
  {
    name: "releases whatever lease stands",
    how: boundary.unconditional("release", "commit", "break"),
    simulation: { by: ["theft"], within: 50 },
    exploration: [{ breaks: removedOthers, depth: 12, in: { actors: ["kubelock", "dex"] } }]
  },
  {
    name: "hands over whatever lease stands",
    how: boundary.unconditional("handOver"),
    simulation: { by: ["theft"], within: 50 },
    exploration: [
      {
        breaks: removedOthers,
        depth: 5,
        in: {
          ...four,
          before: [...isHandedOverByTwo, ...claims(1), ...timePasses, ...timePasses, ...timePasses, ...timePasses]
        }
      }
    ]
  },
  {
    name: "hands over whatever the queue is by then",
    how: boundary.conditionalOn((annotation) => !isOfQueue(annotation), "release", "handOver"),
    exploration: [
      { breaks: leftLock, depth: 6, in: { ...two, before: isAwaited } },
      {
        name: "puts a waiter back that has left the queue",
        breaks: "a contender stands in the queue that had left it",
        depth: 3,
        in: { ...three, before: [...isAwaitedByTwo, ...leaves(2)] }
      }
    ]
  },
  {
    name: "hands over a lock that was free without compare-and-swap",
    how: boundary.unconditional("handOverFree"),
    exploration: [{ breaks: handedOverHeld, depth: 7, in: { ...three, before: [...acquires(0), ...queues(1)] } }]
  },
  {
    name: "breaks without compare-and-swap",
    how: boundary.unconditional("break"),
    exploration: [
      {
        breaks: "an operator's break removed another lock than the one it saw",
        depth: 12,
        in: { actors: ["kubelock", "dex", "operator"] }
      }
    ]
  },
  {
    name: "joins the queue whoever holds the lock, Dex included",
    how: boundary.unconditional("join"),
    simulation: { by: ["handsOff"], within: 600, theme: "dex" },
    exploration: [
      {
        breaks: "a contender wrote to an object that Dex has locked",
        depth: 8,
        in: { actors: ["kubelock", "kubelock", "dex"], before: acquires(0) }
      }
    ]
  },
  {
    name: "replaces all annotations, as Dex does",
    how: { wipes: () => true },
    simulation: { by: ["foreign"], within: 10 },
    exploration: [{ breaks: "a stranger's annotation did not survive a write", depth: 3, in: two }]
  },

  // Two keys on one object.
  {
    name: "ignores what stands under the other key",
    how: {
      hears: (answer, _, process) => withSnapshot(answer, (found) => boundary.withoutOthers("")(found, process)),
      watches: boundary.withoutOthers("")
    },
    simulation: { by: ["exclusion"], within: 50 },
    exploration: [{ breaks: tookLive, depth: 6, in: { actors: ["kubelock", "neutral"] } }]
  },
  {
    name: "leaves the expired lease under the other key where it is when it takes over",
    how: {
      sends: (write, { otherKeys }) =>
        kindOf(write) === "acquire"
          ? { ...write, annotations: boundary.filtered(write.annotations, (name) => !otherKeys.includes(name)) }
          : write
    },
    simulation: { by: ["single"], within: 50 },
    exploration: [{ breaks: "two leases stand on the object", depth: 9, in: { actors: ["kubelock", "neutral"] } }]
  },
  {
    name: "hands over to waiters with its own key as long as there are any",
    how: {
      hears: (answer, request, process) =>
        request === "read" ? answer : withSnapshot(answer, (found) => boundary.withoutOthers("-queue")(found, process)),
      watches: boundary.withoutOthers("-queue")
    },
    simulation: { by: ["turns"], within: 200 }
  },

  // What answers mean.
  {
    name: "takes an acquiring write without an answer for one that was refused",
    how: {
      hears: (answer, request) =>
        answer._tag === "Failed" && request === "acquire"
          ? { ...answer, error: new LockError.Rejected({ object: "", verb: "patch", status: 400, detail: "" }) }
          : answer
    },
    exploration: [{ breaks: leftLock, depth: 4, in: two }]
  },
  {
    name: "does not know its own lock when it reads it",
    how: boundary.showing((snapshot) => boundary.without(snapshot, boundary.holderKey), "read"),
    simulation: { by: ["leftovers"], within: 100 },
    exploration: [
      { breaks: leftLock, depth: 5, in: two },
      {
        name: "waits out a lock of its own",
        breaks: "a contender waits out a lock of its own",
        depth: 1,
        in: { ...two, before: hasGotNoAnswer }
      }
    ]
  },
  {
    name: "takes a refused renewal for a success",
    how: { believesRenewals: true },
    simulation: { by: ["noticed"], within: 200 },
    exploration: [
      {
        breaks: "a lock was relied on anew after it had been taken away",
        depth: 11,
        in: { actors: ["kubelock", "operator"] }
      }
    ]
  },
  {
    name: "takes any lock found after a refused renewal for its own",
    exploration: [
      {
        breaks: "a renewal after the loss did not notice it",
        depth: 11,
        in: { actors: ["kubelock", "dex"], sharedWithDex: false, dexAhead: 3 },
        how: {
          hears: (answer, request, { lease }) =>
            request === "read" && lease !== undefined
              ? withSnapshot(answer, (found) =>
                  key in found.annotations
                    ? boundary.withAnnotations(found, LockRecord.toAnnotations(key, lease))
                    : found
                )
              : answer
        }
      }
    ]
  },
  {
    name: "takes the lock for free once it has left the queue",
    how: boundary.showing(boundary.unlocked, "leave"),
    exploration: [
      {
        breaks: handedOverHeld,
        depth: 7,
        in: {
          ...five,
          sharedWithDex: true,
          before: [...isLeftFree(2), ...leaves(2), ["reads", 3], ["sends an acquiring write", 3]]
        }
      }
    ]
  },
  {
    name: "takes a malformed lock for a free one",
    how: boundary.showing(freeIfMalformed, "read"),
    exploration: [{ breaks: "a malformed value was not left alone", depth: 4, in: { ...two, scribbles: 1 } }]
  },

  {
    name: "takes a commit without an answer for one that was refused",
    how: {
      hears: (answer, request) => (answer._tag === "Failed" && request === "commit" ? { _tag: "Refused" } : answer)
    },
    exploration: [
      {
        breaks: "a commit that was applied is taken for lost",
        depth: 1,
        in: {
          ...two,
          commits: true,
          before: [...acquires(0), ...commits(0), ...acquires(1), ...commits(1)]
        }
      }
    ]
  },
  {
    name: "commits on a precondition that cannot hold",
    how: boundary.sending("commit", (write) =>
      "annotations" in write.expect ? { ...write, expect: { ...write.expect, hasLabels: true } } : write
    ),
    exploration: [
      { breaks: "a commit was refused for no reason", depth: 3, in: { ...two, commits: true, before: acquires(0) } }
    ]
  },

  // Time.
  {
    name: "counts validity from the answer to the write",
    how: { clockStops: true },
    simulation: { by: ["exclusion"], within: 200 },
    exploration: [{ breaks: twoAtOnce, depth: 11, in: two }]
  },
  {
    name: "judges an expiry by the clock of its own machine",
    simulation: {
      by: ["exclusion", "theft", "expiries"],
      within: 10,
      how: ({ clock }) => ({
        now: () => {
          const now = clock.currentTimeMillisUnsafe()
          return { earliest: now, latest: now }
        }
      })
    }
  },
  {
    name: "judges an expiry by the latest that the time can be",
    how: { now: ({ latest }) => ({ earliest: latest, latest }) },
    simulation: { by: ["theft"], within: 50 },
    exploration: [{ breaks: tookLive, depth: 7, in: two }]
  },
  {
    name: "writes an expiry by the earliest that the time can be",
    how: { now: ({ earliest }) => ({ earliest, latest: earliest }) },
    simulation: { by: ["exclusion"], within: 200 },
    exploration: [{ breaks: twoAtOnce, depth: 9, in: two }]
  },
  {
    name: "never takes over from an expired holder",
    how: {
      hears: (answer, request, process) =>
        request === "read" ? withSnapshot(answer, (snapshot) => never(snapshot, process)) : answer,
      watches: never
    },
    simulation: { by: ["takeover"], within: 50 },
    exploration: [{ breaks: waitsForEver, depth: 1, in: { ...two, before: acquires(0), calmTo: 1 } }]
  },
  {
    name: "shortens a lease of its own that it finds when it acquires",
    exploration: [{ breaks: reliesTooLong, depth: 14, in: { ...one, renews: false }, how: shortening("renew") }]
  },
  {
    name: "shortens its lease when it renews",
    exploration: [{ breaks: reliesTooLong, depth: 8, in: one, how: shortening("renew") }]
  },
  {
    name: "relies on a lock that was handed over for as long as on one that it has written",
    simulation: { by: ["exclusion"], within: 200, how: prolonging },
    exploration: [
      {
        breaks: reliesTooLong,
        depth: 4,
        in: { ...two, before: isHandedOver },
        how: { grants: (grant, { ttl }) => ({ ...grant, validFor: ttl }) }
      }
    ]
  },
  {
    name: "relies on a lock that was handed over by the earliest that the time can be",
    exploration: [
      {
        breaks: reliesTooLong,
        depth: 2,
        in: { ...two, before: isHandedOver },
        how: {
          grants: (grant, { server }) => ({ ...grant, validFor: grant.validFor + server.latest - server.earliest })
        }
      }
    ]
  },
  {
    name: "relies on a lock that a commit under way may have given up",
    exploration: [
      {
        breaks: twoAtOnce,
        depth: 10,
        in: { ...two, commits: true },
        how: { believes: (state) => ({ ...state, phase: "Held" }) }
      }
    ]
  },
  {
    name: "relies on a lock while its commit is in doubt",
    exploration: [
      {
        breaks: twoAtOnce,
        depth: 6,
        in: { ...two, commits: true, before: [...acquires(0), ...commits(0)] },
        how: { believes: (state) => ({ ...state, inDoubt: 0 }) }
      }
    ]
  },
  {
    name: "takes a commit in doubt for settled by a renewal after which it can still be applied",
    exploration: [
      {
        breaks: "a commit that was applied is taken for lost",
        depth: 8,
        in: {
          ...two,
          commits: true,
          before: [...acquires(0), ["sends a commit", 0], ["the network loses the answer to", 0]]
        },
        how: renewingInPlace
      }
    ]
  },

  // What an audit found, put back.
  {
    name: "takes a commit without an answer for one that was rejected for good",
    how: {
      hears: (answer, request) => (isUnanswered(answer) && request === "commit" ? rejected : answer)
    },
    simulation: { by: ["exclusion"], within: 200 }
  },
  {
    name: "tells of no loss any more once it has begun a commit",
    simulation: { by: ["losses"], within: 100, holds: silenced }
  },
  {
    name: "believes the clock of its own machine before an answer has told the time",
    simulation: {
      by: ["theft", "exclusion"],
      within: 50,
      how: ({ clock }) => ({
        now: (now) => (Number.isFinite(now.latest) ? now : exactly(clock.currentTimeMillisUnsafe()))
      })
    }
  },
  {
    name: "believes the clock of its own machine to the millisecond if answers do not tell the time",
    simulation: {
      by: ["theft", "exclusion"],
      within: 50,
      how: ({ clock }) => ({
        now: (now) => {
          const wall = clock.currentTimeMillisUnsafe()
          return now.latest - wall === localClockError && wall - now.earliest === localClockError ? exactly(wall) : now
        }
      })
    }
  },
  {
    name: "believes an absurd time that no second answer confirms",
    simulation: {
      by: ["clocks"],
      within: 100,
      learns: (known, sample) => ({
        ...serverClock.learn(serverClock.learn(known, sample), sample),
        contradiction: known.contradiction
      })
    }
  },
  {
    name: "writes an expiry by a clock that it does not know",
    how: {
      now: (now) => ({ ...now, earliest: Math.max(now.earliest, now.latest - expiryMargin(2000)) })
    },
    simulation: { by: ["expiries"], within: 50 }
  },
  {
    name: "pauses after a failed renewal for a part of the TTL, however little is left of the lease",
    how: {
      delays: (answer, request) => (request === "renew" && isUnanswered(answer) ? 4000 : 0)
    },
    simulation: { by: ["robust"], within: 300, theme: "blips" }
  },
  {
    name: "leaves a write that was cut off to its fate",
    simulation: { by: ["late"], within: 300, theme: "late", how: () => ({ sends: onlyOnce() }) },
    exploration: [{ breaks: leftLock, depth: 5, in: one, how: { forgetsCutOff: true } }]
  },
  {
    name: "talks to a server whose clock is ahead by more than the clock drift",
    simulation: {
      by: ["exclusion"],
      within: 50,
      how: ({ name }) => ({
        now: ({ earliest, latest }) => {
          const ahead = name === "p2" ? 2000 : 0
          return { earliest: earliest + ahead, latest: latest + ahead }
        }
      })
    }
  },
  {
    name: "does not ask why it cannot renew its lease, not even if the object is gone",
    how: {
      hears: (answer, request) =>
        (answer._tag === "Missing" || answer._tag === "Refused") && request === "renew"
          ? { _tag: "Failed", error: unavailable }
          : answer
    },
    simulation: { by: ["noticed"], within: 50 }
  },
  {
    name: "takes an error that no repetition mends for the loss of its lock",
    how: {
      hears: (answer, request) =>
        answer._tag === "Failed" && !isUnanswered(answer) && request === "renew"
          ? { _tag: "Missing", error: new LockError.NotFound({ id: "", object: "", missing: "object" }) }
          : answer
    },
    simulation: { by: ["groundless"], within: 250 }
  },

  // The fencing token and the holder ID.
  {
    name: "gives every acquisition the same fencing token",
    how: { constantToken: true },
    simulation: { by: ["tokens"], within: 10 },
    exploration: [{ breaks: tokenIsNoGreater, depth: 9, in: two }]
  },
  {
    name: "names the process as the holder, not the acquisition",
    exploration: [{ breaks: tokenIsNoGreater, depth: 5, in: two, how: sharingId }]
  },

  // The queue.
  {
    name: "forgets the joins that it does not know of when it hands over",
    how: { wipes: (annotation, request) => request === "handOver" && annotation.startsWith(`${queueKey}-`) },
    simulation: { by: ["kept"], within: 50 }
  },
  {
    name: "keeps the waiters when it takes over from an expired holder, although they may be gone",
    how: boundary.sending("acquire", (write) => ({
      ...write,
      annotations: Object.fromEntries(Object.entries(write.annotations).filter(([name]) => !isOfQueue(name)))
    })),
    simulation: { by: ["crowd"], within: 100, theme: "crowd" },
    exploration: [
      {
        breaks: "a contender took over and kept waiters that may be gone",
        depth: 3,
        in: {
          actors: ["kubelock", "kubelock", "kubelock", "kubelock"],
          before: [...twoHaveDied, ...handsOver(0), ...timePasses, ...timePasses, ...timePasses, ...timePasses]
        }
      }
    ]
  },
  {
    name: "forgets the end of a long queue",
    how: boundary.requeueing((tokens) => tokens.slice(0, 2)),
    simulation: { by: ["kept"], within: 50 }
  },
  {
    name: "forgets the waiters behind the one that it hands over to",
    how: boundary.requeueing(() => [], "handOver"),
    exploration: [
      { breaks: "a waiter lost its place in the queue", depth: 2, in: { ...three, before: isAwaitedByTwo } }
    ]
  },
  {
    name: "serves the last waiter first",
    how: boundary.requeueing((tokens) => tokens.toReversed(), "handOver"),
    simulation: { by: ["order"], within: 50 },
    exploration: [
      {
        breaks: "waiters changed places",
        depth: 2,
        in: { ...four, before: [...acquires(0), ...queues(1), ...queues(2), ...queues(3), ...renews(0)] }
      }
    ]
  },
  {
    name: "joins with an earlier version the later it comes",
    how: boundary.sending("join", (write) => ({ ...write, annotations: backwards(write.annotations) })),
    simulation: { by: ["arrivals"], within: 200 }
  },
  {
    name: "gives up without leaving the queue",
    how: boundary.sending("leave", () => ({ expect: { annotations: {} }, annotations: {} })),
    simulation: { by: ["claims"], within: 50 },
    exploration: [{ breaks: leftPlace, depth: 4, in: { ...two, before: isAwaited } }]
  },
  {
    name: "hands over without waking the next holder",
    how: {
      sends: (write) => ({
        ...write,
        labels: Object.fromEntries(Object.entries(write.labels ?? {}).filter(([name]) => name !== labelKey))
      })
    },
    simulation: { by: ["woken"], within: 50 },
    exploration: [
      { breaks: "the lock was handed to a waiter that is not woken", depth: 2, in: { ...two, before: isAwaited } }
    ]
  },
  {
    name: "believes the label: the process that it names has the lock, whatever the lock says",
    how: { watches: (snapshot, _, byLabel) => (byLabel ? boundary.unlocked(snapshot) : snapshot) },
    simulation: { by: ["theft"], within: 50 }
  },
  {
    name: "believes the queue: the first waiter has the lock, whatever the lock says",
    how: {
      hears: (answer, request, { owns }) =>
        request === "read"
          ? withSnapshot(answer, (snapshot) =>
              owns(snapshot.annotations[queueKey]?.split(" ")[0] ?? "") ? boundary.unlocked(snapshot) : snapshot
            )
          : answer
    },
    simulation: { by: ["theft"], within: 50 },
    exploration: [{ breaks: tookLive, depth: 3, in: { ...three, before: isHandedOverByTwo } }]
  },
  {
    name: "leaves an expired lock to the first waiter, whether or not it is there",
    how: {
      hears: (answer, request, process) =>
        request === "read" ? withSnapshot(answer, (snapshot) => farAway(snapshot, process)) : answer,
      watches: farAway
    },
    simulation: { by: ["takeover"], within: 50 },
    exploration: [
      { breaks: waitsForEver, depth: 2, in: { ...three, before: isAwaitedByTwo, calmTo: 4 } },
      {
        name: "leaves an expired lock to a contender that a vandal puts before it",
        breaks: waitsForEver,
        depth: 2,
        in: { ...two, vandals: 1, before: isAwaited, calmTo: 4 }
      }
    ]
  },

  // Elections, beside client-go.
  {
    name: "judges a client-go by its renewTime, on the clock of its own machine",
    simulation: {
      kind: "elections",
      by: ["handsOffGo"],
      within: 20,
      how: ({ clock }) => {
        const isOver = ({ leaseDurationSeconds = 0, renewTime }: leases.LeaseSpec) =>
          Date.parse(renewTime!) + leaseDurationSeconds * 1000 < clock.currentTimeMillisUnsafe()
        return leases.showing((spec) => (leases.isOfGo(spec) && isOver(spec) ? { ...spec, holderIdentity: "" } : spec))
      }
    }
  },
  {
    name: "judges a client-go by its renewTime, on the server's clock",
    simulation: {
      kind: "elections",
      by: ["handsOffGo"],
      within: 20,
      how: () => leases.judgingByServer()
    },
    election: { breaks: wroteToGo, depth: 2, in: besideGo, how: leases.judgingByServer() }
  },
  {
    name: "counts the Lease of a client-go as free one retry period too soon",
    how: leases.showing((spec) =>
      leases.isOfGo(spec) ? { ...spec, leaseDurationSeconds: spec.leaseDurationSeconds! - 2 } : spec
    ),
    simulation: { kind: "elections", by: ["handsOffGo"], within: 50 },
    election: { breaks: wroteToGo, depth: 5, in: besideGo }
  },
  {
    name: "joins the queue of a Lease that a client-go holds",
    how: leases.showing((spec) =>
      leases.isOfGo(spec) ? { ...spec, holderIdentity: "go/000000000000.1", renewTime: leases.farAway } : spec
    ),
    simulation: { kind: "elections", by: ["handsOffGo"], within: 20 },
    election: { breaks: wroteToGo, depth: 1, in: besideGo }
  },
  {
    name: "relies on the Lease past the renew deadline",
    simulation: {
      kind: "elections",
      by: ["noticed"],
      within: 400,
      times: (election) => ({ ...election, renewDeadline: election.leaseDuration - 1 })
    },
    election: {
      breaks: "a candidate leads on for longer than the renew deadline after its Lease was taken away",
      depth: 3,
      in: { candidates: 1, hasGo: false, meddlings: 1, before: leads("A") },
      how: { renewDeadline: 60 }
    }
  },
  {
    name: "writes a Lease that others read to end before its leader stops",
    how: leases.writing((spec) => (spec.holderIdentity === "" ? spec : leases.shortened(spec, 3))),
    simulation: { kind: "elections", by: ["beside"], within: 50 },
    election: {
      breaks: "a candidate relies on the Lease for longer than others respect it",
      depth: 3,
      in: { candidates: 1, hasGo: false },
      how: leases.writing((spec) => (spec.holderIdentity === "" ? spec : leases.shortened(spec, 1)))
    }
  },
  {
    name: "writes to the Lease whatever its version is by then",
    how: boundary.unconditional("commit"),
    simulation: { kind: "elections", by: ["theft", "handsOffGo"], within: 50 },
    election: {
      breaks: "a candidate took the Lease of another before it had expired",
      depth: 4,
      in: { candidates: 2, hasGo: false }
    }
  },
  {
    name: "replaces the whole spec, as client-go does",
    how: leases.replacing,
    simulation: { kind: "elections", by: ["foreign"], within: 20 },
    election: { breaks: "what others wrote on the Lease is gone", depth: 2, in: { candidates: 1, hasGo: false } }
  },
  {
    name: "takes the transitions of the Lease for the fencing token",
    how: leases.countingTransitions,
    simulation: { kind: "elections", by: ["tokens"], within: 50 },
    election: {
      breaks: "a fencing token is no greater than that of a term before it",
      depth: 4,
      in: {
        candidates: 2,
        hasGo: false,
        meddlings: 1,
        before: [...leads("A"), "A releases", "the server works on the write of A", "A has released"]
      }
    }
  },
  {
    name: "begins each term with the transitions as they were",
    how: leases.writing((spec) =>
      Object.fromEntries(Object.entries(spec).filter(([name]) => name !== "leaseTransitions"))
    ),
    simulation: { kind: "elections", by: ["record"], within: 10 },
    election: { breaks: "a term did not count as a transition", depth: 2, in: { candidates: 1, hasGo: false } }
  },
  {
    name: "hands over to a candidate of client-go",
    how: leases.writing((spec) =>
      spec.holderIdentity === "" ? { ...spec, holderIdentity: "go1/1", leaseDurationSeconds: 15 } : spec
    ),
    simulation: { kind: "elections", by: ["handsOffGo"], within: 10 },
    election: {
      breaks: "a candidate made a client-go the leader",
      depth: 2,
      in: { candidates: 1, hasGo: true, before: leads("A") },
      how: leases.writing((spec) => (spec.holderIdentity === "" ? { ...spec, holderIdentity: "go" } : spec))
    }
  },
  {
    name: "never takes over from a client-go that is gone",
    how: leases.showing((spec) => (leases.isOfGo(spec) ? { ...spec, leaseDurationSeconds: 2 ** 31 - 1 } : spec)),
    simulation: { kind: "elections", by: ["vacant"], within: 100 }
  },
  {
    name: "takes its Lease again without a word if it was emptied, as client-go does",
    simulation: { kind: "elections", by: ["noticed"], within: 300, theme: "late", how: leases.remembering }
  }
]

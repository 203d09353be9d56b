/**
 * One acquisition of a lock, from wanting it to having it. A pure machine: state, event and time in; state and one command out.
 *
 * The engine performs the commands (`engine/acquire.ts`), and the exhaustive exploration drives the same `step`.
 *
 * The way of an acquisition that has to wait: it reads the object, joins the queue with one write, watches for its turn, and
 * claims the lock that is handed to it. The shorter ways: it writes on the version that it knows to be free, or it reads and
 * writes.
 */
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as LockError from "../../LockError.ts"
import { isFree } from "../../LockRecord.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import type * as PermitProtocol from "../../PermitProtocol.ts"
import { type ClockReading, elapsed } from "../time/clockReading.ts"
import { isDecimal, isOlder } from "../version.ts"
import type {
  Acquisition,
  Command,
  Event,
  Failure,
  Grant,
  PendingGrant,
  Phase,
  Seen,
  Start,
  State,
  Step
} from "./acquisitionState.ts"
import { isAnswer, isOfStart, isRuledOut, type Now } from "./answer.ts"
import { askTimeAt, isDex, isDueToBreak, yieldingToDex } from "./besideDex.ts"
import { lostPosition, rejoinPause } from "./rejoining.ts"
import * as rules from "./rules.ts"
import { mayPass, refusedBy, startPause } from "./startPatience.ts"

/** Begins an acquisition. */
export const begin = (
  self: Acquisition,
  { freeVersion, isInUse, latency = 0, queued, snapshot }: Start,
  now: Now
): Step => {
  const state: State = {
    phase: { _tag: "Reading" },
    attempts: 1,
    conflicts: 0,
    contended: false,
    requestedAt: now.clock,
    latency: 0,
    slowest: latency,
    lastSeen: undefined,
    joinVersion: snapshot?.resourceVersion,
    holder: undefined,
    hasYielded: false,
    metDex: false,
    refused: undefined,
    unqueueable: undefined,
    followedUp: false,
    inDoubt: { held: false, queued }
  }
  // The answer to a read also gives the time.
  if (!LockProtocol.isClockUsable(now.server, self.settings.ttl)) return read(state, now)
  if (snapshot !== undefined) return contend(self, state, snapshot, now, true)
  if (isInUse === true) return join(self, { ...state, contended: true }, {}, now)
  return freeVersion === undefined ? read(state, now) : acquireFree(self, state, freeVersion, now)
}

/** What follows on an event. */
export const step = (self: Acquisition, before: State, event: Event, now: Now): Step => {
  const state = answered(before, event, now)
  switch (event._tag) {
    case "Found":
      return onFound(self, state, event.snapshot, now)
    case "Written":
      return onWritten(self, state, event.snapshot, now)
    case "Refused":
      return onRefused(state, now)
    case "Missing":
      return onMissing(self, state, event.error, now)
    case "Failed":
      return onFailed(state, event.error, now)
    case "Changed":
      return onChanged(self, state, event.snapshot, now)
    case "WatchFailed":
      return state.phase._tag === "Waiting"
        ? waitFor(self, state, state.phase.state, "Nothing", now)
        : retry(state, now)
    case "Gone":
      return retry(state, now)
    case "SessionEnded":
      return onSessionEnded(self, state, now)
    case "Elapsed":
      return onElapsed(self, state, now)
    case "Exhausted":
      return [state, { _tag: "Fail", error: outOfTime(self, state, now) }]
  }
}

/** The holder that the acquisition waits for, as errors name it. */
export const seenBy = ({ phase }: State): Seen => {
  switch (phase._tag) {
    case "Waiting":
    case "AskingTime":
      return phase.state.seen
    case "Joining":
    case "BackingOff":
      return phase.seen
    default:
      return {}
  }
}

const answered = (state: State, event: Event, now: Now): State => {
  if (!isAnswer(event)) return state
  // Of several questions for the time, any may be the one that is answered.
  const latency = isAskingTime(state) ? state.latency : elapsed(state.requestedAt, now.clock).max
  return { ...state, latency, slowest: Math.max(state.slowest, latency), refused: refusedBy(state, event, now) }
}

/** The state if the request of its phase is sent later than it was decided on. */
export const sentAt = (state: State, requestedAt: ClockReading): State => ({ ...state, requestedAt })

/** The state if the request of its phase was never sent, or was not applied. */
export const unsent = (state: State): State => {
  const { inDoubt, phase } = state
  if (phase._tag === "Writing") return { ...state, inDoubt: { ...inDoubt, held: phase.wasHeld } }
  return phase._tag === "Joining" ? { ...state, inDoubt: { ...inDoubt, queued: phase.wasQueued } } : state
}

const read = (state: State, now: Now): Step => [
  { ...state, phase: { _tag: "Reading" }, requestedAt: now.clock },
  { _tag: "Read" }
]

const askTime = (state: State, found: LockProtocol.WaitState, now: Now): Step => [
  { ...state, phase: { _tag: "AskingTime", state: found }, requestedAt: now.clock, followedUp: false },
  { _tag: "AskTime" }
]

const retry = (state: State, now: Now): Step => read({ ...state, attempts: state.attempts + 1, followedUp: false }, now)

/**
 * A claim must last for so many times the slowest answer that its contender has seen, so that there is time to renew it. Otherwise
 * it is written anew before its holder relies on it. Our choice.
 */
export const answersPerClaim = 2

const decide = (
  self: Acquisition,
  { slowest }: State,
  snapshot: ObjectSnapshot,
  now: Now,
  yields: boolean
): PermitProtocol.Decision => {
  const contender = contenderOf(self, yields)
  const decision = rules.decide(snapshot, now.server, contender)
  return decision._tag === "Claim" && decision.validFor < answersPerClaim * slowest
    ? rules.decide(snapshot, now.server, { ...contender, renews: false })
    : decision
}

const contenderOf = (
  { asks, holderId, kind, settings: { renews, sessions, spares, ttl } }: Acquisition,
  yields = false
): LockProtocol.Contender => ({ kind, holderId, ttl, renews, yields, asks, sessions, spares })

const onElapsed = (self: Acquisition, state: State, now: Now): Step => {
  const { phase } = state
  if (phase._tag === "BackingOff" && phase.next === "Join") return join(self, state, phase.seen, now)
  // Its lease was planned too long ago. An expired holder has most likely not come back.
  if (phase._tag === "Writing" && phase.grant.tookOverFrom !== undefined) return takeOver(self, state, now)
  if (isDueToBreak(self, phase, now)) return takeOver(self, state, now)
  if (phase._tag === "Waiting") {
    if (phase.hasEnded === true) return takeOver(self, state, now)
    if (phase.on === "Turn" && phase.state.keepsPlace === true) return takeOver(self, state, now)
  }
  if (phase._tag === "AskingTime") return watch(self, state, phase.state, now)
  return phase._tag === "Waiting" && phase.asksTime === true ? askTime(state, phase.state, now) : retry(state, now)
}

// Those behind in the queue wait a little for those in front of them, as they do when a lock has expired.
const onSessionEnded = (self: Acquisition, state: State, now: Now): Step => {
  const { phase } = state
  const delay = phase._tag === "Waiting" ? LockProtocol.takeoverDelay(phase.state) : 0
  if (phase._tag !== "Waiting" || delay === 0) return takeOver(self, state, now)
  const ended: Phase = { ...phase, until: now.clock.monotonic + delay, asksTime: false, hasEnded: true }
  return goOnWaiting({ ...state, phase: ended }, ended)
}

// By the object as last seen. If that is outdated, the write is refused, and the object read.
const takeOver = (self: Acquisition, state: State, now: Now): Step =>
  state.lastSeen === undefined
    ? retry(state, now)
    : contend(self, { ...state, attempts: state.attempts + 1, followedUp: false }, state.lastSeen, now, true)

// A server answers a question for its time from its cache. The object in the answer counts only if it is the version that the waiter
// knows. If it is another one, older or newer, the waiter reads the object.
const onFound = (self: Acquisition, state: State, snapshot: ObjectSnapshot, now: Now): Step => {
  const { resourceVersion } = snapshot
  if (!isAskingTime(state)) {
    return contend(self, { ...state, joinVersion: state.joinVersion ?? resourceVersion }, snapshot, now)
  }
  return resourceVersion === state.lastSeen?.resourceVersion
    ? contend(self, state, snapshot, now, true)
    : retry(state, now)
}

// Decides from the object, as just read or as cached, and acts on the decision.
const contend = (self: Acquisition, state: State, snapshot: ObjectSnapshot, now: Now, isCached = false): Step => {
  if (!LockProtocol.isClockKnown(now.server)) return askAgain(self, state, now)
  const known = { ...state, lastSeen: snapshot }
  return follow(
    self,
    known,
    snapshot,
    decide(self, state, snapshot, now, self.settings.sharedWithDex && !state.hasYielded),
    now,
    isCached
  )
}

const follow = (
  self: Acquisition,
  state: State,
  snapshot: ObjectSnapshot,
  decision: PermitProtocol.Decision,
  now: Now,
  isCached: boolean
): Step => {
  switch (decision._tag) {
    case "Acquire": {
      const { labels, lease, patch, tookOverFrom } = decision
      const displaced = tookOverFrom === undefined ? 0 : rules.displacedBy(self, snapshot)
      const write = {
        expect: { resourceVersion: snapshot.resourceVersion },
        annotations: patch,
        ...(labels === undefined ? {} : { labels })
      }
      return writeLease(self, state, { lease, tookOverFrom, displaced }, write, now, isCached)
    }
    case "Rewrite": {
      const { lease, over } = decision
      const patch = { expect: { annotations: self.kind.encode(over) }, annotations: self.kind.encode(lease) }
      return writeLease(self, state, { lease, tookOverFrom: undefined, displaced: 0 }, patch, now, isCached)
    }
    case "Claim": {
      const { lease, validFor } = decision
      const grant = { lease, issuedAt: now.clock, validFor, tookOverFrom: undefined, displaced: 0, snapshot }
      return succeed(self, state, grant)
    }
    case "Wait":
      return meet(self, state, decision, now)
    case "Keep":
      return keep(self, state, decision, now, isCached)
    case "Malformed": {
      const { id, kind, settings } = self
      const lock = { id, object: settings.describe(id), wanted: rules.nameOf(kind) }
      return [state, { _tag: "Fail", error: rules.unreadable(lock, decision) }]
    }
  }
}

const writeLease = (
  self: Acquisition,
  state: State,
  planned: Pick<PendingGrant, "lease" | "tookOverFrom" | "displaced">,
  patch: ConditionalPatch,
  now: Now,
  isCached: boolean
): Step => {
  const validFor = LockProtocol.validFor(now.server, LockProtocol.ttlOf(planned.lease, self.settings.ttl))
  if (isCached && !LockProtocol.isClockUsable(now.server, self.settings.ttl)) return read(state, now)
  if (validFor < LockProtocol.minClaim)
    return onUnavailable(state, LockProtocol.clockUnknown(self.settings.describe(self.id)), now)
  const grant = { ...planned, issuedAt: now.clock, validFor }
  return write(state, grant, isCached, { _tag: "Write", write: patch }, now)
}

const write = (state: State, grant: PendingGrant, isCached: boolean, command: Command, now: Now): Step => [
  {
    ...state,
    phase: { _tag: "Writing", grant, isCached, wasHeld: state.inDoubt.held },
    requestedAt: now.clock,
    inDoubt: { ...state.inDoubt, held: true }
  },
  command
]

const newGrant = (self: Acquisition, lease: PendingGrant["lease"], now: Now): PendingGrant => ({
  lease,
  issuedAt: now.clock,
  validFor: LockProtocol.validFor(now.server, LockProtocol.ttlOf(lease, self.settings.ttl)),
  tookOverFrom: undefined,
  displaced: 0
})

// Writes on a version in which the lock is known to be free and without waiters.
const acquireFree = (self: Acquisition, state: State, resourceVersion: string, now: Now): Step => {
  const { lease, ...patch } = rules.take(now.server, contenderOf(self), resourceVersion)
  const grant = newGrant(self, lease, now)
  return write(state, grant, true, { _tag: "Write", write: { expect: { resourceVersion }, ...patch } }, now)
}

// An answer whose time is not believed needs a second one to confirm it.
const askAgain = (self: Acquisition, state: State, now: Now): Step =>
  state.followedUp
    ? onUnavailable(state, LockProtocol.clockUnknown(self.settings.describe(self.id)), now)
    : read({ ...state, followedUp: true }, now)

const create = (self: Acquisition, state: State, now: Now): Step => {
  if (!LockProtocol.isClockKnown(now.server)) return askAgain(self, state, now)
  const { annotations, lease } = rules.take(now.server, contenderOf(self), absentVersion)
  const grant = newGrant(self, lease, now)
  if (grant.validFor < LockProtocol.minClaim)
    return onUnavailable(state, LockProtocol.clockUnknown(self.settings.describe(self.id)), now)
  return write(state, grant, false, { _tag: "Create", annotations }, now)
}

const onWritten = (self: Acquisition, state: State, snapshot: ObjectSnapshot, now: Now): Step => {
  const { phase } = state
  if (phase._tag !== "Writing") return onJoined(self, { ...state, followedUp: false }, snapshot, now)
  if (LockProtocol.isStored(self.kind.decode(snapshot.annotations), phase.grant.lease)) {
    return succeed(self, state, { ...phase.grant, snapshot })
  }
  return failHolding(state, new LockError.Altered({ object: self.settings.describe(self.id), verb: "patch" }))
}

const succeed = ({ id, settings }: Acquisition, state: State, grant: Grant): Step =>
  isDecimal(grant.snapshot.resourceVersion)
    ? [state, { _tag: "Succeed", grant }]
    : failHolding(
        state,
        new LockError.Rejected({
          object: settings.describe(id),
          verb: "get",
          status: 200,
          detail: "its resourceVersion is not a decimal number, which fencing tokens need"
        })
      )

// The object may still name this holder.
const failHolding = (state: State, error: Failure): Step => [
  { ...state, phase: { _tag: "Reading" }, inDoubt: { ...state.inDoubt, held: true } },
  { _tag: "Fail", error }
]

// If the answer does not show the join, the waiter does without a place in the queue: the queue is advice.
const onJoined = (self: Acquisition, state: State, snapshot: ObjectSnapshot, now: Now): Step => {
  const known = { ...state, lastSeen: snapshot }
  const decision = decide(self, state, snapshot, now, self.settings.sharedWithDex && !state.hasYielded)
  return decision._tag === "Wait" && decision.canJoin
    ? waitFor(self, { ...known, contended: true }, decision, "Object", now)
    : follow(self, known, snapshot, decision, now, false)
}

const onRefused = (state: State, now: Now): Step => {
  const undone = unsent(state)
  if (state.phase._tag === "Joining") {
    // It had not looked at the line. Nobody is in it any more.
    if (state.lastSeen === undefined) return read(undone, now)
    return backOff(undone, state.phase.seen, "Read", true)
  }
  if (isCachedWrite(state)) return read({ ...undone, contended: true }, now)
  // A contender that may already be in the queue, or hold the lock, reads first: it must not join behind itself. One that gets no place does
  // not try to join again.
  const { held, queued } = undone.inDoubt
  const next = held || queued || state.unqueueable !== undefined ? "Read" : "Join"
  return backOff({ ...undone, conflicts: state.conflicts + 1, contended: true }, {}, next, true)
}

const isAskingTime = ({ phase }: State): boolean => phase._tag === "AskingTime"

const isCachedWrite = ({ phase }: State): boolean => phase._tag === "Writing" && phase.isCached

const onMissing = (self: Acquisition, state: State, error: LockError.NotFound, now: Now): Step => {
  if (isAskingTime(state)) return retry(state, now)
  if (error.missing !== "object") return onFailed(state, error, now)
  if (state.phase._tag === "Joining" || isCachedWrite(state)) return onRefused(state, now)
  if (!self.settings.createIfMissing) return onFailed(state, error, now)
  // The object may be deleted between a reading and a write.
  return state.phase._tag === "Reading" ? create(self, state, now) : read(unsent(state), now)
}

const onFailed = (state: State, error: LockError.StoreError, now: Now): Step => {
  if (error._tag === "LockUnavailable") return onUnavailable(state, error, now)
  const undone = unsent(state)
  if (isOfStart(error)) {
    return mayPass(state, now)
      ? [
          { ...undone, phase: { _tag: "Unavailable", error } },
          { _tag: "Poll", atLeast: startPause, seen: error }
        ]
      : [undone, { _tag: "Fail", error }]
  }
  // The queue is advice. An object whose annotations are nearly full, and a webhook that does not know the queue, refuse a join.
  if (state.phase._tag !== "Joining" || !isRuledOut(error)) return [undone, { _tag: "Fail", error }]
  if (state.unqueueable === undefined) return read({ ...undone, unqueueable: error }, now)
  // A place that cannot be kept is left as it is until the next poll.
  return [
    { ...undone, phase: { _tag: "Unavailable", error } },
    { _tag: "Poll", atLeast: 0, seen: error }
  ]
}

// A write whose answer was lost is followed up at once, so that no contender waits for its own lock.
const onUnavailable = (state: State, error: LockError.Unavailable, now: Now): Step =>
  state.inDoubt.held && !state.followedUp
    ? read({ ...state, followedUp: true }, now)
    : [
        { ...state, phase: { _tag: "Unavailable", error } },
        {
          _tag: "Poll",
          atLeast: error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter),
          seen: error
        }
      ]

// Others have the lock. A server is much slower at many writes to one object at once than at one after the other, so a waiter
// joins the queue after a random time if the last answer took long.
const meet = (self: Acquisition, state: State, found: LockProtocol.WaitState, now: Now): Step => {
  const isNews = state.phase._tag !== "Joining" && state.phase._tag !== "Waiting" && !isAskingTime(state)
  const met = {
    ...state,
    contended: true,
    conflicts: isNews ? state.conflicts + 1 : state.conflicts,
    hasYielded: found.seen.expiry === undefined,
    metDex: state.metDex || isDex(found.seen)
  }
  if (!found.canJoin || met.unqueueable !== undefined) return watch(self, met, found, now)
  const lost = lostPosition(state)
  if (lost > 0) return rejoinLater(met, found.seen, lost * rejoinPause)
  return met.latency > slowAnswer ? backOff(met, found.seen, "Join", false) : join(self, met, found.seen, now)
}

const rejoinLater = (state: State, seen: Seen, millis: number): Step => [
  { ...state, phase: { _tag: "BackingOff", seen, next: "Join", hasLostRace: false } },
  { _tag: "BackOff", atLeast: millis, atMost: millis, seen }
]

/** An answer that takes longer than this, in milliseconds, was one of many at once. Our choice. */
export const slowAnswer = 20

/**
 * The random time before a write, at most, in milliseconds: `perLatency` times the latency of the last answer, which shows
 * how many processes write at once. A waiter that may be in the queue waits no longer than `queued`, since its turn may come. Others wait
 * for up to `atMost`: if dozens come at once, and each tries again sooner than the server is done with all, nobody gets anywhere.
 */
export const backOffBounds = { atLeast: 20, perLatency: 8, queued: 100, atMost: 4000 }

const backOff = (state: State, seen: Seen, next: "Read" | "Join", hasLostRace: boolean): Step => {
  const { atLeast, perLatency, queued } = backOffBounds
  const bound = state.inDoubt.queued ? queued : backOffBounds.atMost
  return [
    { ...state, phase: { _tag: "BackingOff", seen, next, hasLostRace } },
    { _tag: "BackOff", atLeast: 0, atMost: Math.max(atLeast, Math.min(bound, perLatency * state.latency)), seen }
  ]
}

const join = (self: Acquisition, state: State, seen: Seen, now: Now): Step =>
  writePlace(
    state,
    seen,
    rules.join(now.server, contenderOf(self), seen, state.joinVersion ?? absentVersion, state.lastSeen),
    now
  )

const writePlace = (state: State, seen: Seen, write: ConditionalPatch, now: Now): Step => [
  {
    ...state,
    phase: { _tag: "Joining", seen, wasQueued: state.inDoubt.queued },
    requestedAt: now.clock,
    inDoubt: { ...state.inDoubt, queued: true }
  },
  { _tag: "Join", write }
]

// A place that is a lease must not run out while its owner waits.
const keep = (
  self: Acquisition,
  state: State,
  { seen, write }: PermitProtocol.Keep,
  now: Now,
  isCached: boolean
): Step => {
  if (LockProtocol.isClockUsable(now.server, self.settings.ttl)) return writePlace(state, seen, write, now)
  return isCached
    ? read(state, now)
    : onUnavailable(state, LockProtocol.clockUnknown(self.settings.describe(self.id)), now)
}

// The version of a missing object.
const absentVersion = "0"

// A waiter in the queue watches for its own turn, and once one holder keeps the lock for long, the object. A waiter outside the
// queue watches the object, unless the queue is full: then it polls.
const watch = (self: Acquisition, state: State, found: LockProtocol.WaitState, now: Now): Step => {
  const { expiry, holder } = found.seen
  const since = now.clock.monotonic
  if (found.keepsPlace === true) return waitFor(self, state, found, "Turn", now)
  const known = state.holder?.id === holder && state.holder !== undefined
  const next = expiry === undefined || known ? state : { ...state, holder: { id: holder, since } }
  if (found.position === undefined) {
    const polls = found.isFull && state.unqueueable === undefined
    return waitFor(self, next, found, polls ? "Nothing" : "Object", now)
  }
  // The watch that told of a release also tells of the hand-over that may follow.
  if (isYielding(found) && isWatchingObject(state)) {
    return waitFor(self, next, yieldingToReleaser(self, state, found), "Object", now)
  }
  const heldFor = since - (next.holder?.since ?? since)
  return waitFor(self, next, found, heldFor >= LockProtocol.stableHolderAfter ? "Object" : "Turn", now)
}

const waitFor = (
  self: Acquisition,
  state: State,
  found: LockProtocol.WaitState,
  on: "Turn" | "Object" | "Nothing",
  now: Now
): Step => {
  const { monotonic } = now.clock
  const isTold = on === "Object" || (on === "Turn" && found.keepsPlace === true)
  const recheckAt = monotonic + LockProtocol.recheckDelay(found, now.server, isTold)
  const askAt = askTimeAt(self, state, found, now)
  const until = Math.min(recheckAt, askAt)
  const phase: Phase = { _tag: "Waiting", state: found, on, until, asksTime: askAt <= recheckAt }
  return goOnWaiting({ ...state, phase }, phase)
}

const goOnWaiting = (
  state: State,
  { hasEnded, on, state: seen, until }: Omit<Extract<Phase, { readonly _tag: "Waiting" }>, "_tag">
): Step => {
  const session = hasEnded === true ? undefined : seen.session
  return [
    state,
    on === "Nothing" ? { _tag: "Poll", atLeast: 0, seen, session } : { _tag: "Watch", on, until, seen, session }
  ]
}

// A watch event may be older than what is known. If it shows a free lock, the waiter leaves that to the releaser for a moment, also
// where no Dex is: a releaser that knew of no waiter frees the lock, sees the queue in the answer, and then hands over.
const onChanged = (self: Acquisition, before: State, snapshot: ObjectSnapshot, now: Now): Step => {
  const { phase } = before
  if (phase._tag !== "Waiting") return retry(before, now)
  if (!isNewer(snapshot, before.lastSeen?.resourceVersion)) return goOnWaiting(before, phase)
  const state = { ...before, lastSeen: snapshot }
  const decision = decide(self, state, snapshot, now, !state.hasYielded)
  if (isYielding(phase.state) && isLeftFree(self, snapshot, decision)) {
    if (decision._tag !== "Wait" || !isDex(decision.seen)) return goOnWaiting(state, phase)
    const met = { ...state, metDex: true }
    return phase.state.position === undefined
      ? goOnWaiting(met, phase)
      : watch(self, met, yieldingToDex(phase.state), now)
  }
  if (decision._tag === "Wait") {
    return isSameWait(decision, phase.state) ? goOnWaiting(state, phase) : meet(self, state, decision, now)
  }
  const attempt = { ...state, attempts: state.attempts + 1, followedUp: false }
  return self.settings.includesContent && snapshot.content === undefined
    ? read(attempt, now)
    : follow(self, attempt, snapshot, decision, now, true)
}

// Versions grow. The queue and fencing tokens rely on it, too.
const isNewer = ({ resourceVersion }: ObjectSnapshot, known: string | undefined): boolean =>
  known === undefined || (resourceVersion !== known && !isOlder(resourceVersion, known))

const isSameWait = (a: LockProtocol.WaitState, b: LockProtocol.WaitState): boolean =>
  a.position === b.position && a.session === b.session && Equal.equals(a.seen, b.seen)

// The lock is left free to the end of the pause, however often a Dex takes and releases it meanwhile.
const isYielding = ({ seen }: LockProtocol.WaitState): boolean => seen.expiry === undefined

/** For how many of the slowest answer that it has seen a waiter leaves a lock to its releaser. Our choice. */
export const answersPerYield = 2

// The releaser may need as long for its second write. A Dex is left no more time than it needs.
const yieldingToReleaser = (
  { settings }: Acquisition,
  { slowest }: State,
  found: LockProtocol.WaitState
): LockProtocol.WaitState => {
  const patience = Math.min(answersPerYield * slowest, LockProtocol.recheckAfter) - LockProtocol.yieldFor
  return settings.sharedWithDex || patience <= 0 ? found : { ...found, until: found.until + patience }
}

const isWatchingObject = ({ phase }: State): boolean => phase._tag === "Waiting" && phase.on === "Object"

const isLeftFree = (
  { kind }: Acquisition,
  { annotations }: ObjectSnapshot,
  decision: PermitProtocol.Decision
): boolean => (decision._tag === "Wait" ? decision.seen.holder === undefined : isFree(kind.decode(annotations)))

const outOfTime = (self: Acquisition, state: State, now: Now): Failure =>
  state.phase._tag === "Unavailable" ? state.phase.error : timeout(self, now.clock, state.attempts, seenBy(state))

/** The error of a contender whose wait schedule has ended after so many attempts. */
export const timeout = (
  { id, kind, settings, startedAt }: Acquisition,
  now: ClockReading,
  attempts: number,
  seen: Seen & Pick<LockError.Timeout, "thisProcess">
): LockError.Timeout =>
  new LockError.Timeout({
    id,
    object: settings.describe(id),
    attempts,
    waited: Duration.millis(Math.round(elapsed(startedAt, now).max)),
    ...rules.whatOf(kind),
    ...seen
  })

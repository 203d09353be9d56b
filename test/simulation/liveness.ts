/** What must happen in time, wherever nothing stands in the way: rules over a history, pure. */
import * as Duration from "effect/Duration"
import { patience as patienceOfRelease } from "../../src/internal/engine/release.ts"
import { localClockError } from "../../src/internal/kubernetes/apiClient.ts"
import { expiryMargin, handOverTtl, stableHolderAfter, yieldToDexFor as visit } from "../../src/LockProtocol.ts"
import { type HolderPlan, patience, type Plan } from "./plan.ts"
import { namesIn, processOf } from "./history.ts"
import { type Rule, victimOf, type Violation } from "./safety.ts"
import * as timeline from "./timeline.ts"
import { sight } from "./witness.ts"

// The longest that a request and its answer take when nothing is wrong.
export const roundTrip = (plan: Plan): number => 2 * plan.delay

// How far the server's clock is known then: a `Date` tells whole seconds, and clocks drift a little between polls.
// Without a `Date` it is known as well as the machine's own clock is.
export const uncertainty = (plan: Plan): number =>
  plan.dating.some(({ dates }) => dates === "none") ? 2 * localClockError + 20 : 1000 + roundTrip(plan) + 20

/** What an acquisition may take where nothing stands in the way: the uncertainty of the time, and some requests. */
export const slack = (plan: Plan): number => uncertainty(plan) + visit + 4 * roundTrip(plan)

/**
 * Every wish ends: with the lock, with its `Timeout` at the end of its schedule, or with `Unavailable`, `Unauthorized` or
 * `Forbidden` where the store was out of reach then, or refused the request. Nothing else happens, and no defect.
 */
export const wishes: Rule = ({ crashes, end, history, plan, ...line }) => {
  const violation = (at: number, what: string): Violation => ({ rule: "wishes", at, what })
  const finished = new Set(history.filter(({ _tag }) => _tag === "Finished").map(({ process }) => process))
  return [
    ...history.flatMap((event) =>
      event._tag === "Broke" ? [violation(event.at, `${event.process} broke: ${event.defect}`)] : []
    ),
    ...plan.holders.flatMap(({ name }) =>
      finished.has(name) || crashes.has(name) ? [] : [violation(end, `${name} never comes to an end`)]
    ),
    ...line.wishes.flatMap((wish) => {
      const problem =
        complaint(wish, line.peaceSince(wish.holder, wish.to) <= wish.to) ?? overlong({ plan, ...line }, wish)
      return problem === undefined ? [] : [violation(wish.to, `${wish.acquisition} ${problem}`)]
    })
  ]
}

const complaint = ({ end, from, holder, to }: timeline.Wish, isInPeace: boolean): string | undefined => {
  if (end?._tag !== "Failed") return undefined
  switch (end.problem) {
    case "LockConflict":
      return undefined
    case "LockTimeout":
      if (isPatient(holder)) return "never gets it, and has waited long enough"
      return to - from < ((holder.polls - 1) * holder.interval) / holder.rate - 1 ? "times out too soon" : undefined
    case "LockUnavailable":
      if (holder.polls === Infinity) return "fails for a server that is out of reach"
      return isInPeace ? "fails though nothing is wrong" : undefined
    case "LockUnauthorized":
    case "LockForbidden":
      return isInPeace ? "fails though nothing is wrong" : undefined
    default:
      return `fails with ${end.problem}: ${end.detail}`
  }
}

const isPatient = ({ interval, polls }: HolderPlan): boolean => polls * interval >= patience

// Nobody waits for longer than its schedule has it, where nothing stood in the way, but for what is under way at its end.
const overlong = (
  { plan, ...line }: Pick<timeline.Timeline, "plan" | "peaceSince">,
  { from, holder, to }: timeline.Wish
): string | undefined => {
  const most = (holder.polls * holder.interval) / holder.rate + 4 * roundTrip(plan) + visit + 1
  return to !== Infinity && to - from > most && line.peaceSince(holder, to) <= from ? "waits too long" : undefined
}

/**
 * A lock that is free, or has expired, is taken by whoever waits for it, where that process is left in peace and has not
 * got the lock itself.
 *
 * A waiter in the queue is told only of what is handed to it, until one and the same holder has had the lock for a
 * second. For the rest it looks when the lock would have expired, by what it saw last, and the later the further back it
 * stands; so not later than the latest expiry that stood while its process waited, and within a second in any case. A lock
 * that it finds free it leaves so for a moment, again the longer the further back it stands. To that come the uncertainty of
 * the server's clock and one poll.
 */
export const takeover: Rule = (line) =>
  line.vacancies.flatMap(({ from: free, lock, to }) =>
    line.wishes.flatMap((wish) => {
      const { acquisition, holder } = wish
      if (wish.from > free || wish.to <= free) return []
      const since = Math.min(
        ...line.wishes
          .filter((one) => one.holder === holder && one.from <= free && one.to > free)
          .map(({ from }) => from)
      )
      const seen = Math.max(
        0,
        ...line.locks.filter((one) => one.from <= free && one.to >= since).map(({ lock }) => lock.until - free)
      )
      const places = line.plan.vandal === undefined ? line.plan.holders.length * stagger : longestStagger
      const deaf = Math.min(seen, stableHolderAfter) + 2 * places
      const due =
        free + uncertainty(line.plan) + (deaf + holder.interval + visit) / holder.rate + 2 * roundTrip(line.plan) + 1
      return wish.to > due &&
        due <= line.end &&
        to > due &&
        timeline.inPeace(line, holder, { from: free, to: due }) &&
        !timeline.isBusy(line, holder, { from: free, to: due })
        ? [
            {
              rule: "takeover",
              at: due,
              what: `${acquisition} does not take the lock, ${lock === undefined ? "long free" : `which ${lock.owner} left to expire`}`
            }
          ]
        : []
    })
  )

// How the library staggers those who look, in milliseconds.
const stagger = 100

/** By how much at most, in milliseconds. */
export const longestStagger = 2000

/**
 * An expiry is at most the TTL away, plus the uncertainty of the server's clock, rounded up to a second; of a lock that is
 * handed over, the lease of a claim. A renewal does not shorten that. Where requests or clocks go wrong the uncertainty has no
 * bound of its own: there the TTL is exceeded by no more than its margin. (A renewal that settles a commit in doubt ends at
 * least a second later than the lease before it.)
 */
export const expiries: Rule = ({ history, plan }) => {
  const isCertain =
    plan.election === undefined &&
    (plan.theme === "calm" || plan.theme === "crashes" || plan.theme === "crowd") &&
    plan.dating.length === 0 &&
    plan.holders.every(({ blows }) => blows.every(({ _tag }) => _tag !== "SetWall"))
  return history.flatMap((event) => {
    const holder = timeline.holderOf(plan, event.process)
    if (event._tag !== "Written" || holder === undefined || event.after.lock === undefined) return []
    if (timeline.isSameLock(event.before?.lock, event.after.lock)) return []
    const { owner, until } = event.after.lock
    const lasts = until - event.at
    const isOwn = owner !== undefined && processOf(owner) === event.process
    const ttl = isOwn ? holder.ttl : handOverTtl
    const most = isCertain
      ? Math.max(ttl, handOverTtl) + uncertainty(plan)
      : Math.max(ttl + expiryMargin(ttl), handOverTtl + expiryMargin(handOverTtl)) + 1000
    return lasts > most + 1000 + holder.serverAhead
      ? [{ rule: "expiries", at: event.at, what: `${event.process} writes an expiry that is ${lasts} ms away` }]
      : []
  })
}

/**
 * No lock is left lying about. A waiter that has the lock, by a write whose answer got lost, is granted it by the
 * next attempt; who gave up, or is through with it, has removed it. A first write that arrives only after its wish has
 * ended is excused. What a vandal hands to somebody who does not expect it is lost for as long as a claim lasts.
 */
export const leftovers: Rule = (line) => {
  const claim = line.plan.vandal === undefined ? 0 : handOverTtl + uncertainty(line.plan) + 1000
  const attempt = 3 * roundTrip(line.plan) + visit + 1 + claim
  return line.holdings.flatMap(({ from, owner, to, until }): ReadonlyArray<Violation> => {
    const had = timeline.wishesOfTurn(line, owner)
    const wish = had.find(({ acquisition }) => acquisition === owner)
    if (wish === undefined) return []
    const { holder } = wish
    const gone = Math.min(to, until, line.end)
    const unknownTo = Math.min(gone, wish.to)
    const unknown = unknownTo - Math.max(from, line.peaceSince(holder, unknownTo))
    const leaves = Math.max(...had.map((one) => one.leaves))
    const due = leaves + attempt + conflicts(line.plan)
    return [
      ...(unknown > holder.interval / holder.rate + attempt
        ? [{ rule: "leftovers", at: unknownTo, what: `${owner} has the lock and waits for it` }]
        : []),
      ...(from <= leaves && due < gone && timeline.inPeace(line, holder, { from: leaves, to: due })
        ? [{ rule: "leftovers", at: due, what: `the lock of ${owner} is left behind` }]
        : [])
    ]
  })
}

// A hand-over is made anew where the queue changed meanwhile: so much longer does it take when many come and go.
const conflicts = (plan: Plan): number => 8 * roundTrip(plan) + 600

/**
 * A holder that was robbed notices: by the next renewal if nothing stands in the way, and else when the lease has run out. Excused is
 * one that gets the lock back before, by a queue into which a vandal has forged its name.
 */
export const noticed: Rule = (line) =>
  line.history.flatMap((event): ReadonlyArray<Violation> => {
    if (event._tag !== "Written") return []
    const { after, at } = event
    const victim = victimOf(line.plan, event)
    return timeline.wishesOfTurn(line, victim).flatMap(({ acquisition, holder }) => {
      const interval = line.plan.election?.retryPeriod ?? holder.ttl / 3
      const renewal = interval / holder.rate + 3 * roundTrip(line.plan) + 1
      const isPrompt = holder.renews && timeline.inPeace(line, holder, { from: at, to: at + renewal })
      // What was handed over lasts as long as was written.
      const reliesFor = line.plan.election?.renewDeadline
      const runsOut =
        reliesFor === undefined
          ? Math.max(at + holder.ttl / holder.rate + 1, event.before?.lock?.until ?? 0)
          : at + reliesFor / holder.rate + 1
      const due = (isPrompt ? at + renewal : runsOut) + sight
      const isForged =
        line.plan.vandal !== undefined &&
        line.locks.some(({ from, lock }) => lock.owner === victim && from > at && from <= due)
      return !isForged &&
        line.validity.some(
          (valid) =>
            valid.acquisition === acquisition &&
            valid.version < after.version &&
            valid.from < due &&
            Math.min(valid.to, line.end) > due
        )
        ? [{ rule: "noticed", at: due, what: `${acquisition} was robbed at ${at} and has not noticed` }]
        : []
    })
  })

/** The owner under which an acquisition has the lock: another one of its process may have handed it over. */
export const turnOf = (line: timeline.Timeline, acquisition: string): string => {
  const end = line.wishes.find((wish) => wish.acquisition === acquisition)?.end
  return end?._tag === "Granted" ? end.turn : acquisition
}

/**
 * No loss is silent: a holder that has not given the lock up, and is not valid any more, is told of that once its last lease has ended and
 * no commit of its own is under way, or it comes to be valid again.
 */
export const losses: Rule = (line) =>
  line.validity.flatMap(({ acquisition, to }) => {
    const holder = line.wishes.find((wish) => wish.acquisition === acquisition)?.holder
    if (to === Infinity || holder === undefined) return []
    const mine = line.history.filter((event) => "acquisition" in event && event.acquisition === acquisition)
    const isCommitting = mine.some(({ _tag }) => _tag === "Committing")
    const committed = mine.find((event) => event._tag === "Committed")
    if (isCommitting && (committed === undefined || committed.how === "done")) return []
    const turn = turnOf(line, acquisition)
    const ends = line.holdings.filter(({ owner }) => owner === turn).map(({ until }) => until)
    const halted = timeline.haltedFor(line, holder.name, { from: to - holder.ttl, to: line.end })
    const due = Math.max(to, committed?.at ?? 0, ...ends) + halted + sight + 10
    const isTold = mine.some(
      ({ _tag, at }) => at <= due && (_tag === "Lost" || _tag === "Releasing" || (_tag === "Valid" && at > to))
    )
    const crashed = (line.crashes.get(holder.name) ?? Infinity) <= due
    return isTold || crashed || due > line.end
      ? []
      : [{ rule: "losses", at: due, what: `${acquisition} is not valid any more, and is not told` }]
  })

/**
 * Nobody tells of a loss without grounds: that a lock is another's, or nobody's, or that the object is gone, is told only if it has
 * been so since the lock was acquired. A commit of its own that was applied counts as one, and so does what somebody breaks under a session.
 */
export const groundless: Rule = (line) => {
  const gone = new Set<string>()
  return line.history.flatMap((event) => {
    if (event._tag === "Written") {
      const owner = event.before?.lock?.owner
      if (owner !== undefined && owner !== event.after.lock?.owner) gone.add(owner)
      return []
    }
    if (event._tag === "Kept") event.broken.forEach((hold) => gone.add(hold))
    if (event._tag !== "Lost" || event.reason === "Expired") return []
    return gone.has(turnOf(line, event.acquisition))
      ? []
      : [
          {
            rule: "groundless",
            at: event.at,
            what: `${event.acquisition} is told of a loss that never was: ${event.reason}`
          }
        ]
  })
}

/**
 * A lock whose requests go wrong one at a time, far apart, is not lost, however short its lease is beside the TTL. A commit gives
 * the lock away: if its answer is lost, and the next holder has overwritten what it wrote, the loss is told and is none.
 */
export const robust: Rule = (line) => {
  if (line.plan.theme !== "blips") return []
  const gave = new Set<string>()
  return line.history.flatMap((event) => {
    if (event._tag === "Written" && event.verb === "commit") {
      const owner = event.before?.lock?.owner
      if (owner !== undefined && processOf(owner) === event.process) gave.add(owner)
    }
    if (event._tag !== "Lost" || gave.has(turnOf(line, event.acquisition))) return []
    return [{ rule: "robust", at: event.at, what: `${event.acquisition} is lost by a blip: ${event.reason}` }]
  })
}

/**
 * An acquiring write that was interrupted and arrives long after is not applied: its sender has made its fate certain, if nothing
 * kept it from that. A creation cannot be made certain.
 */
export const late: Rule = (line) =>
  line.history.flatMap((event) => {
    if (event._tag !== "Written" || event.before === undefined) return []
    const { after, at, before, process } = event
    const owner = after.lock?.owner
    if (owner === undefined || owner === before.lock?.owner || processOf(owner) !== process) return []
    // The holder may hand the lock over within its process, to whom a vandal put into the queue.
    if ([...before.queue.line, ...before.queue.arrivals].includes(owner)) return []
    const wish = line.wishes.find(({ acquisition }) => acquisition === owner)
    if (wish === undefined || wish.end === undefined || wish.end._tag === "Granted") return []
    const settled = wish.to + 50 / wish.holder.rate + 4 * roundTrip(line.plan) + 1
    return at > settled && !line.isDisturbed(wish.holder, { from: wish.to, to: settled })
      ? [{ rule: "late", at, what: `${owner} takes the lock ${Math.round(at - wish.to)} ms after its wish has ended` }]
      : []
  })

/**
 * A join that arrives when its wish is over, and not too late for its sender to look for it, is taken out of the queue again. That is
 * judged while the sender goes on, and nothing keeps it from that. A vandal can put a name back, and so can a second join, which is judged
 * for itself.
 */
export const forgotten: Rule = (line) => {
  if (line.plan.vandal !== undefined) return []
  return line.history.flatMap((event, index) => {
    if (event._tag !== "Written" || event.before === undefined) return []
    const { after, at, before, process } = event
    return after.queue.arrivals.flatMap((name) => {
      const had = timeline.wishesOfTurn(line, name)
      if (before.queue.arrivals.includes(name) || had[0] === undefined || processOf(name) !== process) return []
      const { holder } = had[0]
      const over = Math.max(...had.map((one) => one.over))
      const looked = over + looks / holder.rate
      if (at <= over || at >= looked - roundTrip(line.plan)) return []
      const due = looked + 50 / holder.rate + 6 * roundTrip(line.plan) + conflicts(line.plan)
      const goesOn = line.wishes.some((other) => other.holder === holder && other.from > due)
      if (!goesOn || line.isDisturbed(holder, { from: over, to: due })) return []
      return line.history
        .slice(index)
        .every((other) => other._tag !== "Written" || other.at > due || namesIn(other.after).includes(name))
        ? [{ rule: "forgotten", at: due, what: `the join of ${name} came at ${at}, and stays in the queue` }]
        : []
    })
  })
}

// For how long a process looks for a join that was cut off.
const looks = Duration.toMillis(patienceOfRelease)

/** A client that watches the object is told its last state. A state before a deletion is none. */
export const told: Rule = ({ end, history, plan }) => {
  const last = (versions: ReadonlyArray<number>) => versions.at(-1) ?? 0
  const deleted = history.findLastIndex((event) => event._tag === "Written" && event.verb === "delete")
  const written = last(
    history
      .slice(deleted + 1)
      .flatMap((event) =>
        event._tag === "Written" && event.at < end - roundTrip(plan) - 1 ? [event.after.version] : []
      )
  )
  const heard = last(history.flatMap((event) => (event._tag === "Told" ? [event.version] : [])))
  return heard >= written ? [] : [{ rule: "told", at: end, what: `version ${written} is not told, but ${heard}` }]
}

/** What must and must not happen to the permits of a semaphore or a shared lock: rules over a history, pure. */
import type { Event, LeaseOn, LineOn, Written } from "./history.ts"
import { processOf } from "./history.ts"
import { all } from "./lineOn.ts"
import { longestStagger, roundTrip, turnOf, uncertainty } from "./liveness.ts"
import type { HolderPlan, Plan } from "./plan.ts"
import type { Rule, Violation } from "./safety.ts"
import * as timeline from "./timeline.ts"
import { sight } from "./witness.ts"

const leasesOf = (line: LineOn | undefined): ReadonlyArray<LeaseOn> => line?.leases ?? []

const leaseOf = (line: LineOn | undefined, owner: string | undefined): LeaseOn | undefined =>
  leasesOf(line).find((lease) => lease.owner === owner)

const limitOf = ({ permits }: Plan): number => permits?.limit ?? all

// The leases that a write removed.
const removedBy = ({ after, before }: Written): ReadonlyArray<LeaseOn> =>
  leasesOf(before?.line).filter(({ owner }) => leaseOf(after.line, owner) === undefined)

// Leases that an operator broke, or that went with the object. Nobody can promise anything then, but that it is noticed.
const robbedBy = (plan: Plan, event: Event): ReadonlyArray<LeaseOn> =>
  event._tag === "Written" && timeline.holderOf(plan, event.process) === undefined ? removedBy(event) : []

// What is known of the acquisitions at a moment of the history, as it goes on.
const follow = (line: timeline.Timeline) => {
  const turns = new Map<string, string>()
  const amounts = new Map<string, number>()
  const valid = new Set<string>()
  const robbed = new Set<string>()
  let object: LineOn | undefined
  return {
    amountOf: (acquisition: string) => amounts.get(acquisition) ?? 0,
    turnOf: (acquisition: string) => turns.get(acquisition),
    isRobbed: (acquisition: string) => robbed.has(turns.get(acquisition) ?? ""),
    valid: (): ReadonlyArray<string> => [...valid],
    object: () => object,
    see: (event: Event) => {
      switch (event._tag) {
        case "WishEnded":
          if (event.end._tag === "Granted") turns.set(event.acquisition, event.end.turn)
          return
        case "Has":
          return void amounts.set(event.acquisition, event.permits)
        case "Valid":
          return void valid.add(event.acquisition)
        case "Invalid":
          return void valid.delete(event.acquisition)
        case "Written":
          object = event.after.line
          for (const { owner } of robbedBy(line.plan, event)) robbed.add(owner)
      }
    }
  }
}

type Known = ReturnType<typeof follow>

// Judges each acquisition as it comes to be valid. What was robbed is excused.
const whenValid = (
  rule: string,
  line: timeline.Timeline,
  judge: (event: Extract<Event, { readonly _tag: "Valid" }>, known: Known) => string | undefined
): ReadonlyArray<Violation> => {
  const known = follow(line)
  return line.history.flatMap((event) => {
    known.see(event)
    const what = event._tag !== "Valid" || known.isRobbed(event.acquisition) ? undefined : judge(event, known)
    return what === undefined ? [] : [{ rule, at: event.at, what }]
  })
}

/** Valid holders never have more permits than there are. A writer has all of them. Excused is what was robbed. */
export const limit: Rule = (line) =>
  whenValid("limit", line, (_, known) => {
    const holders = known.valid().filter((one) => !known.isRobbed(one))
    const sum = holders.reduce((sum, one) => sum + known.amountOf(one), 0)
    return sum <= limitOf(line.plan) ? undefined : `${holders.join(", ")} are valid at once and have too many permits`
  })

/** Nobody relies on permits that its lease does not hold. The readers of a process share one permit. */
export const backed: Rule = (line) =>
  whenValid("backed", line, ({ acquisition }, known) => {
    const turn = known.turnOf(acquisition)
    const amounts = known
      .valid()
      .filter((one) => known.turnOf(one) === turn)
      .map(known.amountOf)
    const used = line.plan.permits?.limit === undefined ? Math.max(...amounts) : amounts.reduce((a, b) => a + b, 0)
    const granted = leaseOf(known.object(), turn)?.granted ?? 0
    return used <= granted ? undefined : `${acquisition} relies on ${used} permits of ${turn}, which has ${granted}`
  })

/**
 * Nobody passes anybody: a lease comes in at the end of the line, keeps its place, and asks for no more than before unless nobody else
 * is in the line.
 */
export const order: Rule = ({ history, plan }) =>
  history.flatMap((event) => {
    if (event._tag !== "Written" || event.before === undefined || timeline.holderOf(plan, event.process) === undefined)
      return []
    const { after, at, before, process } = event
    return leasesOf(after.line).flatMap(({ owner, permits, place }): ReadonlyArray<Violation> => {
      const was = leaseOf(before.line, owner)
      const isRight =
        was === undefined
          ? place === before.version
          : place === was.place && (permits <= was.permits || leasesOf(after.line).length === 1)
      return isRight ? [] : [{ rule: "order", at, what: `${process} gives ${owner} the place ${place}` }]
    })
  })

/** Nobody removes or changes a lease of another process before it has expired, and nobody changes what the line is of. */
export const lines: Rule = ({ history, plan }) =>
  history.flatMap((event) => {
    if (event._tag !== "Written" || timeline.holderOf(plan, event.process) === undefined) return []
    const { after, at, before, process } = event
    const violation = (what: string): Violation => ({ rule: "lines", at, what: `${process} ${what}` })
    const mark = plan.permits?.limit === undefined ? "shared lock" : `semaphore of ${plan.permits.limit}`
    const isMarked = leasesOf(after.line).length === 0 || after.line?.mark === mark
    return [
      ...(isMarked ? [] : [violation("leaves a line that says nothing of what it is")]),
      ...leasesOf(before?.line).flatMap((was) => {
        if (processOf(was.owner) === process) return []
        const is = leaseOf(after.line, was.owner)
        if (is === undefined) return at > was.until ? [] : [violation(`removes the lease of ${was.owner}`)]
        return is.until === was.until && is.permits === was.permits
          ? []
          : [violation(`changes the lease of ${was.owner}`)]
      })
    ]
  })

/**
 * Of a shared lock: the token of a writer is greater than that of every holder before, and that of a reader greater than that of every
 * writer before. Of a semaphore: a token is greater than that of whoever had the same permits before. Excused is a process that was
 * robbed and hands on what it has no more.
 */
export const tokens: Rule = (line) => {
  const seen = new Map<string, bigint>()
  const before: Array<{ readonly acquisition: string; readonly token: bigint; readonly writes: boolean }> = []
  const slots = Array.from({ length: line.plan.permits?.limit ?? 0 }, () => ({ token: -1n, by: "" }))
  const rises = (known: Known, acquisition: string, token: bigint): boolean => {
    const writes = known.amountOf(acquisition) === all
    const isGreatest = before.every(
      (other) => other.acquisition === acquisition || (!writes && !other.writes) || other.token < token
    )
    before.push({ acquisition, token, writes })
    return isGreatest
  }
  // The free permits with the greatest tokens that are smaller.
  const fits = (known: Known, acquisition: string, token: bigint): boolean => {
    const inUse = new Set(known.valid().filter((one) => one !== acquisition && !known.isRobbed(one)))
    const amount = known.amountOf(acquisition)
    const chosen = slots
      .filter((slot) => !inUse.has(slot.by) && (slot.token < token || slot.by === acquisition))
      .toSorted((a, b) => (a.by === acquisition ? -1 : b.by === acquisition ? 1 : a.token > b.token ? -1 : 1))
      .slice(0, amount)
    for (const slot of chosen) Object.assign(slot, { token, by: acquisition })
    return chosen.length === amount
  }
  const isRight = line.plan.permits?.limit === undefined ? rises : fits
  return whenValid("tokens", line, ({ acquisition, token }, known) => {
    if (seen.get(acquisition) === token) return undefined
    seen.set(acquisition, token)
    return isRight(known, acquisition, token)
      ? undefined
      : `${acquisition} has token ${token}, and had to have a greater`
  })
}

const renewalOf = (plan: Plan, { rate, ttl }: HolderPlan): number => ttl / 3 / rate + 3 * roundTrip(plan) + sight

/**
 * A loss is told: a holder that has not given its permits up and is not valid any more is told by the time of its next renewal, or comes to be
 * valid again.
 */
export const losses: Rule = (line) =>
  line.validity.flatMap(({ acquisition, to }) => {
    const holder = line.wishes.find((wish) => wish.acquisition === acquisition)?.holder
    if (to === Infinity || holder === undefined || (line.crashes.get(holder.name) ?? Infinity) <= to) return []
    const halted = timeline.haltedFor(line, holder.name, { from: to - holder.ttl, to: line.end })
    const due = to + halted + renewalOf(line.plan, holder) + 10
    const isTold = line.history.some(
      (event) =>
        "acquisition" in event &&
        event.acquisition === acquisition &&
        event.at <= due &&
        (event._tag === "Lost" || event._tag === "Releasing" || (event._tag === "Valid" && event.at >= to))
    )
    const crashed = (line.crashes.get(holder.name) ?? Infinity) <= due
    return isTold || crashed || due > line.end
      ? []
      : [{ rule: "losses", at: due, what: `${acquisition} is not valid any more, and is not told` }]
  })

/** A holder that was robbed notices: by the next renewal if nothing stands in the way, and otherwise when its lease has run out. */
export const noticed: Rule = (line) => {
  const known = follow(line)
  return line.history.flatMap((event) => {
    known.see(event)
    return robbedBy(line.plan, event).flatMap(({ owner, until }) =>
      known.valid().flatMap((acquisition) => {
        const holder = timeline.holderOf(line.plan, processOf(acquisition))!
        if (known.turnOf(acquisition) !== owner) return []
        const renewal = event.at + renewalOf(line.plan, holder)
        const isPrompt = holder.renews && timeline.inPeace(line, holder, { from: event.at, to: renewal })
        const due = isPrompt ? renewal : Math.max(until, event.at + holder.ttl / holder.rate) + sight
        return line.validity.some(
          (valid) => valid.acquisition === acquisition && valid.from < due && Math.min(valid.to, line.end) > due
        )
          ? [{ rule: "noticed", at: due, what: `${acquisition} was robbed at ${event.at} and has not noticed` }]
          : []
      })
    )
  })
}

/** Nobody tells of a loss without grounds: somebody else has removed the lease. */
export const groundless: Rule = (line) => {
  const gone = new Set<string>()
  const known = follow(line)
  return line.history.flatMap((event) => {
    known.see(event)
    if (event._tag === "Written")
      for (const { owner } of removedBy(event)) if (processOf(owner) !== event.process) gone.add(owner)
    if (event._tag !== "Lost" || event.reason === "Expired" || gone.has(known.turnOf(event.acquisition) ?? ""))
      return []
    return [
      {
        rule: "groundless",
        at: event.at,
        what: `${event.acquisition} is told of a loss that never was: ${event.reason}`
      }
    ]
  })
}

interface OnObject extends timeline.Stretch {
  readonly line: LineOn | undefined
}

const versionsOf = ({ history }: timeline.Timeline): ReadonlyArray<OnObject> => {
  const written = history.filter((event) => event._tag === "Written")
  return written.map(({ after, at }, index) => ({ line: after.line, from: at, to: written[index + 1]?.at ?? Infinity }))
}

/** Nothing of a contender stays in the line after it and whoever of its process had its permits have left. */
export const leftovers: Rule = (line) => {
  const attempt = 8 * roundTrip(line.plan) + 600
  const stays = new Map<string, { readonly from: number; to: number; until: number }>()
  for (const { from, line: object, to } of versionsOf(line)) {
    for (const { owner, until } of leasesOf(object)) {
      const stay = stays.get(owner)
      if (stay?.to === from) Object.assign(stay, { to, until })
      else stays.set(owner, { from, to, until })
    }
  }
  return [...stays].flatMap(([owner, { from, to, until }]) => {
    const had = timeline.wishesOfTurn(line, owner)
    const wish = had.find(({ acquisition }) => acquisition === owner)
    if (wish === undefined) return []
    const leaves = Math.max(...had.map((one) => one.leaves))
    const due = leaves + attempt
    return from <= leaves &&
      due < Math.min(to, until, line.end) &&
      timeline.inPeace(line, wish.holder, { from: leaves, to: due })
      ? [{ rule: "leftovers", at: due, what: `the lease of ${owner} is left behind` }]
      : []
  })
}

/** The longest that a contender may take to begin with permits that it has. */
const beginning = (plan: Plan): number => recheck + 4 * roundTrip(plan)

// A label that names another process, and the write that corrects it; or the next look.
const recheck = 1000

/**
 * A contender that has its permits, or would if the leases that have expired were removed, begins in time where nothing stands in its
 * way. So no permit is lost for longer than a lease after a crash.
 */
export const entry: Rule = (line) => {
  const { plan } = line
  const versions = versionsOf(line)
  return line.wishes.flatMap((wish): ReadonlyArray<Violation> => {
    const { acquisition, from, holder, to } = wish
    const amount = amountWished(line, acquisition)
    const waited = versions.filter((version) => version.to > from && version.from < Math.min(to, line.end))
    let since: number | undefined
    let hasDead = false
    let keepsAt = 0
    for (const { from, line: object, to: until } of waited) {
      const leases = leasesOf(object)
      const place = leases.findIndex(({ owner }) => owner === acquisition)
      const before = leases.slice(0, Math.max(place, 0))
      const lapses = before.map((lease) => lease.until).filter((at) => at > from && at < until)
      for (const at of [from, ...lapses.toSorted((a, b) => a - b)]) {
        const living = before.filter((lease) => lease.until >= at)
        const left = living.reduce((left, { permits }) => left - permits, limitOf(plan))
        const isIn = place >= 0 && left >= amount
        if (!isIn) {
          since = undefined
          hasDead = false
        } else {
          if (since === undefined) keepsAt = leases[place]!.until - (2 / 3) * holder.ttl
          since ??= Math.max(at, wish.from)
          hasDead ||= living.length < before.length
        }
      }
      if (since === undefined) continue
      const told = since + beginning(plan) + (hasDead ? uncertainty(plan) + longestStagger / holder.rate : 0)
      const begun = since
      // The process that made room may be kept from waking it. It looks itself when it keeps its place.
      const isWoken = plan.holders.every((other) => timeline.inPeace(line, other, { from: begun, to: told }))
      const due = isWoken ? told : Math.max(told, keepsAt + uncertainty(plan) + beginning(plan))
      const stays = Math.min(until, to, line.end)
      if (stays > due && timeline.inPeace(line, holder, { from: since, to: due })) {
        return [
          { rule: "entry", at: due, what: `${acquisition} has had its permits since ${since}, and does not begin` }
        ]
      }
    }
    return []
  })
}

const amountWished = ({ history }: timeline.Timeline, acquisition: string): number =>
  history.flatMap((event) =>
    event._tag === "Wished" && event.acquisition === acquisition ? [event.permits ?? 1] : []
  )[0] ?? 1

/**
 * Where nothing is wrong nobody waits for longer than those before it take, one after the other: the longest that anybody stays, the
 * budget in which a process hands permits on, and some requests.
 */
export const bounded: Rule = (line) => {
  if (line.plan.theme !== "calm") return []
  const stay = Math.max(0, ...line.wishes.filter(({ over }) => over !== Infinity).map(({ over, to }) => over - to))
  return line.wishes.flatMap(({ acquisition, from, to }) => {
    const before = line.wishes.filter((other) => other.from <= from && other.over > from).length
    const due = from + before * (stay + longestBudget + beginning(line.plan))
    return Math.min(to, line.end) > due
      ? [{ rule: "bounded", at: due, what: `${acquisition} waits for longer than ${before} before it can take` }]
      : []
  })
}

/**
 * Where nothing is wrong no writer waits longer than twice the queue before it: while its lease waits in the line, at most two contenders
 * enter for each that was there before it. Those are not counted that a process lets in to a lease that was there before the writer's, within
 * its fairness budget.
 */
export const writers: Rule = (line) => {
  if (line.plan.theme !== "calm" || line.plan.permits?.limit !== undefined) return []
  const entries = line.wishes.filter(({ end }) => end?._tag === "Granted")
  const joins = joinsOf(line)
  const joinedAt = new Map(joins.map(({ at, owner }) => [owner, at]))
  return joins.flatMap(({ at, owner }) => {
    const writer = entries.find(({ acquisition }) => acquisition === owner)
    if (writer === undefined || amountWished(line, owner) !== all) return []
    const before = line.wishes.filter((other) => other !== writer && other.from < at && other.over > at).length
    const passed = entries.filter(({ acquisition, holder, to }) => {
      if (to <= at || to >= writer.to) return false
      const isLetIn = (joinedAt.get(turnOf(line, acquisition)) ?? Infinity) < at
      return !isLetIn || to > at + longestBudget / holder.rate
    }).length
    return passed <= 2 * before
      ? []
      : [{ rule: "writers", at: writer.to, what: `${passed} enter while ${owner} waits for ${before} before it` }]
  })
}

// The leases that came into the line, and when.
const joinsOf = ({ history }: timeline.Timeline): ReadonlyArray<{ readonly owner: string; readonly at: number }> =>
  history.flatMap((event) =>
    event._tag === "Written"
      ? leasesOf(event.after.line)
          .filter(({ owner }) => leaseOf(event.before?.line, owner) === undefined)
          .map(({ owner }) => ({ owner, at: event.at }))
      : []
  )

// How long a process hands permits on while others wait, at most.
const longestBudget = 2000

/**
 * A process hands permits on among its contenders for no longer than its budget while others wait. It hears of them at its next look,
 * with which the budget ends.
 */
export const handsOn: Rule = (line) => {
  const { history, plan } = line
  const begun = new Map<string, number>()
  // Since when contenders of other processes have waited without a break.
  const waitingSince = new Map<string, number>()
  return history.flatMap((event): ReadonlyArray<Violation> => {
    if (event._tag === "Written") {
      const waiting = leasesOf(event.after.line).filter(({ granted, permits }) => granted < permits)
      const owners = new Set(waiting.map(({ owner }) => owner))
      for (const owner of waitingSince.keys()) if (!owners.has(owner)) waitingSince.delete(owner)
      for (const owner of owners) if (!waitingSince.has(owner)) waitingSince.set(owner, event.at)
    }
    if (event._tag !== "WishEnded" || event.end._tag !== "Granted") return []
    const { acquisition, at, end } = event
    const { turn } = end
    if (!begun.has(turn)) begun.set(turn, at)
    const holder = timeline.holderOf(plan, processOf(acquisition))
    if (turn === acquisition || holder === undefined) return []
    const others = [...waitingSince].filter(([owner]) => processOf(owner) !== holder.name).map(([, since]) => since)
    const from = Math.max(begun.get(turn)!, Math.min(...others))
    const due = from + longestBudget / holder.rate + 2 * roundTrip(plan) + sight
    return at > due && timeline.inPeace(line, holder, { from, to: at })
      ? [{ rule: "handsOn", at, what: `${holder.name} hands on ${turn}, although others have waited since ${from}` }]
      : []
  })
}

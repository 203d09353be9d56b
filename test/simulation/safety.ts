/** What must never happen, whatever goes wrong: rules over a history, pure. */
import { type Event, processOf, type Written } from "./history.ts"
import type { Plan } from "./plan.ts"
import { managedBy } from "../../src/ObjectStore.ts"
import * as timeline from "./timeline.ts"

/** A rule that was broken: which, when, and how. */
export interface Violation {
  readonly rule: string
  readonly at: number
  readonly what: string
}

/** A rule: what broke it. */
export type Rule = (line: timeline.Timeline) => ReadonlyArray<Violation>

const isHolder = (plan: Plan, process: string) => timeline.holderOf(plan, process) !== undefined

/**
 * No two holders are valid at once.
 *
 * Excused is a holder that was robbed: an outsider (Dex) took away the lock before it had expired. Nobody can promise anything
 * then, but that the loss is noticed (`noticed`) and that the token is refused (`fenced`).
 */
export const exclusion: Rule = (line) => {
  const valid = new Map<string, number>()
  const robberies = watchRobberies(line)
  return line.history.flatMap((event) => {
    robberies.see(event)
    if (event._tag === "Invalid") valid.delete(event.acquisition)
    if (event._tag !== "Valid") return []
    const { acquisition, at, token } = event
    const version = timeline.versionOf(token)
    const rivals = robberies.isVictim(acquisition, version)
      ? []
      : [...valid].filter(([rival, version]) => !robberies.isVictim(rival, version))
    valid.set(acquisition, version)
    return rivals.map(([rival]) => ({ rule: "exclusion", at, what: `${acquisition} and ${rival} are valid at once` }))
  })
}

// The holders that were robbed of a lock after they acquired it with a write of some version, as far as the history was seen.
const watchRobberies = (line: timeline.Timeline) => {
  const robbed = new Map<string, number>()
  return {
    isVictim: (acquisition: string, version: number) => (robbed.get(acquisition) ?? 0) > version,
    see: (event: Event) => {
      if (event._tag !== "Written") return
      const victims = timeline.wishesOfTurn(line, victimOf(line.plan, event))
      for (const { acquisition } of victims) robbed.set(acquisition, event.after.version)
    }
  }
}

/**
 * Whose lock an outsider took away before its time, if it did. A client-go may take a Lease once it was seen unchanged for long enough,
 * on a clock that is as fast as may be, and keeps what it has.
 */
export const victimOf = (plan: Plan, { after, at, before, process }: Written): string | undefined => {
  if (before?.lock === undefined || isHolder(plan, process)) return undefined
  const { owner, session, unseen, until } = before.lock
  // It is taken from a holder that knows.
  if (session !== undefined) return undefined
  if (timeline.isSameLock(before.lock, after.lock) || (unseen !== undefined && owner === after.lock?.owner))
    return undefined
  const mayBeTaken = after.lock !== undefined && unseen !== undefined && at >= unseen
  return at <= until && !mayBeTaken ? owner : undefined
}

/** When a holder was robbed of the lock; `Infinity` if it was not. */
export const robbedAt = (line: timeline.Timeline, { acquisition, version }: timeline.Validity): number =>
  line.history.find(
    (event) =>
      event._tag === "Written" &&
      event.after.version > version &&
      timeline.wishesOfTurn(line, victimOf(line.plan, event)).some((wish) => wish.acquisition === acquisition)
  )?.at ?? Infinity

/**
 * Fencing tokens strictly increase from one valid holder to the next, and each stems from an acquiring write. Excused is
 * a process that was robbed and, not knowing it yet, passed the lock on within itself: the resource refuses that token.
 */
export const tokens: Rule = (line) => {
  const seen = new Set<string>()
  const ownerAt = new Map<number, string | undefined>()
  const turns = new Map(
    line.wishes.map(({ acquisition, end }) => [acquisition, end?._tag === "Granted" ? end.turn : undefined])
  )
  const robberies = watchRobberies(line)
  let largest = -1n
  return line.history.flatMap((event) => {
    robberies.see(event)
    if (event._tag === "Written") ownerAt.set(event.after.version, event.after.lock?.owner)
    if (event._tag !== "Valid" || seen.has(event.acquisition)) return []
    const { acquisition, at, token } = event
    seen.add(acquisition)
    const before = largest
    if (token > largest) largest = token
    const turn = turns.get(acquisition)
    return [
      ...(token > before || robberies.isVictim(acquisition, timeline.versionOf(token))
        ? []
        : [`${acquisition} has token ${token}, and ${before} was given before`]),
      ...(ownerAt.get(timeline.versionOf(token)) === turn
        ? []
        : [`token ${token} of ${acquisition} is not from its write`]),
      ...((token & 0xfffffn) === 0n && turn !== acquisition ? [`${acquisition} has the first token of ${turn}`] : [])
    ].map((what) => ({ rule: "tokens", at, what }))
  })
}

/** Nobody removes another's lock, nor takes it before it has expired by the clock of the server that it talks to. */
export const theft: Rule = ({ history, plan }) =>
  history.flatMap((event) => {
    const holder = timeline.holderOf(plan, event.process)
    if (event._tag !== "Written" || holder === undefined) return []
    const { after, at, before, process } = event
    if (before?.lock === undefined || timeline.isSameLock(before.lock, after.lock)) return []
    const owner = before.lock.owner
    if (owner !== undefined && processOf(owner) === process) return []
    const whose = owner ?? "somebody"
    if (after.lock === undefined) return [{ rule: "theft", at, what: `${process} removes the lock of ${whose}` }]
    if (at + holder.serverAhead > before.lock.until) return []
    return [{ rule: "theft", at, what: `${process} takes the lock of ${whose} before it expired` }]
  })

// What a lock writes on an object that it makes.
const made = { [`label ${managedBy.key}`]: managedBy.value }

/** No lease is left beside one under another key: its holder could renew it. */
export const single: Rule = ({ history }) =>
  history.flatMap((event) =>
    event._tag === "Written" && event.after.second !== undefined
      ? [{ rule: "single", at: event.at, what: `after a write of ${event.process} there are two leases on the object` }]
      : []
  )

/** What others wrote on the object survives. */
export const foreign: Rule = ({ history, plan }) =>
  history.flatMap((event) => {
    if (event._tag !== "Written" || !isHolder(plan, event.process)) return []
    const [before, after] = [event.before?.others ?? made, event.after.others].map((others) =>
      JSON.stringify(Object.entries(others).toSorted())
    )
    return before === after
      ? []
      : [{ rule: "foreign", at: event.at, what: `${event.process} changes annotations of others` }]
  })

/** The protected resource never goes back to an earlier holder once it has heard from a later one. */
export const fenced: Rule = ({ history }) => {
  const heard: Array<string> = []
  return history.flatMap((event) => {
    if (event._tag !== "Fenced" || !event.accepted || heard.at(-1) === event.acquisition) return []
    const stale = heard.includes(event.acquisition)
    heard.push(event.acquisition)
    return stale ? [{ rule: "fenced", at: event.at, what: `a stale write of ${event.acquisition} is accepted` }] : []
  })
}

/**
 * A commit is all or nothing: the content of the object changes only while the lock of its writer stands, and with that
 * the lock is gone or another's. What was said to be done was done. What was said to be lost was not.
 */
export const commits: Rule = ({ history, plan }) => {
  const written: Array<string> = []
  return history.flatMap((event): ReadonlyArray<Violation> => {
    if (event._tag === "Committed") {
      const { acquisition, at, how } = event
      const isWrong =
        how === "done" ? !written.includes(acquisition) : how === "LockLost" && written.includes(acquisition)
      return isWrong ? [{ rule: "commits", at, what: `the commit of ${acquisition} is told to be ${how}` }] : []
    }
    if (event._tag !== "Written" || !isHolder(plan, event.process)) return []
    const { after, at, before, process } = event
    if (after.written === before?.written || after.written === undefined) return []
    written.push(after.written)
    const owner = before?.lock?.owner
    return owner !== undefined && processOf(owner) === process && after.lock?.owner !== owner
      ? []
      : [{ rule: "commits", at, what: `${process} writes to the object without the lock` }]
  })
}

/** The server's clock shows a time within what is known of it, wherever that is asked for. */
export const clocks: Rule = ({ history }) =>
  history.flatMap((event) =>
    event._tag === "Misjudged" && event.off > 0
      ? [{ rule: "clocks", at: event.at, what: `${event.process} misjudges the server's clock by ${event.off} ms` }]
      : []
  )

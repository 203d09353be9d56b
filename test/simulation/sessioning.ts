/** What must and must not happen to sessions, and to the locks under them: rules over a history of one object, pure. */
import type { Event, History } from "./history.ts"
import { processOf } from "./history.ts"
import { longestStagger, roundTrip, uncertainty } from "./liveness.ts"
import type { Rule } from "./safety.ts"
import * as timeline from "./timeline.ts"
import { sight } from "./witness.ts"

type Kept = Extract<Event, { readonly _tag: "Kept" }>

const keptIn = (history: History): ReadonlyArray<Kept> =>
  history.flatMap((event) => (event._tag === "Kept" ? [event] : []))

const ownerOf = (session: string): string => processOf(session.split(" ")[2]!)

/** The history of one of the objects. */
export const historyOf = (history: History, object: string): History => {
  const wished = new Map<string, string | undefined>()
  return history.filter((event) => {
    if (event._tag === "Wished") wished.set(event.acquisition, event.on)
    if (event._tag === "Written") return event.on === object
    return !("acquisition" in event) || wished.get(event.acquisition) === object
  })
}

/** A session that has ended never lives again. */
export const renewed: Rule = ({ history }) => {
  const ended = new Set<string>()
  return keptIn(history).flatMap(({ at, ended: gone, process, session }) => {
    if (gone !== undefined) ended.add(gone)
    return session !== undefined && ended.has(session)
      ? [{ rule: "renewed", at, what: `${process} renews ${session}, which had ended` }]
      : []
  })
}

/** Nobody ends the session of another before it has expired. */
export const fencedEarly: Rule = ({ history }) => {
  const untils = new Map<string, number>()
  return keptIn(history).flatMap(({ at, ended, process, session, until }) => {
    const lived = ended === undefined || ownerOf(ended) === process ? -Infinity : (untils.get(ended) ?? -Infinity)
    if (session !== undefined) untils.set(session, until)
    return at <= lived
      ? [{ rule: "fencedEarly", at, what: `${process} ends ${ended}, which lives until ${lived}` }]
      : []
  })
}

/** A lock that is lost with its session is told to be, once, and at once if nothing stands in the way. */
export const toldOfLoss: Rule = (line) =>
  line.wishes.flatMap((wish) => {
    const { acquisition, holder, leaves } = wish
    const told = line.history.filter((event) => event._tag === "Lost" && event.acquisition === acquisition)
    const violation = (at: number, what: string) => [{ rule: "toldOfLoss", at, what: `${acquisition} ${what}` }]
    if (told.length > 1) return violation(told[1]!.at, "is told twice that it is lost")
    const last = line.validity.findLast((valid) => valid.acquisition === acquisition)
    if (last === undefined || told.length > 0) return []
    const due = last.to + sight + roundTrip(line.plan) + 50 / holder.rate
    return due < Math.min(leaves, line.end) && timeline.inPeace(line, holder, { from: last.to, to: due })
      ? violation(due, "is not valid any more, and nobody is told")
      : []
  })

/**
 * The lock of a process that died under its session is taken once the session has expired by whoever waits for it, where that process is left
 * in peace and has not got the lock itself. To that come the uncertainty of the server's clock, one poll, and some requests: a look at the session, a
 * fence, and a write.
 */
export const inherited: Rule = (line) => {
  const { crashes, history, locks, plan, wishes } = line
  return locks.flatMap(({ from, lock: { owner, session }, to }) => {
    const crash = owner === undefined ? undefined : crashes.get(processOf(owner))
    if (session === undefined || crash === undefined) return []
    const expires = Math.max(
      ...keptIn(history).flatMap((kept) => (kept.session === session ? [kept.until] : [])),
      crash
    )
    return wishes.flatMap((wish) => {
      const { acquisition, holder } = wish
      const since = Math.max(expires, wish.from, from)
      const due =
        since + uncertainty(plan) + (1000 + longestStagger + holder.interval) / holder.rate + 8 * roundTrip(plan)
      return wish.to > due &&
        to > due &&
        due < line.end &&
        timeline.inPeace(line, holder, { from: Math.max(crash, wish.from), to: due }) &&
        !timeline.isBusy(line, holder, { from: since, to: due })
        ? [
            {
              rule: "inherited",
              at: due,
              what: `${acquisition} does not take the lock that ${owner} left under ${session}`
            }
          ]
        : []
    })
  })
}

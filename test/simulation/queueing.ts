/** The queue: whose turn it is, and that nobody waits for nothing. Rules over a history, pure. */
import { type Event, namesIn, processOf, type Written } from "./history.ts"
import { roundTrip } from "./liveness.ts"
import { isMixed, type Plan } from "./plan.ts"
import type { Rule } from "./safety.ts"
import * as timeline from "./timeline.ts"

// Where nothing goes wrong, but that a lock expires whose holder does not renew it.
const isQuiet = ({ dexes, theme, vandal }: Plan): boolean =>
  theme === "calm" && dexes.length === 0 && vandal === undefined

/** To whom a write gives the lock of another's process, or a lock that was free. */
const heirOf = ({ after, before, process }: Written): string | undefined => {
  const heir = after.lock?.owner
  return heir !== undefined && heir !== before?.lock?.owner && processOf(heir) !== process ? heir : undefined
}

/** Whether the lock that a write found had expired. */
const hadExpired = ({ at, before }: Written): boolean => before?.lock !== undefined && at > before.lock.until

/**
 * Whether a write breaks a lock that has expired: its writer takes it. A holder that comes back before anybody has, and hands its own
 * expired lock over, breaks nothing: the queue stays.
 */
const isBreak = (event: Written): boolean =>
  hadExpired(event) &&
  event.after.lock !== undefined &&
  event.after.lock.owner !== event.before?.lock?.owner &&
  heirOf(event) === undefined

/**
 * Where nothing goes wrong, and all have the same key, the lock is handed to those who wait in the order in which they came into
 * the line. A process that breaks an expired lock empties the line: the waiters come anew. (The order of those who come into the line by the same
 * hand-over is another rule's: `arrivals`.)
 */
export const order: Rule = (line) => {
  if (!isQuiet(line.plan) || isMixed(line.plan)) return []
  const ends = new Map(line.wishes.map(({ acquisition, to }) => [acquisition, to]))
  const arrived = new Map<string, number>()
  let handOvers = 0
  return line.history.flatMap((event) => {
    if (event._tag !== "Written") return []
    const { after, at } = event
    const names = namesIn(after)
    if (isBreak(event)) for (const name of arrived.keys()) if (!names.includes(name)) arrived.delete(name)
    for (const name of after.queue.line) if (!arrived.has(name)) arrived.set(name, handOvers)
    const heir = heirOf(event)
    const owner = after.lock?.owner
    const turn = arrived.get(heir ?? "")
    if (owner !== undefined) arrived.delete(owner)
    if (heir !== undefined) handOvers++
    return turn === undefined
      ? []
      : [...arrived].flatMap(([name, batch]) =>
          batch < turn && (ends.get(name) ?? Infinity) > at && processOf(name) !== processOf(heir ?? "")
            ? [{ rule: "order", at, what: `${heir} gets the lock before ${name}, who has waited longer` }]
            : []
        )
  })
}

/**
 * Where nothing goes wrong, and all have the same key, those who arrived come into the line in the order of their arrival: at
 * least who wanted the lock only after another's arrival stood on the object comes after it.
 */
export const arrivals: Rule = ({ history, plan, wishes }) => {
  if (!isQuiet(plan) || isMixed(plan)) return []
  const wished = new Map(wishes.map(({ acquisition, from }) => [acquisition, from]))
  const stands = new Map<string, number>()
  return history.flatMap((event) => {
    if (event._tag !== "Written") return []
    const { after, at, before } = event
    const arrived = new Set(before?.queue.arrivals)
    for (const name of after.queue.arrivals) if (!arrived.has(name)) stands.set(name, at)
    const heir = heirOf(event)
    const turns = heir === undefined ? [] : [heir, ...after.queue.line].filter((name) => arrived.has(name))
    return turns.flatMap((later, turn) =>
      turns
        .slice(0, turn)
        .filter((sooner) => (wished.get(sooner) ?? 0) > stands.get(later)!)
        .map((sooner) => ({
          rule: "arrivals",
          at,
          what: `${sooner} comes into the line before ${later}, who was there`
        }))
    )
  })
}

/**
 * Where nothing goes wrong no key starves another: the lock is not handed over twice in a row to waiters with one key while a waiter with
 * the other key is in the line.
 */
export const turns: Rule = (line) => {
  if (!isQuiet(line.plan) || !isMixed(line.plan)) return []
  const ends = new Map(line.wishes.map(({ acquisition, to }) => [acquisition, to]))
  const hasNeutralKey = (name: string) => timeline.holderOf(line.plan, processOf(name))?.hasNeutralKey
  let last: Written | undefined
  return line.history.flatMap((event) => {
    if (event._tag !== "Written" || timeline.isSameLock(event.before?.lock, event.after.lock)) return []
    const before = last === undefined ? undefined : heirOf(last)
    const heir = heirOf(event)
    const passed =
      before === undefined ||
      heir === undefined ||
      processOf(before) !== event.process ||
      hasNeutralKey(before) !== hasNeutralKey(heir)
        ? []
        : last!.after.queue.line.filter(
            (name) => hasNeutralKey(name) !== hasNeutralKey(heir) && (ends.get(name) ?? Infinity) > event.at
          )
    last = event
    return passed.map((name) => ({
      rule: "turns",
      at: event.at,
      what: `${heir} gets the lock, as ${before} did before, and ${name} with another key waits`
    }))
  })
}

/**
 * Nobody's place in the queue is taken away by another, but with the lock, and by whoever breaks an expired lock. A vandal's names can
 * crowd others out.
 */
export const kept: Rule = ({ history, plan }) =>
  plan.vandal !== undefined
    ? []
    : history.flatMap((event) => {
        const { at, process } = event
        if (event._tag !== "Written" || event.before === undefined) return []
        const holder = timeline.holderOf(plan, process)
        if (holder === undefined || isBreak({ ...event, at: at + holder.serverAhead })) return []
        const { after, before } = event
        const names = namesIn(after)
        return namesIn(before)
          .filter((name) => !names.includes(name) && name !== after.lock?.owner && processOf(name) !== process)
          .map((name) => ({ rule: "kept", at, what: `${process} takes ${name} out of the queue` }))
      })

/**
 * Those who died before an expired lock was broken are not handed the lock any more: however many died together, they cost one lease.
 * Where messages take long, or a vandal puts the dead into the line, that is not so.
 */
export const crowd: Rule = ({ crashes, history, plan }) => {
  if (plan.vandal !== undefined || plan.weather.length > 0) return []
  let broken = 0
  return history.flatMap((event) => {
    if (event._tag !== "Written") return []
    if (isBreak(event)) broken = event.at
    const heir = heirOf(event)
    const died = heir === undefined ? undefined : crashes.get(processOf(heir))
    return died !== undefined && died + roundTrip(plan) < broken
      ? [{ rule: "crowd", at: event.at, what: `${heir} is handed the lock, and was dead when a lock was broken` }]
      : []
  })
}

/**
 * Where nothing goes wrong who is handed the lock is told, and has it before long, if it still wants it. (Who does not renew,
 * or does not know the time well, has to write its lease first, which others may make it do twice.)
 */
export const woken: Rule = ({ history, plan, wishes }) =>
  !isQuiet(plan)
    ? []
    : history.flatMap((event) => {
        const heir = event._tag === "Written" ? heirOf(event) : undefined
        const wish = wishes.find(({ acquisition }) => acquisition === heir)
        return wish?.holder.renews === true &&
          plan.dating.length === 0 &&
          wish.to > event.at + 2 * roundTrip(plan) + longestSpread
          ? [{ rule: "woken", at: event.at, what: `${heir} is handed the lock, and does not hear of it` }]
          : []
      })

// For how long who may stand in the queue stays away from it, in milliseconds.
const longestSpread = 100

/** Where nothing goes wrong a lock that was handed over is not left to expire by who renews it. */
export const claims: Rule = ({ history, plan }) => {
  if (!isQuiet(plan)) return []
  let claim: Written | undefined
  return history.flatMap((event) => {
    if (event._tag !== "Written" || timeline.isSameLock(event.before?.lock, event.after.lock)) return []
    const heir = claim === undefined ? undefined : heirOf(claim)
    claim = heirOf(event) === undefined ? undefined : event
    return heir !== undefined && timeline.holderOf(plan, processOf(heir))?.renews === true && hadExpired(event)
      ? [{ rule: "claims", at: event.at, what: `${heir} was handed the lock and left it to expire` }]
      : []
  })
}

/** The label names the process that the lock was handed to: nobody else is woken. */
export const label: Rule = ({ history }) =>
  history.flatMap((event: Event) => {
    if (event._tag !== "Written") return []
    const heir = heirOf(event)
    return heir === undefined || event.after.queue.next === processOf(heir)
      ? []
      : [
          {
            rule: "label",
            at: event.at,
            what: `the lock is handed to ${heir}, and the label says ${event.after.queue.next}`
          }
        ]
  })

/**
 * A lock that its holder has put no name to is Dex's, and the object is not written to while it is held. Leaving a queue
 * that a vandal has forged is excused.
 */
export const handsOff: Rule = ({ history, plan }) =>
  plan.vandal !== undefined
    ? []
    : history.flatMap((event) => {
        const holder = timeline.holderOf(plan, event.process)
        return event._tag === "Written" &&
          holder !== undefined &&
          event.before?.lock !== undefined &&
          event.before.lock.owner === undefined &&
          event.at + holder.serverAhead <= event.before.lock.until
          ? [{ rule: "handsOff", at: event.at, what: `${event.process} writes to an object that Dex has locked` }]
          : []
      })

/** What holds in an election besides the rules of locks: beside client-go, and on the Lease. Rules over a history, pure. */
import * as ClockReading from "../../src/internal/time/clockReading.ts"
import { processOf, type Written } from "./history.ts"
import { slack } from "./liveness.ts"
import type { ElectionPlan, GoPlan, Plan } from "./plan.ts"
import { type Rule, robbedAt, type Violation } from "./safety.ts"
import * as timeline from "./timeline.ts"
import { sight } from "./witness.ts"

const goOf = ({ election }: Plan, process: string): GoPlan | undefined =>
  election?.goes.find(({ name }) => name === process)

const isGo = (plan: Plan, owner: string | undefined): boolean =>
  owner !== undefined && goOf(plan, processOf(owner)) !== undefined

/**
 * How long a client-go leads after the write that was its last renewal, on its own clock, at most: its answer takes a request timeout,
 * the next renewal comes a retry period later and is tried for a renew deadline. A release has a renew deadline of its own, and
 * the application leads on meanwhile. Suspensions come on top.
 */
export const goLeadsFor = (
  { renewDeadline, retryPeriod }: ElectionPlan,
  { releases, requestTimeout }: Pick<GoPlan, "releases" | "requestTimeout">
): number => requestTimeout + retryPeriod + renewDeadline + (releases ? renewDeadline : 0)

/** The stretches in which a client-go leads, by its own belief. */
const leadingOf = ({ crashes, end, history, plan }: timeline.Timeline) =>
  history.flatMap((event, index) => {
    const go = goOf(plan, event.process)
    if (go === undefined || event._tag !== "WishEnded" || event.end._tag !== "Granted") return []
    const { acquisition, at } = event
    const ended = history.slice(index).find((one) => one._tag === "Released" && one.acquisition === acquisition)
    return [{ go, acquisition, from: at, to: Math.min(ended?.at ?? end, crashes.get(go.name) ?? end) }]
  })

/**
 * A client-go and a candidate of the library lead at once only if the library's was robbed of the Lease and has not noticed, or if
 * the client-go goes on leading after its last renewal, for as long as it is known to.
 */
export const beside: Rule = (line) => {
  const { election } = line.plan
  if (election === undefined) return []
  return leadingOf(line).flatMap((leading) =>
    line.validity.flatMap((valid): ReadonlyArray<Violation> => {
      const from = Math.max(leading.from, valid.from)
      const to = Math.min(leading.to, valid.to, line.end)
      if (from >= to) return []
      const violation = (at: number, what: string) => [
        { rule: "beside", at, what: `${leading.acquisition} leads beside ${valid.acquisition} ${what}` }
      ]
      const robbed = robbedAt(line, valid)
      const has = line.locks.find(
        (one) =>
          one.lock.owner === leading.acquisition &&
          one.to > from &&
          one.from < to &&
          Math.max(one.from, from) + sight < Math.min(to, robbed)
      )
      if (has !== undefined) return violation(Math.max(has.from, from), "and has the Lease")
      if (robbed <= from) return []
      const renewed = Math.max(
        0,
        ...line.history.flatMap((event) =>
          event._tag === "Written" &&
          event.process === leading.go.name &&
          event.at <= to &&
          event.after.lock?.owner === leading.acquisition
            ? [event.at]
            : []
        )
      )
      const halts = timeline.haltedFor(line, leading.go.name, { from: renewed, to })
      const lasts = Math.min(to, robbed) - renewed - halts
      return lasts > goLeadsFor(election, leading.go) / leading.go.rate + 10
        ? violation(to, `for longer than it may, ${Math.round(lasts)} ms after its last renewal`)
        : []
    })
  )
}

const isOurs = ({ process }: Written, plan: Plan) => timeline.holderOf(plan, process) !== undefined

/**
 * A Lease that client-go holds is written to only once it was seen unchanged for its duration, and no candidate of client-go is made
 * the leader by a candidate of the library.
 */
export const handsOffGo: Rule = ({ history, plan }) =>
  history.flatMap((event) => {
    if (event._tag !== "Written" || !isOurs(event, plan)) return []
    const { after, at, before, process } = event
    if (isGo(plan, before?.lock?.owner) && at < before!.lock!.unseen!) {
      return [{ rule: "handsOffGo", at, what: `${process} writes to the Lease that ${before!.lock!.owner} holds` }]
    }
    return isGo(plan, after.lock?.owner)
      ? [{ rule: "handsOffGo", at, what: `${process} makes ${after.lock!.owner} the leader` }]
      : []
  })

/** A term begins a transition and a time of its own, a renewal keeps both, and a release is written as client-go writes it. */
export const record: Rule = ({ history, plan }) =>
  history.flatMap((event) => {
    if (event._tag !== "Written" || !isOurs(event, plan)) return []
    const { after, at, before, process } = event
    const [is, was] = [after.record!, before?.record]
    const wrong = (what: string) => [{ rule: "record", at, what: `${process} ${what}` }]
    if (after.lock === undefined) {
      return before?.lock !== undefined &&
        (is.leaseDurationSeconds !== 1 || is.leaseTransitions !== was?.leaseTransitions)
        ? wrong("releases the Lease otherwise than client-go")
        : []
    }
    if (after.lock.owner === before?.lock?.owner) {
      return is.leaseTransitions === was?.leaseTransitions && is.acquireTime === was?.acquireTime
        ? []
        : wrong("begins a term anew")
    }
    const transitions = was === undefined ? 0 : (was.leaseTransitions ?? 0) + 1
    return is.leaseTransitions === transitions && is.acquireTime === is.renewTime
      ? []
      : wrong(`counts ${is.leaseTransitions} transitions, and it is ${transitions}`)
  })

/**
 * A leader that does not lead any more, and did not give that up, is told: at once, and after a sleep or a leap of its clock by the renew deadline.
 * A renewal may bring its term back before.
 */
export const losses: Rule = (line) =>
  line.validity.flatMap(({ acquisition, to }) => {
    const holder = line.wishes.find((wish) => wish.acquisition === acquisition)?.holder
    if (to === Infinity || holder === undefined || (line.crashes.get(holder.name) ?? Infinity) <= to) return []
    const mine = line.history.filter((event) => "acquisition" in event && event.acquisition === acquisition)
    const halted = timeline.haltedFor(line, holder.name, { from: to - line.plan.election!.leaseDuration, to: line.end })
    const isLate = halted > 0 || holder.blows.some(({ _tag }) => _tag === "SetWall")
    const next = isLate ? line.plan.election!.renewDeadline / holder.rate : 0
    const due = to + halted + next + 10
    const isTold = mine.some(
      ({ _tag, at }) => at <= due && (_tag === "Lost" || _tag === "Releasing" || (_tag === "Valid" && at > to))
    )
    return isTold || due > line.end
      ? []
      : [{ rule: "losses", at: due, what: `${acquisition} does not lead any more, and is not told` }]
  })

/**
 * A Lease that nobody holds is taken by a candidate of the library that waits for it in peace, at once; one that a client-go let go
 * without a word, when it was seen unchanged for its duration, 0.5 % later.
 */
export const vacant: Rule = (line) => {
  const { election, holders } = line.plan
  if (election === undefined) return []
  const turns = 2 * holders.length * 100
  return line.vacancies.flatMap(({ from: free, lock, to }) =>
    line.wishes.flatMap((wish) => {
      const { acquisition, holder } = wish
      const begins = wish.from + (election.stepsDown > 0 ? (2.2 * election.retryPeriod) / holder.rate : 0)
      if (wish.to <= free || begins > free) return []
      const lasts = isGo(line.plan, lock?.owner) ? lock!.unseen! - standsSince(line, free) : 0
      const looks = Math.max(free - lasts, begins)
      const due =
        looks +
        lasts * (1 + 2.2 * ClockReading.maxDrift) +
        slack(line.plan) +
        (turns + election.retryPeriod) / holder.rate
      return wish.to > due &&
        due <= line.end &&
        to > due &&
        timeline.inPeace(line, holder, { from: looks, to: due }) &&
        !timeline.isBusy(line, holder, { from: looks, to: due })
        ? [
            {
              rule: "vacant",
              at: due,
              what: `${acquisition} does not take the Lease, ${lock === undefined ? "long free" : `which ${lock.owner} left`}`
            }
          ]
        : []
    })
  )
}

const standsSince = ({ locks }: timeline.Timeline, free: number): number =>
  locks.findLast(({ from }) => from <= free)?.from ?? free

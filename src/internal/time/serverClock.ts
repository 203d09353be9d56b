/**
 * An estimate of the API server's clock, from the `Date` headers of its responses. Pure.
 *
 * A response that was requested at `sent` and arrived at `received` says one thing: at some moment in between, the
 * server's clock showed a time within the whole second of its header. Each response narrows the estimate. The time
 * since the last response widens it, by the drift that two clocks may have.
 *
 * Several API servers behind one address can have clocks that contradict each other. The estimate then stays wider by
 * the gap between them, until no contradiction has been seen for ten minutes (our choice).
 *
 * A response whose time is more than an hour off (our choice) is not believed until a second one confirms it. One absurd
 * `Date` would otherwise make leases that end in decades, or that have ended. A second one contradicts what was believed before.
 */
import { elapsed, maxDrift, type ClockReading } from "./clockReading.ts"

/** What is known of the time on the server's clock: an interval, as in Google's TrueTime. */
export interface ServerTime {
  /** It is no earlier, in milliseconds since 1970. */
  readonly earliest: number
  /** It is no later, in milliseconds since 1970. */
  readonly latest: number
}

/** The time before anything is known. */
export const unknown: ServerTime = { earliest: Number.NEGATIVE_INFINITY, latest: Number.POSITIVE_INFINITY }

/** What the server's clock showed at a local time. */
interface Estimate {
  readonly at: ClockReading
  readonly time: ServerTime
}

/** What is known about the server's clock. */
export interface ServerClock {
  /** What is believed; `undefined` before the first response that is. */
  readonly estimate: Estimate | undefined
  /** What an absurd response said, until another one confirms it. */
  readonly unconfirmed: Estimate | undefined
  /**
   * The largest gap between contradictory responses, and the monotonic time at which the last contradiction was seen.
   */
  readonly contradiction: { readonly gap: number; readonly seenAt: number } | undefined
}

/** Nothing is known yet. */
export const initial: ServerClock = { estimate: undefined, unconfirmed: undefined, contradiction: undefined }

/** One response: when it was requested, when it arrived, and its `Date` header in milliseconds since 1970. */
export interface Sample {
  readonly sent: ClockReading
  readonly received: ClockReading
  readonly date: number
}

/** For how long a contradiction widens the estimate, in milliseconds. */
export const contradictionTtl = 600_000

/** By how much a time may be off before it needs to be confirmed, in milliseconds. */
export const absurd = 3_600_000

/**
 * How long an answer takes to come back at least, in milliseconds: some time in any case. So an answer that shows the second of an
 * expiry shows that the expiry has passed.
 */
export const shortestTrip = 0.001

/** What the server's clock shows at a local time. */
export const at = ({ contradiction, estimate }: ServerClock, now: ClockReading): ServerTime => {
  if (estimate === undefined) return unknown
  const { latest, earliest } = widen(estimate, now)
  const gap =
    contradiction !== undefined && now.monotonic - contradiction.seenAt < contradictionTtl ? contradiction.gap : 0
  return { earliest: earliest - gap, latest: latest + gap }
}

/** The estimate after one more response. */
export const learn = (self: ServerClock, sample: Sample): ServerClock => {
  const { date, received, sent } = sample
  const roundTrip = elapsed(sent, received).max * (1 + maxDrift)
  const sampled: ServerTime = { earliest: date + shortestTrip, latest: date + 1000 + roundTrip }
  const expected =
    self.estimate === undefined ? { earliest: received.wall, latest: received.wall } : widen(self.estimate, received)
  const isConfirmed = self.unconfirmed !== undefined && gapBetween(sampled, widen(self.unconfirmed, received)) === 0
  if (gapBetween(sampled, expected) > absurd && !isConfirmed) {
    return { ...self, unconfirmed: { at: received, time: sampled } }
  }
  const learnt = { ...self, unconfirmed: undefined }
  if (self.estimate === undefined) return { ...learnt, estimate: { at: received, time: sampled } }
  const earliest = Math.max(sampled.earliest, expected.earliest)
  const latest = Math.min(sampled.latest, expected.latest)
  if (earliest <= latest) return { ...learnt, estimate: { at: received, time: { earliest, latest } } }
  const gap = Math.max(sampled.latest, expected.latest) - Math.min(sampled.earliest, expected.earliest)
  return {
    ...learnt,
    estimate: { at: received, time: sampled },
    contradiction: { gap: Math.max(self.contradiction?.gap ?? 0, gap), seenAt: received.monotonic }
  }
}

// How far two intervals are apart.
const gapBetween = (a: ServerTime, b: ServerTime): number => Math.max(0, a.earliest - b.latest, b.earliest - a.latest)

const widen = (self: Estimate, now: ClockReading): ServerTime => {
  const { max, min } = elapsed(self.at, now)
  return { earliest: self.time.earliest + min * (1 - maxDrift), latest: self.time.latest + max * (1 + maxDrift) }
}

/**
 * An estimate of the API server's clock, from the `Date` headers of its responses. Pure.
 *
 * A response that was requested at `sent` and arrived at `received` says one thing: at some moment in between, the
 * server's clock showed a time within the whole second of its header. Each response narrows the estimate. The time
 * since the last response widens it, by the drift that two clocks may have.
 *
 * Several API servers behind one address can have clocks that contradict each other. The estimate then stays wider by
 * the gap between them, until no contradiction has been seen for ten minutes (our choice).
 */
import { elapsed, maxDrift, type ClockReading } from "./clockReading.ts"

/**
 * The time on the server's clock, in milliseconds since 1970: no earlier than `earliest`, no later than `latest`.
 * Google's TrueTime calls this an interval.
 */
export interface ServerTime {
  readonly earliest: number
  readonly latest: number
}

/** What is known about the server's clock. */
export interface ServerClock {
  /** The local time of the last response. */
  readonly at: ClockReading
  /** What the server's clock showed then. */
  readonly time: ServerTime
  /**
   * The largest gap between contradictory responses, and the monotonic time at which the last contradiction was seen.
   */
  readonly contradiction: { readonly gap: number; readonly seenAt: number } | undefined
}

/** One response: when it was requested, when it arrived, and its `Date` header in milliseconds since 1970. */
export interface Sample {
  readonly sent: ClockReading
  readonly received: ClockReading
  readonly date: number
}

const contradictionTtl = 600_000

/** What the server's clock shows at a local time. */
export const at = (self: ServerClock, now: ClockReading): ServerTime => {
  const { latest, earliest } = widen(self, now)
  const gap =
    self.contradiction !== undefined && now.monotonic - self.contradiction.seenAt < contradictionTtl
      ? self.contradiction.gap
      : 0
  return { earliest: earliest - gap, latest: latest + gap }
}

/** The estimate after one more response. */
export const learn = (self: ServerClock | undefined, sample: Sample): ServerClock => {
  const { date, received, sent } = sample
  const roundTrip = elapsed(sent, received).max * (1 + maxDrift)
  const sampled: ServerTime = { earliest: date, latest: date + 1000 + roundTrip }
  if (self === undefined) return { at: received, time: sampled, contradiction: undefined }
  const expected = widen(self, received)
  const earliest = Math.max(sampled.earliest, expected.earliest)
  const latest = Math.min(sampled.latest, expected.latest)
  if (earliest <= latest) return { at: received, time: { earliest, latest }, contradiction: self.contradiction }
  const gap = Math.max(sampled.latest, expected.latest) - Math.min(sampled.earliest, expected.earliest)
  return {
    at: received,
    time: sampled,
    contradiction: { gap: Math.max(self.contradiction?.gap ?? 0, gap), seenAt: received.monotonic }
  }
}

const widen = (self: ServerClock, now: ClockReading): ServerTime => {
  const { max, min } = elapsed(self.at, now)
  return { earliest: self.time.earliest + min * (1 - maxDrift), latest: self.time.latest + max * (1 + maxDrift) }
}

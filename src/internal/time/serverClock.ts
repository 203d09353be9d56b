/**
 * The API server's clock, learnt from the `Date` headers of its answers: pure.
 *
 * An answer that was sent for at `sent` and came at `received` says: at some moment between the two the server's clock
 * showed a time within the whole second of the header. Each answer narrows what the clock can be now, and the time
 * since the last one widens it by the drift that clocks may have.
 *
 * Several API servers behind one address may have clocks that contradict each other. The gap between them then stays a
 * part of the uncertainty for as long as contradictions were seen in the last ten minutes.
 */
import type { ServerTime } from "../../ObjectStore.ts"
import { elapsed, maxDrift, type ClockReading } from "./clockReading.ts"

/** What is known of the server's clock: what it showed at a local moment, and how far servers contradict each other. */
export interface ServerClock {
  readonly at: ClockReading
  readonly time: ServerTime
  readonly contradiction: { readonly gap: number; readonly seen: number } | undefined
}

/** An answer: when it was asked for and when it came, and its `Date` header in milliseconds since 1970. */
export interface Sample {
  readonly sent: ClockReading
  readonly received: ClockReading
  readonly date: number
}

const contradictionLasts = 600_000

/** What the server's clock shows at a local moment. */
export const at = (self: ServerClock, now: ClockReading): ServerTime => {
  const { latest, earliest } = widened(self, now)
  const gap =
    self.contradiction !== undefined && now.monotonic - self.contradiction.seen < contradictionLasts
      ? self.contradiction.gap
      : 0
  return { earliest: earliest - gap, latest: latest + gap }
}

/** Learns from an answer. */
export const learn = (self: ServerClock | undefined, sample: Sample): ServerClock => {
  const { date, received, sent } = sample
  const roundTrip = elapsed(sent, received).most * (1 + maxDrift)
  const fresh: ServerTime = { earliest: date, latest: date + 1000 + roundTrip }
  if (self === undefined) return { at: received, time: fresh, contradiction: undefined }
  const known = widened(self, received)
  const earliest = Math.max(fresh.earliest, known.earliest)
  const latest = Math.min(fresh.latest, known.latest)
  if (earliest <= latest) return { at: received, time: { earliest, latest }, contradiction: self.contradiction }
  const hull = Math.max(fresh.latest, known.latest) - Math.min(fresh.earliest, known.earliest)
  return {
    at: received,
    time: fresh,
    contradiction: { gap: Math.max(self.contradiction?.gap ?? 0, hull), seen: received.monotonic }
  }
}

const widened = (self: ServerClock, now: ClockReading): ServerTime => {
  const { least, most } = elapsed(self.at, now)
  return { earliest: self.time.earliest + least * (1 - maxDrift), latest: self.time.latest + most * (1 + maxDrift) }
}

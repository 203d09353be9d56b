/**
 * How long a process may keep a lock among its own contenders before it leaves a gap for others: pure.
 *
 * Contenders in other processes, Dex among them, look every 100 milliseconds. A process that passes a lock on within
 * itself, or takes it again right after it released it, would never let them see it free. So a tenure ends, and a gap
 * that is longer than their poll follows it. It lasts a second at first, and where nobody came in the gap the next one may
 * be longer, up to two seconds; where somebody did, or was there already, it is short.
 */
import { between, type Moment } from "./stopwatch.ts"

/**
 * What a process remembers of a lock that it released: the version of the object in which it was free (until that is
 * known to have changed), since when it had the lock to itself, when it released it last, and how long (milliseconds) the
 * tenure may be.
 */
export interface Tenure {
  readonly resourceVersion: string | undefined
  readonly since: Moment
  readonly last: Moment
  readonly length: number
}

/** The pause that lets others see the lock free, in milliseconds: longer than Dex's poll. */
export const gap = 150

const shortest = 100
const usual = 1000
const longest = 2000

/** The pause to make before trying again, in milliseconds. */
export const pauseBefore = (self: Tenure | undefined, now: Moment): number =>
  self === undefined || between(self.since, now).most < self.length
    ? 0
    : Math.max(0, gap - between(self.last, now).most)

/** Whether the lock may be passed on within the process. */
export const mayGoOn = ({ length, since }: Pick<Tenure, "length" | "since">, now: Moment): boolean =>
  between(since, now).most < length

/**
 * The tenure that begins or goes on with an acquisition. `contended` says that others were met: the lock had to be waited
 * for, or somebody wrote to the object since it was released.
 */
export const next = (before: Tenure | undefined, now: Moment, contended: boolean): Pick<Tenure, "length" | "since"> => {
  if (contended) return { since: now, length: shortest }
  if (before === undefined) return { since: now, length: usual }
  const rested = between(before.last, now).most >= gap
  return rested ? { since: now, length: Math.min(longest, before.length * 2) } : before
}

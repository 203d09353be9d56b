/**
 * How long a process may keep a lock among its own contenders: pure.
 *
 * A process that passes a lock on within itself makes no request, and so it does not hear of those who wait elsewhere. So
 * a tenure ends with a release, whose answer tells of them. It lasts a second at first, and where nobody came the next one
 * may be longer, up to two seconds; where somebody did, or was there already, it is short.
 *
 * Dex does not queue, and looks every 100 milliseconds. Beside it a tenure is followed by a gap that is longer than that.
 */
/**
 * What a process remembers of a lock that it released: the version of the object in which it was free (until that is
 * known to have changed), since when it had the lock to itself and when it released it last (milliseconds on the monotonic
 * clock), and how long (milliseconds) the tenure may be. There is one for each id, so that it is kept small.
 */
export interface Tenure {
  readonly resourceVersion: string | undefined
  readonly since: number
  readonly last: number
  readonly length: number
}

/**
 * How long a lock is left free beside Dex after a tenure, in milliseconds: longer than its poll, and long enough for several
 * to see it.
 */
export const gap = 300

/** How long a lock that others of ours wait for is left free to see whether a Dex comes: longer than its poll. */
export const glance = 130

/** How long it is left to Dex where one came: there may be more of them. */
export const visit = 500

const shortest = 200
const usual = 1000
const longest = 2000

/** The pause to make before trying again, in milliseconds. */
export const pauseBefore = (self: Tenure | undefined, now: number): number =>
  self === undefined || now - self.since < self.length ? 0 : Math.max(0, gap - (now - self.last))

/** Whether the lock may be passed on within the process. */
export const mayGoOn = ({ length, since }: Pick<Tenure, "length" | "since">, now: number): boolean =>
  now - since < length

/**
 * The tenure that begins or goes on with an acquisition. `contended` says that others were met: the lock had to be waited
 * for, or somebody wrote to the object since it was released.
 */
export const next = (
  before: Tenure | undefined,
  now: number,
  { besideDex, contended }: { readonly besideDex: boolean; readonly contended: boolean }
): Pick<Tenure, "length" | "since"> => {
  if (contended) return { since: now, length: shortest }
  if (before === undefined) return { since: now, length: usual }
  const isOver = besideDex ? now - before.last >= gap : !mayGoOn(before, now)
  return isOver ? { since: now, length: Math.min(longest, before.length * 2) } : before
}

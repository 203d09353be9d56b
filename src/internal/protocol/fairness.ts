/**
 * How long a process may keep a lock among its own contenders. Pure.
 *
 * A process that hands a lock on within itself makes no request, so it does not hear of waiters elsewhere. Its budget ends with
 * a release, whose answer shows it. A first budget is one second. If no other process came, the next one is twice as long, up to two
 * seconds. If one came, or was already there, it is short, and shorter beside Dex.
 *
 * Dex does not queue; it polls every 100 ms. If Dex shares the object, each budget is followed by a gap that is longer than its
 * poll. A process that has met a Dex lately leaves such a gap after each release, and takes no place in the queue meanwhile: so each
 * process has one turn, and then Dex has some.
 */

/** A budget: since when it runs (milliseconds on the monotonic clock), and for how long (milliseconds). */
export interface Budget {
  readonly since: number
  readonly length: number
}

/** What a process remembers of its last budget for a lock: also when it released the lock last. */
export interface SpentBudget extends Budget {
  readonly releasedAt: number
}

/** How long a lock is left free for Dex after a budget, in milliseconds: longer than its poll. Our choice. */
export const dexGap = 300

/** How long a process that met a Dex reckons with another one, in milliseconds: Dex's TTL. Our choice. */
export const dexMemory = 10_000

/** The lengths of budgets, in milliseconds. Our choice. */
export const budgetLength = { contended: 200, contendedBesideDex: 100, first: 1000, atMost: 2000 }

/** Whether a Dex may wait for the lock, since the process met one at that time (milliseconds on the monotonic clock). */
export const mayDexWait = (metDexAt: number | undefined, now: number): boolean =>
  metDexAt !== undefined && now - metDexAt < dexMemory

/** The pause that Dex is due before the process tries again, in milliseconds. */
export const pauseForDex = (spent: SpentBudget | undefined, now: number): number =>
  spent === undefined || hasBudget(spent, now) ? 0 : Math.max(0, dexGap - (now - spent.releasedAt))

/** What a process remembers that left the lock free for Dex, although others wait: it must not be the one that takes it. */
export const leftFree = ({ length }: Budget, now: number): SpentBudget => ({
  since: Number.NEGATIVE_INFINITY,
  length,
  releasedAt: now
})

/** Whether the lock may be handed on within the process. */
export const hasBudget = ({ length, since }: Budget, now: number): boolean => now - since < length

/**
 * The budget of an acquisition: a new one, or the rest of the last. `contended` says that others were met: the lock had to be
 * waited for, or the object was written to since it was released.
 */
export const nextBudget = (
  spent: SpentBudget | undefined,
  now: number,
  { contended, sharedWithDex }: { readonly contended: boolean; readonly sharedWithDex: boolean }
): Budget => {
  if (contended) return { since: now, length: sharedWithDex ? budgetLength.contendedBesideDex : budgetLength.contended }
  if (spent === undefined) return { since: now, length: budgetLength.first }
  const isOver = sharedWithDex ? now - spent.releasedAt >= dexGap : !hasBudget(spent, now)
  return isOver ? { since: now, length: Math.min(budgetLength.atMost, spent.length * 2) } : spent
}

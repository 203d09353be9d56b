/** The numbers of a chaos run, times in milliseconds, and the bounds that follow from them. */

export const ttl = 3000
export const pollInterval = 100
export const requestTimeout = 1000

/** The pause before each write of a stay under the lock, from least to most. */
export const pause = [20, 150] as const

/** How many writes a stay has: most are short; long ones need renewals, and outlast a fault. */
export const shortStay = [1, 5] as const
export const longStay = [20, 80] as const
export const longStays = 0.3

/**
 * How long nobody may have the lock after its holder crashed: the TTL, one second of rounding, what holder and
 * contender may be unsure of the server's clock by (its `Date` has whole seconds: one second each), one poll, and
 * a second for the machine.
 */
export const takeOver = ttl + 1000 + 2 * 1000 + pollInterval + 1000

/** How long a kube-apiserver that is about to serve custom resources tells its clients to stay away (503). */
export const retryAfter = 10_000

/**
 * How long it may take, once all is well, until every holder has had the lock: they may have been told to stay away, or
 * the lease of one that crashed may have to run out. Then each waits for those before it, which stop as soon as they
 * have had it.
 */
export const recovery = Math.max(retryAfter, takeOver) + 4000

/** How long a holder may take to release and exit: less than what a process is given before it is killed. */
export const stopping = 5000

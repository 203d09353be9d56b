/** The numbers of a chaos run and the bounds that follow from them. Times are in milliseconds. */
import * as Duration from "effect/Duration"
import { patience as releasePatience } from "../../src/internal/engine/release.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"

/** What processes acquire and hold: a lock, the leadership of a Lease, permits of a semaphore, a shared lock, or two locks under a session. */
export const heldKinds = ["lock", "election", "semaphore", "shared", "session"] as const
export type HeldKind = (typeof heldKinds)[number]

/**
 * What processes contend for at once: these, and the runs of `Once`. The shards of an Effect cluster have runs of their own: with this TTL
 * a runner waits for an answer no longer than a third of a second, and beside the other kinds the servers of a busy machine take longer.
 */
export const kindsAtOnce = [...heldKinds, "once"] as const
export type KindAtOnce = (typeof kindsAtOnce)[number]

/** All that processes contend for. */
export const kinds = [...kindsAtOnce, "shards"] as const
export type Kind = (typeof kinds)[number]

/** Whether the session of the process in this place is renewed by a thread of its own: that of every second one. */
export const hasThread = (kind: Kind, place: number): boolean => kind === "session" && place % 2 === 1

/** How many permits there are in all. A reader of a shared lock has one, a writer has all. So has the runner of a shard. */
export const limits: Readonly<Record<Kind, number>> = {
  lock: 1,
  election: 1,
  semaphore: 2,
  shared: 1000,
  session: 1,
  once: 1,
  shards: 1
}

/** The shards of the cluster: so few that each is wanted all the time. */
export const shards = 4
export const shardGroup = "default"

/** The pause before each try to acquire those that it has not. */
export const shardPolls = [200, 600] as const

/** For how long a runner leaves a shard alone that it has released, so that others get it. */
export const shardRest = [300, 1500] as const

/** How often a run of `Once` is due: in whole seconds. */
export const runPeriod = 2000

/** The share of acquisitions that take all permits: of writers, in a shared lock. */
export const takesAll = 0.3

export const ttl = 3000
export const pollInterval = 100
export const requestTimeout = 1000

/** How long a leader that cannot renew goes on. */
export const renewDeadlineOf = (ttl: number): number => (ttl * 5) / 6

/** The shortest and the longest pause before each write of a stay. */
export const pause = [20, 150] as const

/** The number of writes of a stay. Most stays are short. Long ones need renewals, and outlast a fault. */
export const shortStay = [1, 5] as const
export const longStay = [20, 80] as const
export const longStays = 0.3

/** The share of long stays if so many contend: each of them waits for all others. */
export const longStaysAmong = (holders: number): number => (longStays * 4) / Math.max(4, holders)

/** How long a holder waits for the lock before it begins anew. */
export const patience = 40_000

/**
 * The longest time without a holder after the holder crashed. It is the sum of the TTL, one second of rounding, the
 * error of the server's clock as holder and contender know it (`Date` has whole seconds: one second each), one poll,
 * and one second for the machine.
 */
export const takeOverOf = (ttl: number): number => ttl + 1000 + 2 * 1000 + pollInterval + 1000

/** The same with the TTL of the chaos. */
export const takeOver = takeOverOf(ttl)

/** How long the event loop of a holder is blocked that has a thread for its session. */
export const stall = takeOver + 1000

/** The `Retry-After` of a kube-apiserver that does not serve custom resources yet (503). */
export const retryAfter = 10_000

/**
 * The longest time until every one of so many holders has had the lock, after the last fault has ended and the servers answer in time. Holders may have been
 * asked to come back later, or the lease of a crashed one must run out. Then each waits for those before it, whose stays are short.
 */
export const recoveryOf = (holders: number): number => Math.max(retryAfter, takeOver) + 1000 * holders

/**
 * The longest time without a write to the witness once a fault of the servers has ended. The lease of a holder that could not
 * renew must run out, and the lock may have been handed to one that is slow to learn it (the hand-over lease).
 */
export const resumptionOf = (ttl: number): number => takeOverOf(ttl) + 3000

/** The same with the TTL of the chaos. */
export const resumption = resumptionOf(ttl)

/**
 * The longest time until each of so many contenders with this TTL has had the lock, if they go on after they have had it: a lease
 * must run out, and then each waits for the stays of all others.
 */
export const turnOf = (contenders: number, ttl: number): number => takeOverOf(ttl) + contenders * longStay[1] * pause[1]

/** The longest time after the last fault until the servers answer within the request timeout. Beyond it the machine is too slow for a run. */
export const settling = 120_000

/**
 * The longest time without a rotation once all is well: the lease of a process that is gone runs out, with a second of rounding, and is left
 * alone for the grace. And four seconds for the clocks and the machine.
 */
export const rotation =
  Duration.toMillis(RefreshOnce.defaultPolicy.ttl) + Duration.toMillis(RefreshOnce.defaultTakeoverGrace) + 5000

/** How long a rotating token lives. */
export const tokenLifetime = 200

/**
 * The longest time in which a holder of these releases all and exits: a request without an answer, the release retries, and one second for
 * the machine. Two locks under a session are released one after the other, and the session ends after them. The grace period before
 * Kubernetes kills a process is 30 s.
 */
export const stoppingOf = (kinds: ReadonlyArray<Kind>): number =>
  requestTimeout + (kinds.includes("session") ? 3 : 1) * Duration.toMillis(releasePatience) + 1000

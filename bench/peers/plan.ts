/** What a run measures, and in which order. */
import { elsewhere, isSlow, type Kind, kinds, type Server, syncsEverySecond, unable } from "../contest/kind.ts"

/** What the flags say. Without `servers`, all installed servers are used. */
export interface Settings {
  readonly seconds: number
  readonly rounds: number
  readonly contenders: ReadonlyArray<number>
  readonly mixedSeconds: number
  readonly servers: ReadonlyArray<Server> | undefined
  /** The folder of an earlier build that contends as well. */
  readonly against: string | undefined
  /** Whether holders are suspended and killed, and many locks change hands at once. */
  readonly hasFailures: boolean
}

/** The settings of a run without flags: more than an hour on both servers. */
export const defaults: Settings = {
  seconds: 5,
  rounds: 2,
  contenders: [1, 2, 4, 8, 16, 32, 64],
  mixedSeconds: 60,
  servers: undefined,
  against: undefined,
  hasFailures: true
}

/** The settings of a run that only shows that everything works. */
export const quick: Settings = {
  seconds: 0.5,
  rounds: 1,
  contenders: [1, 4],
  mixedSeconds: 2,
  servers: ["kube-apiserver"],
  against: undefined,
  hasFailures: false
}

/** How long one process of each kind contends before the first round, so that the server is warm. */
export const warmUpSeconds = 3

/** The longest useful round if only bytes are counted. */
export const countingSeconds = 3

/**
 * How long the round lasts in which processes wait for a lock that does not change: longer than its lease, and shorter
 * than the time after which they give up.
 */
export const waitingSeconds = 18

/** How much of the beginning of that round does not count: until all processes wait. */
export const settleSeconds = 2

/** The hold of the row that has one, and its contenders. */
export const hold = { millis: 20, contenders: 8 }

/** How many processes wait for a lock that does not change. */
export const waiters = 4

/** How many processes of each kind contend in the mixed contest. */
export const mixedOfEach = 4

/** The size of the object whose bytes on the wire are counted. */
export const wireObjectBytes = 8 * 1024

/**
 * How many locks change hands at once, beside how many busy loops, for how many seconds they are then kept, and how long the run waits for
 * all of that. If a machine is too slow for so many leases, the page says so. The earlier build takes part with so many as it can keep: of
 * 1,000 it loses some to its own requests.
 */
export const many = {
  of: [
    { ids: 400, busyLoops: 0, kinds: ["kubelock", "kubelock-before"] },
    { ids: 1000, busyLoops: 0, kinds: ["kubelock"] },
    { ids: 1000, busyLoops: 4, kinds: ["kubelock"] }
  ],
  keepSeconds: 12,
  patience: "3 minutes"
} as const

/** How long a process waits for a lock whose holder is suspended or killed, at most. */
export const failureSeconds = 120

/** The kinds whose holders are suspended and killed. */
export const failing: ReadonlyArray<Kind> = [
  "kubelock",
  "dex",
  "lease-default",
  ...elsewhere.filter((kind) => !syncsEverySecond(kind))
]

/** The kinds that can contend on a server, of those named. `absent` are those that this machine does not have. */
export const able = (
  server: Server,
  { absent, against }: { readonly against: string | undefined; readonly absent: ReadonlyArray<Kind> },
  named: ReadonlyArray<Kind> = kinds
): ReadonlyArray<Kind> =>
  named.filter(
    (kind) =>
      unable(kind, server) === undefined &&
      !absent.includes(kind) &&
      (kind !== "kubelock-before" || against !== undefined)
  )

/** One load: so many processes of a kind, and how long each holds the lock. */
export interface Load {
  readonly kind: Kind
  readonly contenders: number
  readonly holdMillis: number
}

/**
 * Loads in the order in which they are played: in each round one kind after the other, so that all see the same
 * conditions. Slow kinds play one round only.
 */
export const interleaved = (
  contenders: number,
  holdMillis: number,
  { kinds, rounds }: { readonly kinds: ReadonlyArray<Kind>; readonly rounds: number }
): ReadonlyArray<Load> =>
  Array.from({ length: rounds }).flatMap((_, round) =>
    kinds.filter((kind) => round === 0 || !isSlow(kind)).map((kind) => ({ kind, contenders, holdMillis }))
  )

/** What a run measured: the shape of its JSON. */
import type { Kind, Server } from "../contest/kind.ts"
import type { LeftOut } from "../elsewhere/servers.ts"
import type { Machine } from "./machine.ts"
import type { MemoryFigures } from "./memory.ts"
import type { Round } from "./samples.ts"
import type { Settings } from "./plan.ts"

/** One kind under one load. `wait` and `handoff` are distributions over all rounds, at the shares of `samples.grid`. */
export interface Cell {
  readonly kind: Kind
  readonly contenders: number
  readonly holdMillis: number
  readonly rounds: ReadonlyArray<Round>
  readonly wait: ReadonlyArray<number>
  readonly handoff: ReadonlyArray<number>
}

/** The bytes on the wire for an acquisition and its release without contention, TLS included. */
export interface Wire {
  readonly kind: Kind
  readonly objectBytes: number
  readonly bytesPerCycle: number
}

/** The requests of a waiter while nothing changes: `null` if no process waited. */
export interface Waiting {
  readonly kind: Kind
  readonly waiters: number
  readonly requestsPerWaiterSecond: number | null
}

/** kubelock and Dex on one token at the same time. `share` is of all acquisitions. */
export interface Mixed {
  readonly seconds: number
  readonly contendersOfEach: number
  readonly overlaps: number
  readonly kinds: ReadonlyArray<{
    readonly kind: Kind
    readonly acquisitions: number
    readonly share: number
    readonly timeouts: number
    readonly errors: number
    readonly waitP50: number | null
    readonly waitP99: number | null
    readonly waitMax: number | null
  }>
}

/**
 * What becomes of a lock whose holder is suspended past its lease, and then killed in a second try. Times are milliseconds: `null` if it
 * did not happen while the run looked.
 *
 * - `takenAfter`: from the suspension to the entry of the next process.
 * - `workedOn`: from the end of the suspension to the end of the work under the lock that was lost.
 * - `freedSuccessor`: whether the release of the process that lost the lock let a third one in beside its successor.
 * - `killedAfter`: from the death of a holder to the entry of the next process.
 */
export interface Failure {
  readonly kind: Kind
  readonly takenAfter: number | null
  readonly workedOn: number | null
  readonly freedSuccessor: boolean
  readonly killedAfter: number | null
}

/**
 * Many locks that change hands at once, from one layer of a process to another, beside so many busy loops. `lost` counts locks that were
 * lost or not acquired.
 */
export interface Many {
  readonly kind: Kind
  readonly ids: number
  readonly busyLoops: number
  readonly millis: number
  readonly lost: number
}

/** Threads full of fibers on one token: figures of `npm start -- --compare`. */
export interface Threads {
  readonly protocol: "kubelock" | "dex"
  readonly throughputPerSecond: number
  readonly violations: number
  readonly waitMillis: { readonly p50: number | null; readonly p99: number | null }
}

/** Everything measured on one API server. */
export interface OnServer {
  readonly server: Server
  readonly version: string
  readonly cells: ReadonlyArray<Cell>
  readonly hold: ReadonlyArray<Cell>
  readonly waiting: ReadonlyArray<Waiting>
  readonly wire: ReadonlyArray<Wire>
  readonly threads: ReadonlyArray<Threads>
  readonly failures: ReadonlyArray<Failure>
  readonly many: ReadonlyArray<Many>
  readonly mixed: Mixed | null
}

/** A run. `others` are the versions of other servers and of their packages. */
export interface Measurements {
  readonly machine: Machine
  readonly others: Readonly<Record<string, string>>
  readonly leftOut: ReadonlyArray<LeftOut>
  readonly settings: Settings
  readonly tookSeconds: number
  readonly memory: MemoryFigures
  readonly servers: ReadonlyArray<OnServer>
}

/** What a run measured: the shape of its JSON. */
import type { Circumstances } from "../peers/machine.ts"

/** The kind of process that dies with the lock. */
export type Victim = "kubelock" | "dex"

/**
 * Processes that died with the lock while one kubelock and so many Dex waited for it.
 *
 * - `chains`: for each crash, at how many expiries the lock was broken until kubelock broke it.
 * - `late`: by how much the server's clock had passed the expiry when a watcher saw that kubelock had broken the lock, in
 *   milliseconds.
 */
export interface Crashes {
  readonly dexes: number
  readonly victim: Victim
  readonly chains: ReadonlyArray<number>
  readonly late: ReadonlyArray<number>
}

/** One round of kubelock and Dex contending. `longestWait` is in milliseconds; `null` if there is no such process. */
export interface Round {
  readonly dexShare: number
  readonly perSecond: number
  readonly longestWait: { readonly kubelock: number | null; readonly dex: number | null }
  readonly timeouts: number
  readonly overlaps: number
}

/** So many processes of each that contend. */
export interface Mix {
  readonly kubelocks: number
  readonly dexes: number
  readonly rounds: ReadonlyArray<Round>
}

/** A run. */
export interface Measurements extends Circumstances {
  readonly server: string
  readonly version: string
  readonly seconds: number
  readonly crashes: ReadonlyArray<Crashes>
  readonly mixes: ReadonlyArray<Mix>
}

/** What a run measured: the shape of its JSON. */
import type { Circumstances } from "../peers/machine.ts"
import type { Round } from "../peers/samples.ts"

/**
 * A round of contenders for permits. `overlaps` are entries beyond the limit or beside a writer. `worstWriter` is how many passed a writer,
 * for each that was there before it, and `handOver` how long a permit was idle, in milliseconds.
 */
export interface PermitRound extends Round {
  readonly worstWriter: number | null
  readonly handOver: number | null
}

/** What contends: kubelock's lock, semaphore or shared lock, or a package on Redis. */
export interface Load {
  readonly name: string
  readonly kind: "kubelock" | "semaphore" | "shared" | "redis"
  readonly processes: number
  readonly fibers: number
  readonly limit: number
  readonly writers: number
  readonly holdMillis: number
}

/** A load in so many rounds. */
export interface Cell extends Load {
  readonly rounds: ReadonlyArray<PermitRound>
}

/** What was measured on one API server. `writeMillis` is what one compare-and-swap write takes. */
export interface OnServer {
  readonly server: string
  readonly version: string
  readonly writeMillis: number | null
  readonly cells: ReadonlyArray<Cell>
}

/** A run. `redis` are the version of redis-server and its cells, or why it was left out. */
export interface Measurements extends Circumstances {
  readonly seconds: number
  readonly rounds: number
  readonly servers: ReadonlyArray<OnServer>
  readonly redis: { readonly version: string; readonly cells: ReadonlyArray<Cell> } | { readonly leftOut: string }
}

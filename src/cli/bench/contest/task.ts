/** What the main thread asks of the workers that contend, and what they report. */
import type { Resource } from "../../../Resource.ts"
import type { Connection } from "../harness/connection.ts"
import type { Histogram } from "../harness/histogram.ts"
import type { Requests } from "../harness/requests.ts"
import type { Holds } from "./holds.ts"
import type * as ServerWitness from "./serverWitness.ts"
import type { Witness } from "./witness.ts"

/** The share of one worker in a round: where it takes locks, and how. A worker of several kinds adds what it takes. */
export interface Task {
  readonly connection: Connection
  readonly resource: Resource
  readonly namespace: string
  /** The objects that are locked. */
  readonly ids: ReadonlyArray<string>
  /** How many contenders the worker has, the number of its first one, and how many there are in all workers. */
  readonly contenders: number
  readonly first: number
  readonly total: number
  readonly holdMillis: number
  /** How many may be inside at once, if the kind is a semaphore. */
  readonly limit: number
  /** The share of acquisitions that exclude all others, from 0 to 1: some if the kind is a shared lock. */
  readonly writers: number
  readonly seconds: number
  readonly seed: string
  /** Whether Dex contends for the same objects, so that kubelock leaves them free now and then. */
  readonly sharedWithDex: boolean
  /** The witness on the API server, if contenders of other machines contend, too. */
  readonly serverWitness?: ServerWitness.Options | undefined
  /** How much CPU a worker spends before its first task of a kind, in milliseconds: 0 for none. */
  readonly warmUpCpuMillis: number
  /** How much of the beginning is left out of `Report.lateRequests`. */
  readonly settleSeconds: number
  /** Where to record in memory that threads share. Without it the report has samples. */
  readonly records: Records | undefined
}

/** The task of one contender that takes an exclusive lock and gives it back at once, and of nothing else. */
export const alone = {
  contenders: 1,
  first: 0,
  total: 1,
  holdMillis: 0,
  limit: 1,
  writers: 1,
  seed: "",
  sharedWithDex: false,
  warmUpCpuMillis: 0,
  settleSeconds: 0,
  records: undefined
} satisfies Partial<Task>

/** The records of all threads together: constant in size, however long the round. */
export interface Records {
  readonly witness: Witness
  /** Nanoseconds from wanting the lock to having it. */
  readonly wait: Histogram
  /** Nanoseconds from the moment when the last holder left its critical section to the entry of one that excludes all others. */
  readonly handoff: Histogram
  /** The holds of all contenders, if they are wanted. */
  readonly holds?: Holds | undefined
}

/** A worker prepares a task, begins it at a moment on the monotonic clock, and ends it early on request. */
export type Order =
  | { readonly _tag: "Prepare"; readonly task: Task }
  | { readonly _tag: "Go"; readonly at: number }
  | { readonly _tag: "Stop" }

/** What a worker did. */
export interface Report extends Samples {
  /** How long the round lasted. */
  readonly millis: number
  /** Of each of its contenders. */
  readonly acquisitions: ReadonlyArray<number>
  readonly requests: Requests
  readonly lateRequests: number
  readonly timeouts: number
  readonly errors: number
  readonly firstError: string | undefined
  readonly cpuMillis: number
  /** What the witness on the API server saw, if there is one. */
  readonly seen?: ServerWitness.Seen | undefined
}

/** All that happened, in milliseconds on the monotonic clock that all processes share. Empty if there are `Records`. */
export interface Samples {
  /** When each critical section was entered and left: `Infinity` if it had not been left at the end. */
  readonly visits: ReadonlyArray<readonly [entered: number, left: number]>
  /** How long each acquisition waited. */
  readonly waits: ReadonlyArray<number>
  /** Whether it excluded all others. */
  readonly writes: ReadonlyArray<boolean>
  /** How long those had waited that the end of the round cut short. */
  readonly unfinishedWaits: ReadonlyArray<number>
}

/** Now, in milliseconds on the monotonic clock that all processes of a Linux machine share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

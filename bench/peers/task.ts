/** What the driver and a contending process tell each other. */
import type { Kind } from "./kind.ts"

/** What a process is to do next. It makes ready, says so, and waits for `Go`. */
export interface Task {
  readonly kind: Kind
  readonly kubeConfigFile: string
  readonly namespace: string
  /** The object that is locked. */
  readonly id: string
  readonly holdMillis: number
  /** Which of so many contenders this one is. */
  readonly place: number
  readonly places: number
  /** Whether Dex contends for the same object, so that kubelock leaves it free now and then. */
  readonly besideDex: boolean
  readonly seconds: number
  /** How much CPU the process spends before its first task of a kind, in milliseconds. */
  readonly warmUpCpuMillis: number
  /** How much of the beginning is left out of `Report.lateRequests`. */
  readonly settleSeconds: number
}

/** From the driver. `at` is when to begin, in milliseconds on the monotonic clock that all processes share. */
export type Order =
  | { readonly _tag: "Prepare"; readonly task: Task }
  | { readonly _tag: "Go"; readonly at: number }
  | { readonly _tag: "End" }

/** From a process. */
export type Answer =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Done"; readonly report: Report }
  | { readonly _tag: "Failed"; readonly detail: string }

/** What a process did. Times are milliseconds, `visits` on the monotonic clock that all processes share. */
export interface Report {
  /** When each critical section was entered and left. The last one may not have ended with the task. */
  readonly visits: ReadonlyArray<readonly [entered: number, left: number]>
  /** From each wish to its critical section. */
  readonly waits: ReadonlyArray<number>
  /** How long the wish had waited that the end of the task cut short. */
  readonly unfinishedWait: number | undefined
  readonly requests: number
  readonly lateRequests: number
  readonly conflicts: number
  readonly timeouts: number
  readonly errors: number
  readonly firstError: string | undefined
  readonly cpuMillis: number
}

/** Now, in milliseconds on the monotonic clock that all processes of a Linux machine share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

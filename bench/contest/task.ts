/** What the main thread asks of workers of any kind. */
import type * as Contest from "../../src/cli/bench/contest/task.ts"
import type { Build } from "./build.ts"
import type { AnyKind } from "./kind.ts"

/** The share of one worker in a round. */
export interface Task extends Contest.Task {
  readonly kind: AnyKind
  /** The server that has the lock, if it is not the API server: the URL of an etcd, or the port of a Redis. */
  readonly address?: string | undefined
  /** The earlier build of kubelock, if it contends. */
  readonly before?: Build | undefined
}

/** The file of a worker that plays such tasks. */
export const contender = new URL("contender.ts", import.meta.url)

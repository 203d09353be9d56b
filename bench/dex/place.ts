/** One RefreshToken on a real API server, and the tasks of processes that contend for it. */
import type { Connection } from "../../src/cli/bench/harness/connection.ts"
import * as Resource from "../../src/Resource.ts"
import { alone } from "../../src/cli/bench/contest/task.ts"
import type { Task } from "../contest/task.ts"
import { cpuMillis } from "../contest/warmUp.ts"

/** The object, and how to reach it. */
export interface Place {
  readonly connection: Connection
  readonly namespace: string
  readonly id: string
}

/** How long each process holds the lock, in milliseconds: about as long as a provider takes to refresh a token. */
export const holdMillis = 20

/** The task of one process. */
export const taskOf = ({ connection, id, namespace }: Place, kind: "kubelock" | "dex", seconds: number): Task => ({
  ...alone,
  kind,
  connection,
  resource: Resource.refreshToken,
  namespace,
  ids: [id],
  holdMillis,
  seconds,
  sharedWithDex: true,
  warmUpCpuMillis: cpuMillis(seconds)
})

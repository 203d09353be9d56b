/** What a server has done so far, and in a round: the events of watches that it says it sent, and its CPU. */
import * as Effect from "effect/Effect"
import type { Envtest } from "../../src/testing/index.ts"
import * as serverCpu from "./serverCpu.ts"
import * as watchEvents from "./watchEvents.ts"

/** Each is `undefined` where it cannot be measured. CPU is milliseconds of the server and its etcd. */
export interface Use {
  readonly watchEvents: number | undefined
  readonly serverCpuMillis: number | undefined
}

/** What an API server and its etcd have done so far. */
export const ofApi = (api: Envtest.ApiServerProcess): Effect.Effect<Use> =>
  Effect.all({
    watchEvents: watchEvents.sent(api),
    serverCpuMillis: Effect.map(api.pids, serverCpu.used)
  })

/** What other servers have done so far, by their processes. */
export const ofProcesses = (pids: ReadonlyArray<number>): Effect.Effect<Use> =>
  Effect.sync(() => ({ watchEvents: undefined, serverCpuMillis: serverCpu.used(pids) }))

/** What was done between. */
export const between = (before: Use | undefined, after: Use): Use => ({
  watchEvents: difference(before?.watchEvents, after.watchEvents),
  serverCpuMillis: difference(before?.serverCpuMillis, after.serverCpuMillis)
})

const difference = (before: number | undefined, after: number | undefined): number | undefined =>
  before === undefined || after === undefined ? undefined : after - before

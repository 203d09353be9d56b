/** How many events of watches on locked objects a server says that it sent, by its own metrics. */
import * as Effect from "effect/Effect"
import type { Envtest } from "../../src/testing/index.ts"

/** The count so far; `undefined` where the server does not tell. */
export const sent = (api: Envtest.ApiServerProcess): Effect.Effect<number | undefined> =>
  api.request("GET", "/metrics", undefined, { accept: "text/plain" }).pipe(
    Effect.map(({ body, status }) => (status === 200 && body.text !== undefined ? read(body.text) : undefined)),
    Effect.orElseSucceed(() => undefined)
  )

// old servers tell the kind, new ones the resource
const lockedObjects = /kind="(RefreshToken|Lease)"|resource="(refreshtokens|leases)"/

/** Reads it out of the metrics. A server that has sent none says nothing of them. */
export const read = (metrics: string): number =>
  metrics
    .split("\n")
    .filter((line) => line.startsWith("apiserver_watch_events_total{") && lockedObjects.test(line))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf("}") + 1)), 0)

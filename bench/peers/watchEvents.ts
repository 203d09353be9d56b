/** How many watch events on locked objects a server has sent, by its own metrics. */
import * as Effect from "effect/Effect"
import type { Envtest } from "../../src/testing/index.ts"

/** The count so far: `undefined` if the server has no such metric. */
export const sent = (api: Envtest.ApiServerProcess): Effect.Effect<number | undefined> =>
  api.request("GET", "/metrics", undefined, { accept: "text/plain" }).pipe(
    Effect.map(({ body, status }) => (status === 200 && body.text !== undefined ? read(body.text) : undefined)),
    Effect.orElseSucceed(() => undefined)
  )

// Old servers name the kind, new ones the resource.
const lockedObjects = /kind="(RefreshToken|Lease)"|resource="(refreshtokens|leases)"/

/** Reads the count from the metrics. It is 0 if they do not mention such events. */
export const read = (metrics: string): number =>
  metrics
    .split("\n")
    .filter((line) => line.startsWith("apiserver_watch_events_total{") && lockedObjects.test(line))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf("}") + 1)), 0)

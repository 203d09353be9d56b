/** A thread that opens a session for a moment and says nothing any more, or one for an hour that it gives up without a word (`gives up`). */
import { parentPort, workerData } from "node:worker_threads"
import type { Open, Start } from "../../../src/internal/sessionThread/messages.ts"
import * as sharedTimes from "../../../src/internal/sessionThread/sharedTimes.ts"

const { life } = workerData as Start

parentPort!.on("message", ({ identity, port, validity }: Open) => {
  const givesUp = identity === "gives up"
  sharedTimes.validity(validity).relyFor(() => (givesUp ? 3_600_000 : 50))
  port.on("message", () => port.close())
  port.postMessage({ _tag: "Opened", session: "jobs/lease uid us/000000000000.1" })
  if (givesUp) port.close()
})
sharedTimes.signsOfLife(life).showClock()
parentPort!.postMessage({ _tag: "Ready" }, [])

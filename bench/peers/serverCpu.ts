/** How much CPU a server and its etcd have used, by the kernel's count. */
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import type { Envtest } from "../../src/testing/index.ts"

/** The milliseconds so far: `undefined` where there is no `/proc`. */
export const used = (api: Envtest.ApiServerProcess): Effect.Effect<number | undefined> =>
  Effect.map(api.pids, (pids) => {
    try {
      return pids.reduce((total, pid) => total + read(readFileSync(`/proc/${pid}/stat`, "utf8")), 0)
    } catch {
      return undefined
    }
  })

/** Reads user and system time from a line of `/proc/PID/stat`, in milliseconds. Linux counts in hundredths of a second there. */
export const read = (stat: string): number => {
  // The name of the program may contain anything, and is in brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}

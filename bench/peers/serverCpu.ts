/** How much CPU servers have used, by the kernel's count. */
import { readFileSync } from "node:fs"

/** The milliseconds of these processes so far: `undefined` where there is no `/proc`. */
export const used = (pids: ReadonlyArray<number>): number | undefined => {
  try {
    return pids.reduce((total, pid) => total + read(readFileSync(`/proc/${pid}/stat`, "utf8")), 0)
  } catch {
    return undefined
  }
}

/** Reads user and system time from a line of `/proc/PID/stat`, in milliseconds. Linux counts in hundredths of a second there. */
export const read = (stat: string): number => {
  // The name of the program may contain anything, and is in brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}

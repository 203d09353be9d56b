/** What a program of this machine prints. */
import { execFileSync } from "node:child_process"

/** Runs a program in this folder of the repository. The output is empty if it is not there or fails. */
export const output = (program: string, args: ReadonlyArray<string>): string => {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "ignore"]
    })
  } catch {
    return ""
  }
}

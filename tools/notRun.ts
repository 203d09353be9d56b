/** Says that a suite does not run on this machine. The runner would keep that to itself: it shows no console of a test that is skipped. */
import { writeSync } from "node:fs"

/** Writes it to standard error. */
export const say = (suite: string, problem: string): void => {
  writeSync(process.stderr.fd, `\n  ${suite}: ${problem}\n\n`)
}

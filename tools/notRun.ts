/** Says that a suite does not run on this machine. The runner would keep that to itself: it shows no console of a test that is skipped. */
import { describe, it } from "@effect/vitest"
import { writeSync } from "node:fs"

/** Writes it to standard error. */
export const say = (suite: string, problem: string): void => {
  writeSync(process.stderr.fd, `\n  ${suite}: ${problem}\n\n`)
}

/** `describe` for a suite that is skipped, since something is missing that few machines have. It says so loudly. */
export const describeMissing = (name: string, problem: string): void => {
  say(name, problem)
  describe(name, () => {
    it.skip(problem, () => {})
  })
}

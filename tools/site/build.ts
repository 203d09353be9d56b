/** Builds the site before its tests. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"

/** Vitest calls it once. */
export const setup = async (): Promise<void> => {
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, "site.ts"), "--build"])
}

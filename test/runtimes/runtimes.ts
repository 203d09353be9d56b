/** The runtimes that kubelock supports, as npm installs them here (`npm/package.json`). */
import { execFileSync } from "node:child_process"
import { join } from "node:path"

/** A runtime. `command` runs a file of TypeScript. `hasCommonClock`: whether its threads share a monotonic clock. */
export interface Runtime {
  readonly name: string
  readonly command: readonly [file: string, ...args: ReadonlyArray<string>]
  readonly hasCommonClock: boolean
}

const installed = join(import.meta.dirname, "npm/node_modules")

/** All of them. Node.js 24 is the one that runs the repository's scripts. */
export const runtimes: ReadonlyArray<Runtime> = [
  {
    name: "Node.js 22.19",
    command: [join(installed, "node-22/bin/node"), "--disable-warning=ExperimentalWarning"],
    hasCommonClock: true
  },
  { name: "Node.js 24", command: [process.execPath], hasCommonClock: true },
  { name: "Node.js 26", command: [join(installed, "node-26/bin/node")], hasCommonClock: true },
  { name: "Bun", command: [join(installed, ".bin/bun")], hasCommonClock: false },
  {
    name: "Deno",
    command: [join(installed, ".bin/deno"), "run", "--allow-all", "--quiet"],
    hasCommonClock: false
  }
]

/** The version of a runtime, or `undefined` if it cannot be run here. */
export const versionOf = ({ command: [file] }: Runtime): string | undefined => {
  try {
    return /\d+\.\d+\.\d+/.exec(
      execFileSync(file, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    )?.[0]
  } catch {
    return undefined
  }
}

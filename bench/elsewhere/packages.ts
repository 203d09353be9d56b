/** npm's packages of locks on other servers. They are installed in `npm/`, apart from the repository's own dependencies. */
// Their types are those of Effect 3, and of packages that are not there unless somebody installs them.
/* oxlint-disable typescript/no-explicit-any */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/**
 * A lock or a semaphore, by a client that a process has opened.
 *
 * `take` waits, and answers how to give back what it took. It calls `lost` if the package says that the holder's lease is lost.
 */
export interface Opened {
  readonly take: (id: string, lost?: () => void) => Promise<() => Promise<void>>
  readonly close: () => Promise<void>
}

const folder = join(import.meta.dirname, "npm")
const require = createRequire(join(folder, "package.json"))

/** Loads a package. */
export const load = (name: string): Promise<any> => import(pathToFileURL(require.resolve(name)).href)

/** Loads a file of a package that has no entry for it. */
export const loadModule = (path: string): Promise<any> => import(pathToFileURL(join(folder, "node_modules", path)).href)

const names = ["effect-distributed-lock", "etcd3", "redis-semaphore", "redlock"]

/** Their versions, as far as they are installed. */
export const versions = (): ReadonlyArray<readonly [name: string, version: string]> =>
  names.flatMap((name) => {
    try {
      const { version } = JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8"))
      return [[name, String(version)]]
    } catch {
      return []
    }
  })

/** Why the packages cannot be used: `undefined` if they are installed. */
export const missing = (): string | undefined =>
  versions().length === names.length ? undefined : "its packages are not there: run npm ci in bench/elsewhere/npm"

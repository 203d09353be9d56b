/** Semaphores on Redis, by their packages in `npm/`. Nothing but the packages' own documented use. */
// Their types are those of Effect 3, and of packages that are not there unless somebody installs them.
/* oxlint-disable typescript/no-explicit-any */
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/** A semaphore that a process has opened. `take` answers how to give the permit back. */
export interface Opened {
  readonly take: (id: string) => Promise<() => Promise<void>>
  readonly close: () => Promise<void>
}

/** A package. `open` connects to Redis on a port of this machine. */
export interface RedisPeer {
  readonly name: string
  readonly open: (port: number, limit: number, seconds: number) => Promise<Opened>
}

const folder = join(import.meta.dirname, "npm")
const require = createRequire(join(folder, "package.json"))

const load = (name: string): Promise<any> => import(pathToFileURL(require.resolve(name)).href)
const loadModule = (path: string): Promise<any> => import(pathToFileURL(join(folder, "node_modules", path)).href)

/** The packages, if they are installed: `npm ci` in their folder. */
export const areInstalled = (): boolean => {
  try {
    require.resolve("redis-semaphore")
    return true
  } catch {
    return false
  }
}

/** All of them, with their defaults, except that a contender waits as long as the round lasts. */
export const all: ReadonlyArray<RedisPeer> = [
  {
    name: "redis-semaphore",
    open: async (port, limit, seconds) => {
      const { default: Redis } = await load("ioredis")
      const { Semaphore } = await load("redis-semaphore")
      const redis = new Redis({ port })
      return {
        take: async (id) => {
          const semaphore = new Semaphore(redis, id, limit, { acquireTimeout: (seconds + 10) * 1000 })
          await semaphore.acquire()
          return () => semaphore.release()
        },
        close: () => redis.quit()
      }
    }
  },
  {
    name: "effect-distributed-lock",
    open: async (port, limit) => {
      const { default: Redis } = await load("ioredis")
      const { Exit, Layer, ManagedRuntime, Scope } = await loadModule("effect/dist/esm/index.js")
      const { DistributedSemaphore, RedisBacking } = await loadModule("effect-distributed-lock/dist/index.js")
      const redis = new Redis({ port })
      const runtime = ManagedRuntime.make(Layer.orDie(RedisBacking.layer(redis)))
      const made = new Map<string, Promise<any>>()
      const semaphoreOf = (id: string) => {
        const found = made.get(id) ?? runtime.runPromise(DistributedSemaphore.make(id, { limit }))
        made.set(id, found)
        return found
      }
      return {
        take: async (id) => {
          const semaphore = await semaphoreOf(id)
          const scope = await runtime.runPromise(Scope.make())
          await runtime.runPromise(Scope.extend(semaphore.take(1), scope))
          return () => runtime.runPromise(Scope.close(scope, Exit.void))
        },
        close: async () => {
          await runtime.dispose()
          await redis.quit()
        }
      }
    }
  }
]

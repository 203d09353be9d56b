/** Locks and semaphores on Redis: nothing but their packages' own documented use. */
// The types of packages that are not there unless somebody installs them.
/* oxlint-disable typescript/no-explicit-any */
import * as requests from "../../src/cli/bench/harness/requests.ts"
import { load, loadModule, type Opened } from "./packages.ts"

/** A package of semaphores. `open` connects to Redis on a port of this machine. */
export interface SemaphorePackage {
  readonly name: string
  readonly open: (port: number, limit: number, seconds: number) => Promise<Opened>
}

/** A package of locks. */
export interface LockPackage {
  readonly name: "redis-semaphore" | "redlock" | "effect-distributed-lock"
  readonly open: (port: number, seconds: number) => Promise<Opened>
}

/** A connection whose commands are counted. */
const connected = async (port: number): Promise<any> => {
  const { default: Redis } = await load("ioredis")
  const redis = new Redis({ port })
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (...args: ReadonlyArray<unknown>) => {
    requests.toOtherServer()
    return send(...args)
  }
  return redis
}

// A contender waits as long as the round lasts. All else is as the packages have it by default.
const acquireTimeout = (seconds: number) => (seconds + 10) * 1000

const redisSemaphore = async (
  port: number,
  make: (module: any, redis: any, id: string, options: object) => any,
  seconds: number
): Promise<Opened> => {
  const redis = await connected(port)
  const module = await load("redis-semaphore")
  return {
    take: async (id, lost) => {
      const options = { acquireTimeout: acquireTimeout(seconds), ...(lost === undefined ? {} : { onLockLost: lost }) }
      const one = make(module, redis, id, options)
      await one.acquire()
      return () => one.release()
    },
    close: () => redis.quit()
  }
}

const redlockTtl = 10_000

/** It renews nothing by itself, and has no defaults for how long a lock lasts. */
const redlock = async (port: number): Promise<Opened> => {
  const redis = await connected(port)
  const { default: Redlock } = await load("redlock")
  const locks = new Redlock([redis], { retryCount: -1 })
  return {
    take: async (id) => {
      const lock = await locks.lock(id, redlockTtl)
      // It fails if the lock has expired.
      return () => lock.unlock().catch(() => {})
    },
    close: () => redis.quit()
  }
}

const effectDistributedLock = async (port: number, limit: number): Promise<Opened> => {
  const redis = await connected(port)
  const { Cause, Effect, Exit, Fiber, Layer, ManagedRuntime } = await loadModule("effect/dist/esm/index.js")
  const { DistributedSemaphore, RedisBacking } = await loadModule("effect-distributed-lock/dist/index.js")
  const runtime = ManagedRuntime.make(Layer.orDie(RedisBacking.layer(redis)))
  const made = new Map<string, Promise<any>>()
  const semaphoreOf = (id: string) => {
    const found = made.get(id) ?? runtime.runPromise(DistributedSemaphore.make(id, { limit }))
    made.set(id, found)
    return found
  }
  return {
    // It interrupts the effect that runs with the permit if the permit is lost.
    take: async (id, lost) => {
      const semaphore = await semaphoreOf(id)
      return new Promise((resolve, reject) => {
        let isGivenBack = false
        const held = Effect.async(() => {
          resolve(async () => {
            isGivenBack = true
            await runtime.runPromise(Fiber.interrupt(running))
          })
          return Effect.sync(() => {
            if (!isGivenBack) lost?.()
          })
        })
        const running = runtime.runFork(semaphore.withPermits(1)(held))
        running.addObserver((exit: any) => {
          if (Exit.isFailure(exit)) reject(new Error(Cause.pretty(exit.cause)))
        })
      })
    },
    close: async () => {
      await runtime.dispose()
      await redis.quit()
    }
  }
}

/** The packages that have semaphores. */
export const semaphores: ReadonlyArray<SemaphorePackage> = [
  {
    name: "redis-semaphore",
    open: (port, limit, seconds) =>
      redisSemaphore(port, ({ Semaphore }, redis, id, options) => new Semaphore(redis, id, limit, options), seconds)
  },
  { name: "effect-distributed-lock", open: (port, limit) => effectDistributedLock(port, limit) }
]

/** The packages that have locks. */
export const locks: ReadonlyArray<LockPackage> = [
  {
    name: "redis-semaphore",
    open: (port, seconds) =>
      redisSemaphore(port, ({ Mutex }, redis, id, options) => new Mutex(redis, id, options), seconds)
  },
  { name: "redlock", open: (port) => redlock(port) },
  { name: "effect-distributed-lock", open: (port) => effectDistributedLock(port, 1) }
]

#!/usr/bin/env bash
# redis-semaphore 5.8.0 and effect-distributed-lock 0.0.11 (with ioredis 5.8.2, effect 3.22.4 and Redis 7.0): how long a permit lasts
# is decided by whoever asks for one, not by its holder.
#
# Both keep when a permit was last renewed, and not when it ends. Each request first removes every permit that is older than the
# lease of the process that asks. So if processes do not all have the same lease (a roll-out that shortens it; a job that runs long),
# a permit of 60 s is taken from a holder that lives after the 1 s of another. The holder learns that at its next renewal, by its own
# lease: here up to 48 s and 20 s later. With effect-distributed-lock it takes no acquisition: `currentCount`, which looks like a
# read for a dashboard, does the same. redis-semaphore's Mutex is not concerned: there Redis keeps the holder's lease.
#
# Seen, for one permit with a lease of 60 s that was acquired 2 s ago, and others with a lease of 1 s:
#   redis-semaphore: {"another acquires":true,"holder believes":true}
#   effect-distributed-lock: {"counted":0,"another acquires":true,"holder works":true}
# Fails if the holder keeps its permit, or is told.
set -euo pipefail
command -v redis-server >/dev/null || { echo "needs redis-server (Debian: redis-server)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund redis-semaphore@5.8.0 effect-distributed-lock@0.0.11 ioredis@5.8.2 effect@3.22.4 >/dev/null

cat >permits.mjs <<'JS'
import { spawn } from "node:child_process"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber, Option } from "effect"
import { DistributedSemaphore, RedisBacking } from "effect-distributed-lock"
import { Redis } from "ioredis"
import { Semaphore } from "redis-semaphore"
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
const isUp = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(!!socket.destroy()))
    socket.on("error", () => resolve(false))
  })
const port = await freePort()
const server = spawn("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""], { stdio: "ignore" })
process.on("exit", () => server.kill("SIGKILL"))
while (!(await isUp(port))) await sleep(50)
const redis = new Redis({ port, host: "127.0.0.1" })

const holder = new Semaphore(redis, "a", 1, { lockTimeout: 60_000 })
await holder.acquire()
await sleep(2000)
const another = new Semaphore(redis, "a", 1, { lockTimeout: 1000, acquireTimeout: 500 })
const first = { "another acquires": await another.tryAcquire(), "holder believes": holder.isAcquired }
console.log("redis-semaphore:", JSON.stringify(first))

const second = await Effect.gen(function* () {
  const long = yield* DistributedSemaphore.make("b", { limit: 1, ttl: "60 seconds" })
  const short = yield* DistributedSemaphore.make("b", { limit: 1, ttl: "1 second" })
  const work = yield* Effect.fork(long.withPermits(1)(Effect.never))
  while ((yield* long.currentCount) === 0) yield* Effect.sleep("10 millis")
  yield* Effect.sleep("2 seconds")
  const counted = yield* short.currentCount
  const acquired = yield* short.withPermitsIfAvailable(1)(Effect.void)
  const works = Option.isNone(yield* Fiber.poll(work))
  return { counted, "another acquires": Option.isSome(acquired), "holder works": works }
}).pipe(Effect.provide(RedisBacking.layer(redis)), Effect.runPromise)
console.log("effect-distributed-lock:", JSON.stringify(second))

const isAsSaid = [...Object.values(first), second.counted === 0, second["another acquires"], second["holder works"]].every(Boolean)
process.exit(isAsSaid ? 0 : 1)
JS
node permits.mjs

#!/usr/bin/env bash
# redis-semaphore 5.8.0 with ioredis 6.0.0 and Redis 7.0: its Redlock works while one server of three is down, and not while one is
# silent.
#
# Redlock is there for the failure of a minority. RedlockMutex sends to all servers and waits for the answer of each, not for a
# quorum. A server that is down answers with an error at once. One that hangs, or whose packets are dropped, does not answer, and
# ioredis has no limit of time. So one such server stops every acquisition, which outlasts its `acquireTimeout` (looked at between
# two attempts only), and every renewal: a lock that is held expires on the servers that are well, and its holder is not told.
# @sesamecare-oss/redlock 1.4.0, which counts votes as they come, acquires.
#
# Seen (six seconds after the third server was stopped by SIGSTOP; lockTimeout 2 s, acquireTimeout 1 s):
#   one is down: {"redis-semaphore":"acquired"}
#   one is silent: {"redis-semaphore":"still acquiring","redlock":"acquired","held before":{"isAcquired":true,"servers that know it":0}}
# Fails if RedlockMutex acquires, or gives up, while one server is silent, or if the holder is told.
set -euo pipefail
command -v redis-server >/dev/null || { echo "needs redis-server (Debian: redis-server)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund redis-semaphore@5.8.0 ioredis@6.0.0 @sesamecare-oss/redlock@1.4.0 >/dev/null

cat >silent.mjs <<'JS'
import { spawn } from "node:child_process"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Redlock } from "@sesamecare-oss/redlock"
import { Redis } from "ioredis"
import { RedlockMutex } from "redis-semaphore"
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
const servers = []
process.on("exit", () => servers.forEach(({ redis }) => redis.kill("SIGKILL")))
const start = async () => {
  const port = await freePort()
  const redis = spawn("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""], { stdio: "ignore" })
  servers.push({ port, redis })
  while (!(await isUp(port))) await sleep(50)
}
const clients = async () => {
  const all = servers.map(({ port }) => new Redis({ port, host: "127.0.0.1", maxRetriesPerRequest: 1 }).on("error", () => {}))
  await Promise.all(all.map((client) => client.ping()))
  return all
}
const state = (promise) => {
  const seen = { now: "still acquiring" }
  promise.then(() => (seen.now = "acquired"), () => (seen.now = "gave up"))
  return seen
}
for (let n = 0; n < 3; n++) await start()

const beforeDown = await clients()
servers[2].redis.kill("SIGKILL")
const down = state(new RedlockMutex(beforeDown, "a", { lockTimeout: 2000, acquireTimeout: 1000 }).acquire())
while (down.now === "still acquiring") await sleep(50)
console.log("one is down:", JSON.stringify({ "redis-semaphore": down.now }))

servers.pop()
await start()
const ours = await clients()
const theirs = await clients()
const held = new RedlockMutex(ours, "held", { lockTimeout: 2000, onLockLost: () => console.log("told") })
await held.acquire()
servers[2].redis.kill("SIGSTOP")
const silent = state(new RedlockMutex(ours, "b", { lockTimeout: 2000, acquireTimeout: 1000 }).acquire())
const redlock = state(new Redlock(theirs).acquire(["c"], 2000))
await sleep(6000)
const knowing = await Promise.all(theirs.slice(0, 2).map((client) => client.exists("mutex:held")))
const seen = {
  "redis-semaphore": silent.now,
  redlock: redlock.now,
  "held before": { isAcquired: held.isAcquired, "servers that know it": knowing[0] + knowing[1] }
}
console.log("one is silent:", JSON.stringify(seen))
const isAsSaid =
  down.now === "acquired" &&
  silent.now === "still acquiring" &&
  redlock.now === "acquired" &&
  held.isAcquired &&
  knowing[0] + knowing[1] === 0
process.exit(isAsSaid ? 0 : 1)
JS
node silent.mjs

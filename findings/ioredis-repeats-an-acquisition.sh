#!/usr/bin/env bash
# ioredis 6.0.0 with redis-semaphore 5.8.0 and Redis 7.0: a process that has acquired a lock is told that it could not acquire it.
#
# If a connection breaks, ioredis sends the commands that had no answer again ("autoResendUnfulfilledCommands", on by default). For
# an acquisition, `SET key id NX PX`, this is not the same twice: the first one took the lock, the second finds it taken. The lock
# does not look whether the holder is itself, although the value is its own id. The process waits for its own lease to expire; if its
# patience is shorter, as here (5 s, and a lease of 10 s), the acquisition fails, and nobody has had the lock in that time.
#
# Seen, for a connection that broke once, after the server had done the SET and before its answer arrived:
#   {"acquired":false,"value is its own id":true,"later":"PONG"}
# Fails if the lock is acquired, or its value is not the id of the process that waits for it.
set -euo pipefail
command -v redis-server >/dev/null || { echo "needs redis-server (Debian: redis-server)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund redis-semaphore@5.8.0 ioredis@6.0.0 >/dev/null

cat >again.mjs <<'JS'
import { spawn } from "node:child_process"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Redis } from "ioredis"
import { Mutex } from "redis-semaphore"
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
const direct = new Redis({ port, host: "127.0.0.1" })

let hasBroken = false
const link = createServer((near) => {
  const far = connect(port, "127.0.0.1")
  let isBreaking = false
  near.on("data", (data) => {
    if (!hasBroken && data.includes("a lock")) hasBroken = isBreaking = true
    far.write(data)
  })
  far.on("data", (data) => (isBreaking ? near.destroy() : near.write(data)))
  near.on("close", () => far.destroy()).on("error", () => {})
  far.on("close", () => near.destroy()).on("error", () => {})
}).listen(0, "127.0.0.1")
await new Promise((resolve) => link.once("listening", resolve))
const redis = new Redis({ port: link.address().port, host: "127.0.0.1" }).on("error", () => {})
await redis.ping()

const mutex = new Mutex(redis, "a lock", { acquireTimeout: 5000 })
const acquiring = mutex.tryAcquire()
let value = null
while (value === null) {
  await sleep(50)
  value = await direct.get("mutex:a lock")
}
const acquired = await acquiring
const isOwn = value === mutex.identifier
const later = await redis.ping()
console.log(JSON.stringify({ acquired, "value is its own id": isOwn, later }))
process.exit(!acquired && isOwn && later === "PONG" ? 0 : 1)
JS
node again.mjs

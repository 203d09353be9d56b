#!/usr/bin/env bash
# etcd3 1.1.2 (with etcd 3.4), redis-semaphore 5.8.0 and @sesamecare-oss/redlock 1.4.0 (with ioredis 6.0.0 and Redis 7.0): a holder
# that is cut off from the server is told long after its lease has expired, or never.
#
# All three have a way to be told: `error` of a campaign, `onLockLost`, the AbortSignal of `using`. One expects it once the lease
# cannot have been renewed in time, since by then another may hold the lock. But etcd3 looks at twice the TTL (its default for
# elections is 60 s, so there are two leaders for a minute). The two for Redis wait for the answer to a renewal; while none comes
# (packets are dropped, or the server hangs), none of their timers looks at the time.
#
# Seen, for leases of 3 s (seconds after the cut):
#   {"etcd3":{"another leads":2.9,"told":6},"redis-semaphore":{"another holds":2.1,"told":"not in 15 s","isAcquired":true},"redlock":{"another holds":2.4,"told":"not in 15 s"}}
# Fails if etcd3 tells less than 1.5 s after another leads, or one of the others tells within 15 s.
set -euo pipefail
for command in redis-server etcd; do
  command -v $command >/dev/null || { echo "needs redis-server and etcd (Debian: redis-server, etcd-server)"; exit 1; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund etcd3@1.1.2 redis-semaphore@5.8.0 ioredis@6.0.0 @sesamecare-oss/redlock@1.4.0 >/dev/null

cat >cut.mjs <<'JS'
import { spawn } from "node:child_process"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Redlock } from "@sesamecare-oss/redlock"
import { Etcd3 } from "etcd3"
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
const children = []
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")))
const start = async (port, command, ...options) => {
  children.push(spawn(command, options, { stdio: "ignore" }))
  while (!(await isUp(port))) await sleep(50)
}
const [redisPort, etcdPort, peerPort] = [await freePort(), await freePort(), await freePort()]
const [client, peer] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${peerPort}`]
await start(redisPort, "redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "")
await start(
  etcdPort, "etcd", "--data-dir", "data", "--listen-client-urls", client, "--advertise-client-urls", client,
  "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`
)

// A link that can be cut: what is sent after that is dropped, and no connection ends.
let isCut = false
const linkTo = (port) =>
  new Promise((resolve) => {
    const link = createServer((near) => {
      const far = connect(port, "127.0.0.1")
      for (const [from, to] of [[near, far], [far, near]]) {
        from.on("data", (data) => isCut || to.write(data)).on("error", () => {}).on("close", () => to.destroy())
      }
    }).listen(0, "127.0.0.1", () => resolve(link.address().port))
  })
const nearRedis = new Redis({ port: await linkTo(redisPort), host: "127.0.0.1" })
const redis = new Redis({ port: redisPort, host: "127.0.0.1" })
const nearEtcd = new Etcd3({ hosts: `127.0.0.1:${await linkTo(etcdPort)}` })
const etcd = new Etcd3({ hosts: `127.0.0.1:${etcdPort}` })

const cut = {}
const after = () => Math.round((Date.now() - cut.at) / 100) / 10
const seen = {
  etcd3: { "another leads": "never", told: "not in 15 s" },
  "redis-semaphore": { "another holds": "never", told: "not in 15 s" },
  redlock: { "another holds": "never", told: "not in 15 s" }
}
const campaign = nearEtcd.election("election", 3).campaign("a")
await campaign.wait()
campaign.on("error", () => (seen.etcd3.told = after()))
const mutex = new Mutex(nearRedis, "mutex", { lockTimeout: 3000, onLockLost: () => (seen["redis-semaphore"].told = after()) })
await mutex.acquire()
await new Promise((resolve) =>
  new Redlock([nearRedis]).using(["redlock"], 3000, (signal) => {
    resolve()
    signal.addEventListener("abort", () => (seen.redlock.told = after()))
    return new Promise(() => {})
  })
)
await sleep(3500)
isCut = true
cut.at = Date.now()

etcd.election("election", 3).campaign("b").on("elected", () => (seen.etcd3["another leads"] = after()))
new Mutex(redis, "mutex", { lockTimeout: 60_000 }).acquire().then(() => (seen["redis-semaphore"]["another holds"] = after()))
new Redlock([redis], { retryCount: 1000, retryDelay: 50 })
  .acquire(["redlock"], 60_000)
  .then(() => (seen.redlock["another holds"] = after()))
await sleep(15_000)
seen["redis-semaphore"].isAcquired = mutex.isAcquired
console.log(JSON.stringify(seen))
const others = [seen["redis-semaphore"], seen.redlock]
const isAsSaid =
  seen.etcd3.told - seen.etcd3["another leads"] > 1.5 &&
  others.every((other) => typeof other["another holds"] === "number" && other.told === "not in 15 s")
process.exit(isAsSaid ? 0 : 1)
JS
node cut.mjs

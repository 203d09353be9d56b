#!/usr/bin/env bash
# simple-redis-mutex 3.0.0 (with redis 5.12.1 and Redis 7.0): a fencing token of a lock that has expired can be higher than that
# of the holder. So what is fenced lets the late one in and keeps the holder out.
#
# A fencing token has to grow with each holder: storage takes the highest it has seen, and refuses lower ones. Here it is drawn by
# an INCR that is sent when the answer to the SET has come. If the process pauses between the two, or the connection is slow, the
# lock expires, another acquires it and draws its token, and then the first one draws a higher one. The late one also believes
# that it has acquired just now. The token protects from all delays but those that happen in the acquisition. Drawn in one script
# with the SET, or by the SET itself (a resourceVersion, a revision of etcd), it would be in order.
#
# Seen, for a timeout of 1 s, and a connection that is held up for longer than that after the SET:
#   {"holder":1,"the one whose lock has expired":2,"the lock is the holder's":true}
# Fails if the holder has the higher token.
set -euo pipefail
command -v redis-server >/dev/null || { echo "needs redis-server (Debian: redis-server)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund simple-redis-mutex@3.0.0 redis@5.12.1 >/dev/null

cat >tokens.mjs <<'JS'
import { spawn } from "node:child_process"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { createClient } from "redis"
import { tryLock } from "simple-redis-mutex"
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

// A link that holds up what the client sends after its SET, until it is told to go on.
let goOn
const released = new Promise((resolve) => (goOn = resolve))
let isHeldUp = false
const link = createServer((near) => {
  const far = connect(port, "127.0.0.1")
  far.pipe(near)
  near.on("data", async (data) => {
    if (isHeldUp) await released
    if (data.includes("@simple-redis-mutex:lock-")) isHeldUp = true
    far.write(data)
  })
  near.on("error", () => {})
  far.on("error", () => {})
})
await new Promise((resolve) => link.listen(0, "127.0.0.1", resolve))
const client = (at) => createClient({ url: `redis://127.0.0.1:${at}` }).on("error", () => {}).connect()
const [slow, fast] = [await client(link.address().port), await client(port)]

const late = tryLock(slow, "a lock", { timeout: 1000 })
while (!isHeldUp) await sleep(10)
let holder = [false]
while (!holder[0]) {
  await sleep(100)
  holder = await tryLock(fast, "a lock", { timeout: 60_000 })
}
const value = await fast.get("@simple-redis-mutex:lock-a lock")
goOn()
const [believes, release] = await late
await release()
const seen = {
  holder: holder[1].fencingToken,
  "the one whose lock has expired": release.fencingToken,
  "the lock is the holder's": (await fast.get("@simple-redis-mutex:lock-a lock")) === value
}
console.log(JSON.stringify(seen))
process.exit(believes && seen.holder < release.fencingToken && seen["the lock is the holder's"] ? 0 : 1)
JS
node tokens.mjs

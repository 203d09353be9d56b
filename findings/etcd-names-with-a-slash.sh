#!/usr/bin/env bash
# etcdctl 3.4.23 with etcd 3.5.30, and etcd3 1.1.2 (the npm package): the lock "a" waits for the holder of the lock "a/b", and
# whoever asks for the leader of "c" is told that of "c/d".
#
# Candidates queue under the prefix NAME/, and the oldest key of the prefix has the lock. The keys of "a/b" are under "a/", too.
# So locks whose names are paths ("namespace/name", "tenant/job") are not independent: the shorter one is blocked by all that lie
# beneath it, while the longer one is not blocked by the shorter. A program that holds "a/b" and then wants "a" waits for itself,
# in whatever order all others take them. An election answers with the leader of the other one. etcdctl has this from
# clientv3/concurrency, which etcd's lock service uses, too. Escape the slashes of a name, or hash it.
#
# Seen:
#   "a", while "a/b" is held: not acquired in 10 s
#   "a/b", while "a" is held: acquired
#   etcdctl, leader of "c": leader of c/d
#   etcd3, leader of "c": leader of c/d
# Fails if one of the four is different.
set -euo pipefail
PATH="$PATH${KUBEBUILDER_ASSETS:+:$KUBEBUILDER_ASSETS}"
command -v etcdctl >/dev/null || { echo "needs etcdctl (Debian: etcd-client)"; exit 1; }
command -v etcd >/dev/null || { echo "SKIPPED: needs etcd (Debian: etcd-server) or KUBEBUILDER_ASSETS, a folder with it"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund etcd3@1.1.2 >/dev/null

cat >names.mjs <<'JS'
import { spawn } from "node:child_process"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Etcd3 } from "etcd3"
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
const start = (command, options, env) => {
  const child = spawn(command, options, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "ignore"] })
  children.push(child)
  const lines = { text: "", child }
  child.stdout.setEncoding("utf8").on("data", (text) => (lines.text += text))
  return lines
}
const port = await freePort()
const [at, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${await freePort()}`]
start("etcd", [
  "--data-dir", "data", "--listen-client-urls", at, "--advertise-client-urls", at, "--listen-peer-urls", peer,
  "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`
])
while (!(await isUp(port))) await sleep(50)
const etcdctl = (...options) => start("etcdctl", options, { ETCDCTL_API: "3", ETCDCTL_ENDPOINTS: at })
const hasPrinted = async (lines, times, limit = Infinity) => {
  for (let n = 0; n < limit && lines.text.split("\n").length <= times; n++) await sleep(100)
  return lines.text.split("\n").length > times
}
const whileHeld = async (held, wanted, seconds) => {
  const holder = etcdctl("lock", held)
  await hasPrinted(holder, 1)
  const isAcquired = await hasPrinted(etcdctl("lock", wanted), 1, seconds * 10)
  console.log(`"${wanted}", while "${held}" is held:`, isAcquired ? "acquired" : `not acquired in ${seconds} s`)
  return isAcquired
}
const lower = await whileHeld("a/b", "a", 10)
const ended = children.splice(1).map((child) => {
  child.kill("SIGINT")
  return once(child, "exit")
})
await Promise.all(ended)
const upper = await whileHeld("a", "a/b", 60)

await hasPrinted(etcdctl("elect", "c/d", "leader of c/d"), 2)
const listener = etcdctl("elect", "-l", "c")
await hasPrinted(listener, 2)
const told = listener.text.split("\n")[1]
console.log('etcdctl, leader of "c":', told)
const client = new Etcd3({ hosts: `127.0.0.1:${port}` })
await client.election("c/d").campaign("leader of c/d").wait()
const leader = await client.election("c").leader()
console.log('etcd3, leader of "c":', leader)
process.exit(!lower && upper && told === "leader of c/d" && leader === "leader of c/d" ? 0 : 1)
JS
node names.mjs

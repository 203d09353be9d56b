#!/usr/bin/env bash
# etcd3 1.1.2 (the npm package, with etcd 3.5.30): if two callers use one Lock object, the lock is never free again while the
# process lives.
#
# `client.lock(name)` gives an object with `acquire`, `release` and `do`, which looks like a mutex that a module makes once and
# uses for each request. But it holds the lease of one acquisition. The second caller finds the lock taken, gets
# EtcdLockFailedError as it should, and has put its own lease in the place of the first one's. When the first is done, its release
# revokes the second's lease, which is gone already, and reports no error. The first lease is renewed in the background for good.
# So one contended moment is enough, and all other processes are locked out until this one ends. Make a Lock for each acquisition.
#
# Seen, with leases of 10 s, 25 s after the first caller has its result:
#   a Lock for each: {"second":"EtcdLockFailedError","first":"its result","later":"free"}
#   one Lock for both: {"second":"EtcdLockFailedError","first":"its result","later":"EtcdLockFailedError"}
# Fails if the lock is free later, though it was one Lock for both, or is not with a Lock for each.
set -euo pipefail
PATH="$PATH${KUBEBUILDER_ASSETS:+:$KUBEBUILDER_ASSETS}"
command -v etcd >/dev/null || { echo "SKIPPED: needs etcd (Debian: etcd-server) or KUBEBUILDER_ASSETS, a folder with it"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund etcd3@1.1.2 >/dev/null

cat >shared.mjs <<'JS'
import { spawn } from "node:child_process"
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
const port = await freePort()
const [at, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${await freePort()}`]
const etcd = spawn("etcd", [
  "--data-dir", "data", "--listen-client-urls", at, "--advertise-client-urls", at, "--listen-peer-urls", peer,
  "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`
], { stdio: "ignore" })
process.on("exit", () => etcd.kill("SIGKILL"))
while (!(await isUp(port))) await sleep(50)

const client = new Etcd3({ hosts: `127.0.0.1:${port}` })
const errorName = (error) => error.constructor.name
const measure = async (name, lockOfFirst, lockOfSecond) => {
  let finish
  const first = lockOfFirst.do(() => new Promise((resolve) => (finish = resolve)))
  while (!finish) await sleep(10)
  const second = await lockOfSecond.do(() => "acquired").catch(errorName)
  finish("its result")
  const seen = { second, first: await first.catch(errorName) }
  await sleep(25_000)
  seen.later = await client.lock(name).ttl(10).do(() => "free").catch(errorName)
  return JSON.stringify(seen)
}
const lock = (name) => client.lock(name).ttl(10)
const shared = lock("b")
const [each, both] = await Promise.all([measure("a", lock("a"), lock("a")), measure("b", shared, shared)])
console.log("a Lock for each:", each)
console.log("one Lock for both:", both)
const expected = (later) => JSON.stringify({ second: "EtcdLockFailedError", first: "its result", later })
process.exit(each === expected("free") && both === expected("EtcdLockFailedError") ? 0 : 1)
JS
node shared.mjs

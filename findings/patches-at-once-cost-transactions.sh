#!/usr/bin/env bash
# kube-apiserver 1.20.2: JSON patches that touch different fields of one object, sent at the same time, all succeed, and each costs the
# server several transactions with etcd: of sixteen at once about seven each, where one after the other takes one each.
#
# A patch without a resourceVersion reads as the cheap way to write beside others: nobody gets a 409, and one answer comes for one request.
# But the server reads the object, applies the patch, and writes under compare-and-swap with the object's version in etcd. If another
# patch came in between, it reads and applies again, until it wins. The client is not told; only the latency and
# etcd_request_duration_seconds_count of /metrics show it. So what N writers cost a server grows with the square of N, and a lock,
# a queue or a heartbeat that lets many processes patch one object has to keep them apart by itself.
#
# Seen (two cores; transactions for each patch, and answers that are not 200):
#   {"1 at once":{"each":1,"refused":0},"2 at once":{"each":1.5,"refused":0},"4 at once":{"each":2.4,"refused":0},"16 at once":{"each":6.8,"refused":0}}
# Fails if one after the other takes more than 1.5, or sixteen at once fewer than 3, or an answer is not 200.
set -euo pipefail
[ -n "${KUBEBUILDER_ASSETS:-}" ] || { echo "SKIPPED: needs KUBEBUILDER_ASSETS (a folder with etcd, kube-apiserver)"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >servers.mjs <<'JS'
import { spawn } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { request } from "node:https"
import { createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
export const startServers = async () => {
  const children = []
  process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")))
  const start = (name, options) => {
    const child = spawn(`${process.env.KUBEBUILDER_ASSETS}/${name}`, options.map((option) => `--${option}`), { stdio: "ignore" })
    child.on("exit", (code) => code && process.exit(2))
    children.push(child)
  }
  const [client, peer, port] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`, await freePort()]
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  writeFileSync("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }))
  writeFileSync("tokens.csv", "a-token,admin,1,system:masters\n")
  mkdirSync("certificates")
  start("etcd", [
    "data-dir=data", `listen-client-urls=${client}`, `advertise-client-urls=${client}`, `listen-peer-urls=${peer}`,
    `initial-advertise-peer-urls=${peer}`, `initial-cluster=default=${peer}`
  ])
  start("kube-apiserver", [
    `etcd-servers=${client}`, `secure-port=${port}`, "bind-address=127.0.0.1", "cert-dir=certificates",
    "token-auth-file=tokens.csv", "authorization-mode=RBAC", "disable-admission-plugins=ServiceAccount",
    "service-account-issuer=https://localhost", "service-account-key-file=key.pem",
    "service-account-signing-key-file=key.pem", "service-cluster-ip-range=10.0.0.0/24"
  ])
  const ask = (method, path, body) =>
    new Promise((resolve, reject) => {
      const type = method === "PATCH" ? "application/json-patch+json" : "application/json"
      const headers = { authorization: "Bearer a-token", "content-type": type }
      const asked = request({ host: "127.0.0.1", port, method, path, headers, rejectUnauthorized: false }, async (response) => {
        const text = Buffer.concat(await response.toArray()).toString()
        resolve({ code: response.statusCode, body: text.startsWith("{") ? JSON.parse(text) : text })
      })
      asked.on("error", reject).end(body && JSON.stringify(body))
    })
  const isReady = async () => (await ask("GET", "/api/v1/namespaces/default").catch(() => ({}))).code === 200
  while (!(await isReady())) await sleep(200)
  return { ask }
}
JS
cat >patches.mjs <<'JS'
import { startServers } from "./servers.mjs"
const { ask } = await startServers()
const objects = "/api/v1/namespaces/default/configmaps"
const annotations = Object.fromEntries(Array.from({ length: 16 }, (_, writer) => [`writer-${writer}`, "0"]))
await ask("POST", objects, { metadata: { name: "shared", annotations } })
const transactions = async () => {
  const { body } = await ask("GET", "/metrics")
  const lines = body.split("\n").filter((line) => /^etcd_request_duration_seconds_count\{operation="update".*ConfigMap"/.test(line))
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)
}
const patch = async (writer, value) => {
  const { code } = await ask("PATCH", `${objects}/shared`, [
    { op: "replace", path: `/metadata/annotations/writer-${writer}`, value: String(value) }
  ])
  return code
}
const rounds = 20
const measure = async (atOnce) => {
  const before = await transactions()
  const codes = []
  for (let sent = 0; sent < 16 * rounds; sent += atOnce) {
    codes.push(...(await Promise.all(Array.from({ length: atOnce }, (_, index) => patch((sent + index) % 16, sent)))))
  }
  const each = ((await transactions()) - before) / codes.length
  return { each: Number(each.toFixed(1)), refused: codes.filter((code) => code !== 200).length }
}
await measure(1)
const seen = {}
for (const atOnce of [1, 2, 4, 16]) seen[`${atOnce} at once`] = await measure(atOnce)
console.log(JSON.stringify(seen))
const isAsSeen = seen["1 at once"].each <= 1.5 && seen["16 at once"].each >= 3
process.exit(isAsSeen && Object.values(seen).every(({ refused }) => refused === 0) ? 0 : 1)
JS
node patches.mjs

#!/usr/bin/env bash
# @codedependant/kubernetes-leader-election 1.0.1 (with @kubernetes/client-node 1.4.0, kube-apiserver 1.20.2): there is one
# leader, once. If it stops, or dies, no candidate that has waited for longer than a lease takes its place.
#
# `lease_duration_sec` is the time "after which it is considered expired and the election process will start again". A candidate
# tries three times, at the start and half a lease apart, which is over after 20 s. After that it only watches, and takes the
# Lease when that is deleted. But a leader that stops empties it, and one that dies leaves it as it is: neither is a deletion, and
# no timer looks at the time. A test that starts the second candidate shortly before the first one stops sees a hand-off. In
# production, where replicas start together and a leader lives for days, the job is done by nobody from the first roll-out of the
# leader's node on, until a pod starts anew. What an elector promises has to be tried with a candidate that has waited for several
# leases.
#
# Seen, with leases of 6 s and a renewal each second, 20 s after the leader stopped, or was killed:
#   stopped: {"holder":"nobody","candidate leads":false,"a new one leads":true}
#   killed: {"holder":"first","candidate leads":false,"a new one leads":true}
# Fails if the candidate leads in one of the two, or a new one does not.
set -euo pipefail
[ -n "${KUBEBUILDER_ASSETS:-}" ] || { echo "SKIPPED: needs KUBEBUILDER_ASSETS (a folder with etcd, kube-apiserver)"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @codedependant/kubernetes-leader-election@1.0.1 @kubernetes/client-node@1.4.0 >/dev/null

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
      const type = method === "PATCH" ? "application/merge-patch+json" : "application/json"
      const headers = { authorization: "Bearer a-token", "content-type": type }
      const asked = request({ host: "127.0.0.1", port, method, path, headers, rejectUnauthorized: false }, async (response) => {
        const text = Buffer.concat(await response.toArray()).toString()
        resolve({ code: response.statusCode, body: text.startsWith("{") ? JSON.parse(text) : text })
      })
      asked.on("error", reject).end(body && JSON.stringify(body))
    })
  const isReady = async () => (await ask("GET", "/api/v1/namespaces/default").catch(() => ({}))).code === 200
  while (!(await isReady())) await sleep(200)
  return { ask, url: `https://127.0.0.1:${port}` }
}
JS
cat >candidate.mjs <<'JS'
import { Elector } from "@codedependant/kubernetes-leader-election"
const [identity, lease_name] = process.argv.slice(2)
const elector = new Elector({ identity, lease_name, lease_duration_sec: 6, renew_interval_ms: 1000 })
elector.on(Elector.EVENTS.LEADERSHIP_ACQUIRED, () => process.send("leads"))
elector.on(Elector.EVENTS.LEADERSHIP_LOST, () => process.send("lost"))
await elector.start()
process.send("started")
JS
cat >election.mjs <<'JS'
import { fork } from "node:child_process"
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { startServers } from "./servers.mjs"
const { ask, url } = await startServers()
writeFileSync("kubeconfig", JSON.stringify({
  clusters: [{ name: "c", cluster: { server: url, "insecure-skip-tls-verify": true } }],
  users: [{ name: "u", user: { token: "a-token" } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
}))
const env = { ...process.env, KUBECONFIG: "kubeconfig", KUBERNETES_SERVICE_HOST: "127.0.0.1" }
const children = []
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")))
const candidate = (identity, lease) => {
  const child = fork("candidate.mjs", [identity, lease], { env, stdio: ["ignore", "ignore", "inherit", "ipc"] })
  children.push(child)
  const seen = { child, messages: [] }
  child.on("message", (message) => seen.messages.push(message))
  return seen
}
const until = async (seen, message) => {
  for (let n = 0; n < 600 && !seen.messages.includes(message); n++) await sleep(100)
  return seen.messages.includes(message)
}
const succession = async (lease, end) => {
  const first = candidate("first", lease)
  await until(first, "leads")
  const second = candidate("second", lease)
  await until(second, "started")
  await sleep(15_000)
  first.child.kill(end)
  await sleep(20_000)
  const path = `/apis/coordination.k8s.io/v1/namespaces/default/leases/${lease}`
  const holder = (await ask("GET", path)).body.spec.holderIdentity ?? "nobody"
  const leads = second.messages.includes("leads")
  return { holder, "candidate leads": leads, "a new one leads": await until(candidate("third", lease), "leads") }
}
const [stopped, killed] = await Promise.all([succession("stopped", "SIGTERM"), succession("killed", "SIGKILL")])
console.log("stopped:", JSON.stringify(stopped))
console.log("killed:", JSON.stringify(killed))
const isAsSaid = (seen) => !seen["candidate leads"] && seen["a new one leads"]
process.exit(isAsSaid(stopped) && isAsSaid(killed) && stopped.holder === "nobody" && killed.holder === "first" ? 0 : 1)
JS
node election.mjs

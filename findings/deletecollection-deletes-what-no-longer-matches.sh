#!/usr/bin/env bash
# kube-apiserver 1.20.2 and apiextensions-apiserver 1.36.4: a DELETE of a collection by a label deletes objects that lost the label
# before their turn came.
#
# `DELETE …/leases?labelSelector=state=done` is one request, and reads as one statement: what is in use is not touched. It is how one
# clears away locks that nobody holds any more. But the server lists first, and then deletes one after the other, by name alone: it
# looks neither at the label again nor at the resourceVersion. Whoever takes such a lock in the meantime is answered with 200, and
# loses the object under it, to the next one who creates it. Each deletion is a write of some milliseconds, so with ten thousand
# objects there is a minute for that, and with the three of a test there is none. The answer shows each object as it was when it was
# listed. A janitor has to delete one by one, on condition of the resourceVersion that it has judged by.
#
# Seen, on both, for 200 objects of which the last is taken when the first is gone (a request with a precondition for comparison):
#   {"taken":200,"afterwards":404,"deleted as":"done","with a precondition":409}
# Fails if the object that was taken is there afterwards, or it could not be taken.
set -euo pipefail
[ -n "${KUBEBUILDER_ASSETS:-}" ] || { echo "SKIPPED: needs KUBEBUILDER_ASSETS (a folder with etcd, kube-apiserver, apiextensions-apiserver)"; exit 0; }
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
const askOf = (port) => (method, path, body, type = "application/json") =>
  new Promise((resolve, reject) => {
    const content = Buffer.from(typeof body === "object" ? JSON.stringify(body) : (body ?? ""))
    const headers = { authorization: "Bearer a-token", "content-type": type, "content-length": content.length }
    const asked = request({ host: "127.0.0.1", port, method, path, headers, rejectUnauthorized: false }, async (response) => {
      const text = Buffer.concat(await response.toArray()).toString()
      resolve({ code: response.statusCode, body: text.startsWith("{") ? JSON.parse(text) : text })
    })
    asked.on("error", reject).end(content)
  })
export const startServers = async () => {
  const children = []
  process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")))
  const start = (name, options) => {
    const child = spawn(`${process.env.KUBEBUILDER_ASSETS}/${name}`, options.map((option) => `--${option}`), { stdio: "ignore" })
    child.on("exit", (code) => code && process.exit(2))
    children.push(child)
  }
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`]
  const [port, newPort] = [await freePort(), await freePort()]
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  writeFileSync("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }))
  writeFileSync("tokens.csv", "a-token,admin,1,system:masters\n")
  writeFileSync("kubeconfig", JSON.stringify({
    clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: { token: "a-token" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x"
  }))
  mkdirSync("certificates")
  mkdirSync("new-certificates")
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
  const ask = askOf(port)
  const answers = async (ask, path) => (await ask("GET", path).catch(() => ({}))).code === 200
  while (!(await answers(ask, "/api/v1/namespaces/default"))) await sleep(200)
  start("apiextensions-apiserver", [
    `etcd-servers=${client}`, "etcd-prefix=/new", `secure-port=${newPort}`, "bind-address=127.0.0.1", "cert-dir=new-certificates",
    "authentication-kubeconfig=kubeconfig", "authorization-kubeconfig=kubeconfig", "kubeconfig=kubeconfig",
    "enable-priority-and-fairness=false",
    "disable-admission-plugins=NamespaceLifecycle,MutatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionPolicy,ValidatingAdmissionWebhook"
  ])
  const askNew = askOf(newPort)
  const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
  while (!(await answers(askNew, definitions))) await sleep(200)
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
  await askNew("POST", definitions, {
    metadata: { name: "locks.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "locks", kind: "Lock" },
      versions: [{ name: "v1", served: true, storage: true, schema }]
    }
  })
  const locks = "/apis/example.com/v1/namespaces/default/locks"
  while (!(await answers(askNew, locks))) await sleep(200)
  return [
    { server: "kube-apiserver 1.20.2", ask, path: "/api/v1/namespaces/default/configmaps", type: {} },
    { server: "apiextensions-apiserver 1.36.4", ask: askNew, path: locks, type: { apiVersion: "example.com/v1", kind: "Lock" } }
  ]
}
JS
cat >janitor.mjs <<'JS'
import { startServers } from "./servers.mjs"
const count = 200
const nameOf = (index) => `lock-${String(index).padStart(5, "0")}`
const expected = JSON.stringify({ taken: 200, afterwards: 404, "deleted as": "done", "with a precondition": 409 })
let isAsSaid = true
for (const { server, ask, path, type } of await startServers()) {
  const make = (name) => ask("POST", path, { ...type, metadata: { name, labels: { state: "done" } } })
  const take = async (name) => {
    const held = { metadata: { labels: { state: "held" } } }
    return (await ask("PATCH", `${path}/${name}`, held, "application/merge-patch+json")).code
  }
  for (let made = 0; made < count; made += 20) await Promise.all(Array.from({ length: 20 }, (_, n) => make(nameOf(made + n))))
  const [first, last] = [nameOf(0), nameOf(count - 1)]
  const deletion = ask("DELETE", `${path}?labelSelector=state%3Ddone`)
  while ((await ask("GET", `${path}/${first}`)).code === 200);
  const taken = await take(last)
  const { body } = await deletion
  const afterwards = (await ask("GET", `${path}/${last}`)).code
  const deletedAs = body.items.find(({ metadata }) => metadata.name === last).metadata.labels.state
  const { resourceVersion } = (await make("single")).body.metadata
  await take("single")
  const single = await ask("DELETE", `${path}/single`, { preconditions: { resourceVersion } })
  const seen = { taken, afterwards, "deleted as": deletedAs, "with a precondition": single.code }
  console.log(`${server}:`, JSON.stringify(seen))
  isAsSaid &&= JSON.stringify(seen) === expected
}
process.exit(isAsSaid ? 0 : 1)
JS
node janitor.mjs

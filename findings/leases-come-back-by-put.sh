#!/usr/bin/env bash
# kube-apiserver 1.20.2: a PUT of a Lease that has been deleted makes it anew, although it names the resourceVersion that it was
# read at. To a holder that slept while others held the lock, its renewal looks as if nothing had happened.
#
# A PUT with a resourceVersion is a compare-and-swap: one expects 409 if the object changed, and 404 if it is gone. It is so for a
# ConfigMap. But a Lease (as few other kinds) may be created by PUT, and then the resourceVersion of the body is not looked at:
# 201, with another uid. So a lock on Leases that is released by deleting has no compare-and-swap at the one moment that counts:
# the old holder, late by any number of terms, gets a success and holds again, without a change that it could see. With the uid in
# the body, as client-go sends it, the answer is 409; a PATCH answers 404.
#
# Seen, for a renewal by "a" of an object that it read, that was deleted, that "b" made and deleted in its term, and is gone:
#   {"ConfigMap":404,"Lease":201,"Lease with its uid":409,"Lease by PATCH":404}
# Fails if one of the codes is another.
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
cat >lease.mjs <<'JS'
import { startServers } from "./servers.mjs"
const { ask } = await startServers()
const coordination = ["/apis/coordination.k8s.io/v1/namespaces/default/leases", { spec: { holderIdentity: "a" } }]
const core = ["/api/v1/namespaces/default/configmaps", { data: { holder: "a" } }]
const lateRenewal = async ([path, content], renewal) => {
  const metadata = { name: "lock" }
  const read = await ask("POST", path, { metadata, ...content })
  await ask("DELETE", `${path}/lock`)
  await ask("POST", path, { metadata })
  await ask("DELETE", `${path}/lock`)
  const { resourceVersion, uid } = read.body.metadata
  const { code } = await renewal(`${path}/lock`, { ...metadata, resourceVersion }, uid, content)
  await ask("DELETE", `${path}/lock`)
  return code
}
const put = (path, metadata, _, content) => ask("PUT", path, { metadata, ...content })
const seen = {
  ConfigMap: await lateRenewal(core, put),
  Lease: await lateRenewal(coordination, put),
  "Lease with its uid": await lateRenewal(coordination, (path, metadata, uid, content) =>
    ask("PUT", path, { metadata: { ...metadata, uid }, ...content })
  ),
  "Lease by PATCH": await lateRenewal(coordination, (path, metadata, _, content) => ask("PATCH", path, { metadata, ...content }))
}
console.log(JSON.stringify(seen))
process.exit(JSON.stringify(Object.values(seen)) === "[404,201,409,404]" ? 0 : 1)
JS
node lease.mjs

#!/usr/bin/env bash
# kube-apiserver 1.20.2 and apiextensions-apiserver 1.36.4: `test` of a JSON patch fails for a text that is equal, if it has a `&`, `<` or
# `>` in it. The same text passes if the patch spells it with \u0026.
#
# A patch whose first operation is a `test` is the usual compare-and-swap of one field: renew, if the holder is still I. RFC 6902 says
# that texts are equal if their characters are. The server compares the bytes of their JSON. What is stored it encodes as Go does,
# with `&` as \u0026; `JSON.stringify`, and nearly every other encoder, writes `&`. So a holder called "R&D" acquires the lock (there is
# nothing to compare then), and its first renewal is answered with 422, as if another had it. It cannot release it either. With
# Python it is "Jörg" that fails, since `json.dumps` writes \u00f6, and Go does not. A trial with `kubectl patch` passes, since that
# parses the patch and encodes it anew, in Go. A remedy: after JSON.stringify, write `<`, `>`, `&`, U+2028 and U+2029 as escapes.
#
# Seen, on both (codes of a renewal by the holder itself):
#   {"RD":200,"R&D":422,"R\\u0026D":200,"<RD>":422,"Jörg":200,"J\\u00f6rg":422}
# Fails if one of the codes is another.
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
cat >renewals.mjs <<'JS'
import { startServers } from "./servers.mjs"
const spellings = [["RD", "RD"], ["R&D", "R&D"], ["R&D", "R\\u0026D"], ["<RD>", "<RD>"], ["Jörg", "Jörg"], ["Jörg", "J\\u00f6rg"]]
const expected = JSON.stringify({ RD: 200, "R&D": 422, "R\\u0026D": 200, "<RD>": 422, Jörg: 200, "J\\u00f6rg": 422 })
let isAsSaid = true
for (const { server, ask, path, type } of await startServers()) {
  const codes = {}
  for (const [holder, spelling] of spellings) {
    await ask("POST", path, { ...type, metadata: { name: "lock", annotations: { holder } } })
    const patch = `[
      { "op": "test", "path": "/metadata/annotations/holder", "value": "${spelling}" },
      { "op": "add", "path": "/metadata/annotations/renewed", "value": "now" }
    ]`
    const { code } = await ask("PATCH", `${path}/lock`, patch, "application/json-patch+json")
    codes[spelling] = code
    await ask("DELETE", `${path}/lock`)
  }
  console.log(`${server}:`, JSON.stringify(codes))
  isAsSaid &&= JSON.stringify(codes) === expected
}
process.exit(isAsSaid ? 0 : 1)
JS
node renewals.mjs

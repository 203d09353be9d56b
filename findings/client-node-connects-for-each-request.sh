#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1: each request opens a connection of its own, with a TLS handshake, and leaves it open. No connection is
# ever used twice.
#
# Version 2 sends through undici, which keeps pools. But a client makes a new undici Agent, and with it a new pool, for each request
# as soon as the cluster has a certificate authority, a client certificate or "insecure-skip-tls-verify": that is, for every real
# cluster. Nothing closes the pools. An idle connection goes when undici's four seconds are over, or those that the server offers.
# So a program that renews locks or leases twenty times a second has made as many handshakes, and has eighty connections or more at
# the API server. (2.0.1 caches the agents for exec, attach and port-forward; requests and watches do not use those.)
#
# Seen, for 100 requests, one after the other, by one CoreV1Api:
#   https.Agent with keep-alive: {"connections":1,"open after the last":1}
#   client-node: {"connections":100,"open after the last":100}
# Fails if a connection of client-node is used twice, or the server does not keep connections.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 selfsigned@5.5.0 node@24.21.0 >/dev/null

cat >connections.mjs <<'JS'
import { Agent, createServer, get } from "node:https"
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node"
import { generate } from "selfsigned"
const subject = [{ name: "commonName", value: "localhost" }]
const { cert, private: key } = await generate(subject, {
  extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }]
})
const namespace = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } })
let sockets = []
const server = createServer({ cert, key, keepAliveTimeout: 60_000 }, (_, response) => {
  response.setHeader("content-type", "application/json").end(namespace)
})
server.on("secureConnection", (socket) => sockets.push(socket))
await new Promise((resolve) => server.listen(0, resolve))
const url = `https://localhost:${server.address().port}`
const measure = async (name, ask) => {
  sockets = []
  for (let n = 0; n < 100; n++) await ask()
  const seen = { connections: sockets.length, "open after the last": sockets.filter((socket) => !socket.destroyed).length }
  console.log(`${name}:`, JSON.stringify(seen))
  return seen
}

const agent = new Agent({ keepAlive: true, ca: cert })
const plain = await measure("https.Agent with keep-alive", () =>
  new Promise((resolve, reject) => {
    get(`${url}/api/v1/namespaces/default`, { agent }, (response) => response.resume().on("close", resolve)).on("error", reject)
  })
)
agent.destroy()
const kubeConfig = new KubeConfig()
kubeConfig.loadFromString(JSON.stringify({
  clusters: [{ name: "c", cluster: { server: url, "certificate-authority-data": Buffer.from(cert).toString("base64") } }],
  users: [{ name: "u", user: { token: "t" } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
}))
const api = kubeConfig.makeApiClient(CoreV1Api)
const seen = await measure("client-node", () => api.readNamespace({ name: "default" }))
process.exit(plain.connections === 1 && seen.connections === 100 ? 0 : 1)
JS
npx --no-install node connections.mjs

#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1: exec, attach, cp and port-forward use the first client certificate for as long as the KubeConfig
# lives. Requests use the current one.
#
# A credential plugin ("exec" in a kubeconfig) gives out client certificates that live for an hour or so, and client-node asks it for
# the next one in time. Requests are made with that. But the four that go over a WebSocket take their agent from a cache whose key is
# the names of cluster and user. The agent holds the certificate, the key and the certificate authority of the time at which it was
# made, and the options of an agent go before those of the connection. So a program works in its first hour, and from then on can
# list pods, but not exec into one, until it is restarted. It is the same if files are replaced, as cert-manager and kubelet do.
#
# Seen, with a plugin that gives another certificate each time:
#   exec with certificate 1
#   exec with certificate 1
#   request with certificate 3
# Fails if the second exec is made with another certificate than the first, or the request with an older one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 selfsigned@5.5.0 node@24.21.0 >/dev/null

cat >plugin.sh <<'SCRIPT'
#!/bin/sh
echo >>runs
cat "credential-$(wc -l <runs | tr -d ' ').json"
SCRIPT
chmod +x plugin.sh
cat >certificates.mjs <<'JS'
import { writeFileSync } from "node:fs"
import { createServer } from "node:https"
import { CoreV1Api, Exec, KubeConfig } from "@kubernetes/client-node"
import { generate } from "selfsigned"
const certificate = (name) => generate([{ name: "commonName", value: name }])
for (const n of [1, 2, 3]) {
  const { cert, private: key } = await certificate(`certificate ${n}`)
  const status = { clientCertificateData: cert, clientKeyData: key, expirationTimestamp: "2020-01-01T00:00:00Z" }
  const credential = { apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", status }
  writeFileSync(`credential-${n}.json`, JSON.stringify(credential))
}
const { cert, private: key } = await certificate("localhost")
const namespace = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } })
const seen = []
const note = (what, socket) => seen.push(`${what} with ${socket.getPeerCertificate().subject?.CN}`)
const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (request, response) => {
  note("request", request.socket)
  response.setHeader("content-type", "application/json").end(namespace)
})
server.on("upgrade", (_, socket) => {
  note("exec", socket)
  socket.destroy()
})
await new Promise((resolve) => server.listen(0, resolve))
const kubeConfig = new KubeConfig()
kubeConfig.loadFromString(JSON.stringify({
  clusters: [{ name: "c", cluster: { server: `https://localhost:${server.address().port}`, "insecure-skip-tls-verify": true } }],
  users: [{ name: "u", user: { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "./plugin.sh" } } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
}))
const exec = () => new Exec(kubeConfig).exec("default", "pod", "container", ["true"], null, null, null, false).catch(() => {})
await exec()
await exec()
await kubeConfig.makeApiClient(CoreV1Api).readNamespace({ name: "default" })
console.log(seen.join("\n"))
process.exit(seen.join() === "exec with certificate 1,exec with certificate 1,request with certificate 3" ? 0 : 1)
JS
npx --no-install node certificates.mjs

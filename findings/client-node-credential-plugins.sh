#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1: its credential plugins ("exec" in a kubeconfig) run once for each request that waits, and not at all
# after a 401.
#
# client-go runs a plugin once, however many requests wait for the credential, and again when the API server answers 401; a credential
# without "expirationTimestamp" is by Kubernetes' documentation kept until then. client-node starts a process for each request that
# comes while there is none. So whenever a token expires, a busy program starts as many logins at once, which identity providers
# answer with a limit, or, if the plugin's refresh token rotates, with the end of its session. And a credential without an expiry is
# kept for good: if it is revoked, each request fails until the program is restarted, though the plugin would give a new one.
#
# Seen:
#   {"runs for 20 requests at once":20,"runs after five times 401":0}
# Fails if the plugin runs fewer times for the twenty, or again after a 401.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 selfsigned@5.5.0 node@24.21.0 >/dev/null

cat >plugin.sh <<'SCRIPT'
#!/bin/sh
echo run >>runs
sleep 1
echo '{ "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": "t" } }'
SCRIPT
chmod +x plugin.sh
cat >plugins.mjs <<'JS'
import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node"
import { generate } from "selfsigned"
const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }])
const namespace = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } })
const unauthorized = JSON.stringify({ apiVersion: "v1", kind: "Status", status: "Failure", reason: "Unauthorized", code: 401 })
let isRevoked = false
const server = createServer({ cert, key }, (_, response) => {
  response.writeHead(isRevoked ? 401 : 200, { "content-type": "application/json" }).end(isRevoked ? unauthorized : namespace)
})
await new Promise((resolve) => server.listen(0, resolve))
const kubeConfig = new KubeConfig()
kubeConfig.loadFromString(JSON.stringify({
  clusters: [{ name: "c", cluster: { server: `https://localhost:${server.address().port}`, "insecure-skip-tls-verify": true } }],
  users: [{ name: "u", user: { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "./plugin.sh" } } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
}))
const api = kubeConfig.makeApiClient(CoreV1Api)
const ask = () => api.readNamespace({ name: "default" })
const runs = () => readFileSync("runs", "utf8").split("\n").length - 1

await Promise.all(Array.from({ length: 20 }, ask))
const atOnce = runs()
isRevoked = true
for (let n = 0; n < 5; n++) await ask().catch(() => {})
const seen = { "runs for 20 requests at once": atOnce, "runs after five times 401": runs() - atOnce }
console.log(JSON.stringify(seen))
process.exit(atOnce === 20 && runs() === 20 ? 0 : 1)
JS
npx --no-install node plugins.mjs

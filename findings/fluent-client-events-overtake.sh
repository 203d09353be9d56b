#!/usr/bin/env bash
# kubernetes-fluent-client 3.11.6 (3.11.11 is the same): events of a watch overtake each other. The last that a callback hears of an
# object need not be the last that happened, and the client's own cache keeps the older state, too.
#
# The events that arrive in one chunk are handled one after the other, each when the callback of the one before has ended. The chunk
# after that does not wait. So if a callback takes longer than the time to the next chunk (a request, say), what came later is
# handled first, and the event that waited comes after it, as if it were news. Which events share a chunk is up to the network. A
# watcher of a lock or a Lease believes in a holder that has long given it up, until something changes or the list is read again,
# ten minutes later.
#
# Seen, for three changes of which the first two are sent together and the third follows at once, and a callback that takes 1 s:
#   holders in the order in which they were told: ["holder-1","holder-3","holder-2"]
# Fails if the holders are told in the order in which they were sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund kubernetes-fluent-client@3.11.6 node@24.21.0 >/dev/null

cat >order.mjs <<'JS'
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { K8s, kind } from "kubernetes-fluent-client"
const change = (n) => {
  const metadata = { name: "lock", namespace: "default", uid: "u", resourceVersion: `${10 + n}` }
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { holder: `holder-${n}` } }
  return JSON.stringify({ type: "MODIFIED", object }) + "\n"
}
const told = []
const server = createServer(async (request, response) => {
  response.setHeader("content-type", "application/json")
  if (!request.url.includes("watch=true")) {
    return response.end(JSON.stringify({ apiVersion: "v1", kind: "ConfigMapList", metadata: { resourceVersion: "10" }, items: [] }))
  }
  response.write(change(1) + change(2))
  while (told.length === 0) await sleep(10)
  response.write(change(3))
})
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
writeFileSync("kubeconfig", JSON.stringify({
  apiVersion: "v1",
  kind: "Config",
  clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${server.address().port}`, "insecure-skip-tls-verify": true } }],
  users: [{ name: "u", user: { token: "t" } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
}))
process.env.KUBECONFIG = `${process.cwd()}/kubeconfig`
const watcher = K8s(kind.ConfigMap).InNamespace("default").Watch(async (object) => {
  told.push(object.data.holder)
  // The first callback takes until the third change has had its time to arrive.
  if (told.length === 1) await sleep(1000)
})
await watcher.start()
while (told.length < 3) await sleep(10)
console.log("holders in the order in which they were told:", JSON.stringify(told))
process.exit(told.join() === "holder-1,holder-3,holder-2" ? 0 : 1)
JS
timeout 30 npx --no-install node order.mjs

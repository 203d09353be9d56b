#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1: an exception that a watch's callback throws is taken for bad JSON and dropped. The same exception in
# an informer's handler ends the process.
#
# The callback of `Watch` is called in the `try` that parses the line, and what is caught there is ignored. So a bug in the callback,
# or an invariant of a lock that does not hold, shows nowhere: not in "done", not as an uncaught exception, and the watch goes on. An
# informer is built on the same watch, but its handlers are called from an async function whose promise nobody has: there it is an
# unhandled rejection, which ends a Node.js process, and no "error" event of the informer comes before it. Handlers that would have
# come after the one that throws are not called for that event, in either case.
#
# Seen, for three events; the callback of the watch throws at each, that of the informer at the first:
#   Watch: {"heard":3,"done":"not called","unhandled rejections":0}
#   informer: {"heard":3,"error":"not called","unhandled rejections":1}
# Fails if an exception in the callback of Watch shows anywhere, or one in a handler of the informer is an "error".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 node@24.21.0 >/dev/null

cat >exceptions.mjs <<'JS'
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { KubeConfig, ListWatch, Watch } from "@kubernetes/client-node"
const event = (n) => {
  const metadata = { name: "lock", namespace: "default", resourceVersion: `${n}` }
  return JSON.stringify({ type: "MODIFIED", object: { apiVersion: "v1", kind: "ConfigMap", metadata } }) + "\n"
}
const server = createServer(async (_, response) => {
  response.setHeader("content-type", "application/json")
  for (const n of [1, 2, 3]) response.write(event(n))
})
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
const kubeConfig = new KubeConfig()
kubeConfig.loadFromOptions({
  clusters: [{ name: "c", server: `http://127.0.0.1:${server.address().port}`, skipTLSVerify: true }],
  users: [{ name: "u", token: "t" }],
  contexts: [{ name: "x", cluster: "c", user: "u" }],
  currentContext: "x"
})
let rejections = 0
process.on("unhandledRejection", () => rejections++)
process.on("uncaughtException", () => rejections++)
const watch = new Watch(kubeConfig)

const byWatch = { heard: 0, done: "not called" }
let isStopped = false
const stop = await watch.watch("/api/v1/configmaps", {}, () => {
  byWatch.heard++
  throw new Error("an invariant does not hold")
}, () => isStopped || (byWatch.done = "called"))
while (byWatch.heard < 3) await sleep(10)
await sleep(100)
byWatch["unhandled rejections"] = rejections
console.log("Watch:", JSON.stringify(byWatch))
isStopped = true
stop.abort()
await sleep(100)

rejections = 0
const byInformer = { heard: 0, error: "not called" }
const informer = new ListWatch("/api/v1/configmaps", watch, async () => ({ metadata: { resourceVersion: "0" }, items: [] }), false)
informer.on("change", () => {
  byInformer.heard++
  if (byInformer.heard === 1) throw new Error("an invariant does not hold")
})
informer.on("error", () => (byInformer.error = "called"))
await informer.start()
while (byInformer.heard < 3) await sleep(10)
await sleep(100)
byInformer["unhandled rejections"] = rejections
console.log("informer:", JSON.stringify(byInformer))
const isAsSaid =
  byWatch.done === "not called" &&
  byWatch["unhandled rejections"] === 0 &&
  byInformer.error === "not called" &&
  byInformer["unhandled rejections"] === 1
process.exit(isAsSaid ? 0 : 1)
JS
timeout 30 npx --no-install node exceptions.mjs

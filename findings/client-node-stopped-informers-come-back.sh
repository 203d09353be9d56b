#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1: an informer that is stopped says "error". With the error handler of the project's own examples, which
# starts it again, no informer can be stopped: it is back some seconds later, and the next `stop` has the same effect.
#
# `stop` aborts the watch, and the abort comes back as an error of the watch. Whether the informer has been stopped is asked after that.
# An informer stops at any error, so each program has a handler that calls `start` after a while, as the examples show. And `start`
# makes a stopped informer a running one. So a leader that has lost its Lease and stops its informers goes on reconciling beside the
# next one. A test that looks right after `stop` sees a closed connection. The handler has to know by itself that it was stopped, or
# look for an AbortError.
#
# Seen, with a handler that starts it 1 s after an error:
#   {"errors before stop":0,"watches before stop":1,"errors":["AbortError"],"right after stop":0,"3 s later":1,"heard after stop":["later"]}
# Fails if `stop` is no error, or the informer is not back 3 s later.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 node@24.21.0 >/dev/null

cat >informer.mjs <<'JS'
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { CoreV1Api, KubeConfig, makeInformer } from "@kubernetes/client-node"
const path = "/api/v1/namespaces/default/configmaps"
const watches = new Set()
const server = createServer((request, response) => {
  response.setHeader("content-type", "application/json")
  if (!request.url.includes("watch=true")) {
    const list = { apiVersion: "v1", kind: "ConfigMapList", metadata: { resourceVersion: "1" }, items: [] }
    return response.end(JSON.stringify(list))
  }
  watches.add(response)
  response.on("close", () => watches.delete(response))
  response.flushHeaders()
})
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
const kubeConfig = new KubeConfig()
kubeConfig.loadFromOptions({
  clusters: [{ name: "c", server: `http://127.0.0.1:${server.address().port}`, skipTLSVerify: true }],
  users: [{ name: "u" }],
  contexts: [{ name: "x", cluster: "c", user: "u" }],
  currentContext: "x"
})
const api = kubeConfig.makeApiClient(CoreV1Api)
const informer = makeInformer(kubeConfig, path, () => api.listNamespacedConfigMap({ namespace: "default" }))
const errors = []
const heard = []
informer.on("error", (error) => {
  errors.push(error.name)
  setTimeout(() => informer.start(), 1000)
})
informer.on("add", ({ metadata }) => heard.push(metadata.name))
await informer.start()
await sleep(1000)
const before = { "errors before stop": errors.length, "watches before stop": watches.size }
await informer.stop()
await sleep(500)
const rightAfter = watches.size
await sleep(2500)
const later = watches.size
const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "later", namespace: "default", resourceVersion: "2" } }
watches.forEach((watch) => watch.write(`${JSON.stringify({ type: "ADDED", object })}\n`))
await sleep(500)
const seen = { ...before, errors, "right after stop": rightAfter, "3 s later": later, "heard after stop": heard }
console.log(JSON.stringify(seen))
process.exit(errors.join() === "AbortError" && rightAfter === 0 && later === 1 && heard.join() === "later" ? 0 : 1)
JS
npx --no-install node informer.mjs

#!/usr/bin/env bash
# kubectl 1.20.2 and 1.32.4: two `kubectl annotate` without --overwrite both succeed in setting one annotation to different values.
#
# "Attempting to set an annotation that already exists will fail unless --overwrite is set", says its help, and scripts use that as a
# lock: the one whose command succeeds has it. But kubectl reads the object, looks at the annotation itself, and sends a merge patch
# without the resourceVersion that it read. The API server cannot tell that the other one was faster. So of two that read before
# either wrote, each is told that it has set the annotation, and the first is overwritten without --overwrite. It is the same with
# `kubectl label`. With --resource-version of an object read before, the patch carries it, and one of the two fails.
#
# Seen, with an API server whose answers to the two reads are sent when both have come:
#   exit codes without --resource-version: [0,0]
#   exit codes with --resource-version, sorted: [0,1]
# Fails if one of the two fails without --resource-version, or both succeed with it.
set -euo pipefail
command -v kubectl >/dev/null || { echo "needs kubectl (Debian: kubernetes-client)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >annotate.mjs <<'JS'
import { execFile } from "node:child_process"
import { createServer } from "node:http"
let lock
let reads = []
const configMaps = { name: "configmaps", singularName: "", namespaced: true, kind: "ConfigMap", verbs: ["get", "patch"] }
const answerTo = (method, path, body) => {
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] }
  if (path === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: [] }
  if (path === "/api/v1") return { kind: "APIResourceList", groupVersion: "v1", resources: [configMaps] }
  if (path !== "/api/v1/namespaces/default/configmaps/lock") return { kind: "Status", status: "Failure", reason: "NotFound", code: 404 }
  if (method === "GET") return lock
  const { annotations, resourceVersion } = JSON.parse(body).metadata
  if (resourceVersion !== undefined && resourceVersion !== lock.metadata.resourceVersion) {
    return { kind: "Status", status: "Failure", reason: "Conflict", message: "the object has been modified", code: 409 }
  }
  const version = `${Number(lock.metadata.resourceVersion) + 1}`
  const metadata = { ...lock.metadata, resourceVersion: version, annotations: { ...lock.metadata.annotations, ...annotations } }
  lock = { ...lock, metadata }
  return lock
}
const server = createServer(async (request, response) => {
  const path = request.url.split("?")[0]
  const body = Buffer.concat(await request.toArray()).toString()
  const isRead = request.method === "GET" && path.endsWith("/lock")
  const answer = answerTo(request.method, path, body)
  if (isRead) {
    await new Promise((resolve) => {
      reads.push(resolve)
      if (reads.length === 2) reads.forEach((read) => read())
    })
  }
  response.writeHead(answer.code ?? 200, { "content-type": "application/json" }).end(JSON.stringify(answer))
})
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
const annotate = (holder, ...options) =>
  new Promise((resolve) => {
    const args = ["annotate", "configmap/lock", `holder=${holder}`, `--server=http://127.0.0.1:${server.address().port}`, ...options]
    const env = { PATH: process.env.PATH, HOME: `${process.cwd()}/${holder}`, KUBECONFIG: "/dev/null" }
    execFile("kubectl", args, { env }, (error) => resolve(error?.code ?? 0))
  })
const both = async (...options) => {
  reads = []
  const metadata = { name: "lock", namespace: "default", resourceVersion: "1", annotations: {} }
  lock = { apiVersion: "v1", kind: "ConfigMap", metadata }
  return Promise.all([annotate("a", ...options), annotate("b", ...options)])
}
const without = await both()
console.log("exit codes without --resource-version:", JSON.stringify(without))
const withVersion = (await both("--resource-version=1")).sort()
console.log("exit codes with --resource-version, sorted:", JSON.stringify(withVersion))
process.exit(without.join() === "0,0" && withVersion.join() === "0,1" ? 0 : 1)
JS
node annotate.mjs

#!/usr/bin/env bash
# Deno 2.9.6: worker threads differ from those of Node.js in two ways. Their `parentPort` has no `close`, and they receive the signals
# of the process.
#
# Effect 4.1.0 ends a worker with `parentPort.close()`, so each worker of a program ends with an uncaught TypeError. And a program
# that ends in order on SIGTERM, first its own work and then its workers, finds that the workers have heard the signal, too.
#
# Seen (deno, then node 24.21.0):
#   {"close":"undefined","signals":["main","worker"]}
#   {"close":"function","signals":["main"]}
# Fails if Deno is as Node.js is in one of the two, or Node.js is not as said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "deno": true, "node": true } }' >package.json
npm install --silent --no-audit --no-fund deno@2.9.6 node@24.21.0 >/dev/null

cat >worker.mjs <<'JS'
import { isMainThread, parentPort, Worker } from "node:worker_threads"
import { fileURLToPath } from "node:url"
if (isMainThread) {
  const seen = { close: undefined, signals: [] }
  process.on("SIGTERM", () => seen.signals.push("main"))
  const worker = new Worker(fileURLToPath(import.meta.url))
  worker.on("message", (message) => {
    if (message.signal) return seen.signals.push("worker")
    seen.close = message.close
    process.kill(process.pid, "SIGTERM")
    setTimeout(() => {
      seen.signals.sort()
      console.log(JSON.stringify(seen))
      const expected = process.argv[2] === "deno" ? ["undefined", "main,worker"] : ["function", "main"]
      process.exit(seen.close === expected[0] && seen.signals.join() === expected[1] ? 0 : 1)
    }, 2000)
  })
} else {
  process.on("SIGTERM", () => parentPort.postMessage({ signal: true }))
  parentPort.postMessage({ close: typeof parentPort.close })
  setInterval(() => {}, 1000)
}
JS
npx --no-install deno run -A worker.mjs deno
npx --no-install node worker.mjs node

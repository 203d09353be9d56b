#!/usr/bin/env bash
# bottleneck 2.19.5: a Group with `maxConcurrent: 1`, which is a mutex for each key, lets a second job in beside one that runs for
# longer than five minutes.
#
# "Limiters that have been idle for longer than 5 minutes are deleted". Idle means: no job of the key has *started* for so long. A
# job that still runs, and jobs that wait behind it, do not count. The key's limiter is deleted, the next `group.key(key)` makes a
# new one that knows of nothing, and its job starts at once. The old limiter goes on with those that waited: from then on the key
# has two queues. Whoever keeps the limiter, and does not ask the group for it, stays with the old one. It takes a job of more
# than five minutes, so a test never sees it. `timeout` moves the limit; it has to be longer than the longest job.
#
# Seen, with a timeout of 1 s, jobs that run until told, one that runs, one that waits, and a third asked for 3 s later:
#   jobs of the key that run at once: 2
# Fails if it is one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bottleneck@2.19.5 >/dev/null

cat >group.mjs <<'JS'
import { setTimeout as sleep } from "node:timers/promises"
import Bottleneck from "bottleneck"
const group = new Bottleneck.Group({ maxConcurrent: 1, timeout: 1000 })
let running = 0
const job = () => {
  running++
  return new Promise(() => {})
}
group.key("a key").schedule(job)
group.key("a key").schedule(job)
await sleep(3000)
const before = running
group.key("a key").schedule(job)
await sleep(1000)
console.log("jobs of the key that run at once:", running)
process.exit(before === 1 && running === 2 ? 0 : 1)
JS
node group.mjs

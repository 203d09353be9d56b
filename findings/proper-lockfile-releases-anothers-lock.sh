#!/usr/bin/env bash
# proper-lockfile 4.1.2: a holder that was too slow to keep its lock removes the lock of the next one when it releases, and is
# told that all went well. A third gets in beside the second.
#
# A lock that is not renewed for `stale` (10 s) may be taken by another. The renewal looks whether the lock is still its own, and
# "the release function also rejects on error (e.g. when the lock was already compromised)". But the release itself does not look:
# it removes the folder, whoever made it. Whether a holder that lost its lock hears of it is a race between its renewal timer and
# its release. After work that blocks the event loop (a synchronous parse, a build, a machine that sleeps in it) the release comes
# first. The second holder hears of it at its own next renewal, up to 5 s later. What a release removes has to be compared with
# what was acquired.
#
# Seen, with a stale time of 2 s, for a first process that blocks for longer than that:
#   ["the second acquires","the first releases: no error","the third acquires"]
# Fails if the first is told, or the third does not acquire.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund proper-lockfile@4.1.2 >/dev/null
touch file

cat >first.mjs <<'JS'
import { existsSync } from "node:fs"
import { lock } from "proper-lockfile"
const told = (error) => {
  process.send(`the first is told: ${error.code}`)
  process.exit()
}
const release = await lock("file", { stale: 2000, onCompromised: told })
process.send("ready")
// Work that does not let the event loop run, until the other has the lock.
while (!existsSync("taken")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
await release().then(() => process.send("the first releases: no error"), told)
process.exit()
JS
cat >release.mjs <<'JS'
import { fork } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { lock } from "proper-lockfile"
const seen = []
const first = fork("first.mjs")
await once(first, "message")
first.on("message", (message) => seen.push(message))
const ended = once(first, "close")

let release
while (!release) {
  release = await lock("file", { stale: 2000, onCompromised: () => {} }).catch(() => sleep(50))
}
seen.push("the second acquires")
writeFileSync("taken", "")
await ended
// It finds no lock at all: one that is there would have to be a minute old.
await lock("file", { stale: 60_000, onCompromised: () => {} }).then(() => seen.push("the third acquires"), () => {})
console.log(JSON.stringify(seen))
process.exit(JSON.stringify(seen) === '["the second acquires","the first releases: no error","the third acquires"]' ? 0 : 1)
JS
node release.mjs

#!/usr/bin/env bash
# Bun 1.4.5: `diagnostics_channel.subscribe(name, f)` does not keep the channel alive. After a garbage collection the subscription is
# gone, without a word.
#
# Node.js keeps a channel as long as it has subscribers. (Its documentation warns only of `channel(name).subscribe`.) So a counter of
# requests that subscribes before the HTTP library is loaded stays at 0 on Bun. A reference to the channel keeps it.
#
# Seen (bun, then node 24.21.0):
#   {"heard":[1],"hasSubscribers":false}
#   {"heard":[1,2],"hasSubscribers":true}
# Fails if Bun keeps the subscription, or Node does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "bun": true, "node": true } }' >package.json
npm install --silent --no-audit --no-fund bun@1.4.5 node@24.21.0 >/dev/null

cat >channel.mjs <<'JS'
import { channel, subscribe } from "node:diagnostics_channel"
const heard = []
subscribe("a channel", (message) => heard.push(message))
channel("a channel").publish(1)
await new Promise((resolve) => setTimeout(resolve, 10))
globalThis.Bun?.gc(true)
globalThis.gc?.()
await new Promise((resolve) => setTimeout(resolve, 10))
channel("a channel").publish(2)
console.log(JSON.stringify({ heard, hasSubscribers: channel("a channel").hasSubscribers }))
process.exit(heard.length === (globalThis.Bun ? 1 : 2) ? 0 : 1)
JS
npx --no-install bun channel.mjs
npx --no-install node --expose-gc channel.mjs

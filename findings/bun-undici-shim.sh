#!/usr/bin/env bash
# Bun 1.4.5: `import "undici"` is not the installed undici, but a replacement that is built into Bun. Its dispatchers send nothing.
#
# The replacement has classes of the same names, so that an import succeeds, and `new Agent()` too. But `agent.request` is no
# function. The package is replaced wherever it is imported by its bare name, also inside other packages, whatever version
# is installed. Its file, undici/index.js, is not replaced, and works.
#
# Seen:
#   {"undici":"undefined","undici/index.js":"function"}
# Fails if the dispatchers of the bare name have a `request`, or those of the file have none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "bun": true } }' >package.json
npm install --silent --no-audit --no-fund bun@1.4.5 undici@8.13.1 >/dev/null

cat >shim.mjs <<'JS'
import { Agent as Bare } from "undici"
import { Agent } from "undici/index.js"
const seen = { undici: typeof new Bare().request, "undici/index.js": typeof new Agent().request }
console.log(JSON.stringify(seen))
process.exit(seen.undici === "undefined" && seen["undici/index.js"] === "function" ? 0 : 1)
JS
npx --no-install bun shim.mjs

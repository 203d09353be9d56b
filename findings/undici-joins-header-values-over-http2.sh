#!/usr/bin/env bash
# undici 8.13.1, Node 24
#
# A header with a list of values is sent as one header for each value over HTTP/1.1, and as one header with the values joined by
# commas over HTTP/2. The two mean the same only where a header is defined as a list. Kubernetes' `Impersonate-Group` is not: there
# "one, two" is the name of a single group, so a request acts as another user, depending on the version of HTTP.
#
# Expected: the same headers over both.
# Seen: 1.1: ["one","two"], 2.0: ["one, two"]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund undici@8.13.1 selfsigned@5.5.0 >/dev/null

cat >headers.mjs <<'END'
import { createSecureServer } from "node:http2"
import { generate } from "selfsigned"
import { Agent, request } from "undici"
const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }])
const seen = []
const server = createSecureServer({ allowHTTP1: true, cert, key }, ({ httpVersion, rawHeaders }, response) => {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1].toLowerCase() === "impersonate-group")
  seen.push(`${httpVersion}: ${JSON.stringify(values)}`)
  response.end()
})
await new Promise((resolve) => server.listen(0, resolve))
for (const allowH2 of [false, true]) {
  const dispatcher = new Agent({ allowH2, connect: { rejectUnauthorized: false } })
  const { body } = await request(`https://localhost:${server.address().port}`, {
    dispatcher,
    headers: { "Impersonate-Group": ["one", "two"] }
  })
  await body.dump()
  await dispatcher.destroy()
}
server.close()
console.log(seen.join(", "))
process.exit()
END
seen=$(node headers.mjs)
echo "$seen"
[ "$seen" = '1.1: ["one","two"], 2.0: ["one, two"]' ]

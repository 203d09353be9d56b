#!/usr/bin/env bash
# nginx 1.22.1 with its defaults: a stream behind it is neither silent nor in time. An event arrives when later ones fill a buffer.
#
# "proxy_buffering on" sounds as if a stream were held back until it ends. But nginx passes a buffer on as soon as it is full. So a
# Kubernetes watch behind it tells each event, seconds or hours late, and a client that takes any event for a sign of life believes
# that its watch is sound. What pushes an event out can be the event that the client itself causes.
#
# Seen, for events of 2000 bytes every 200 ms (the number of events that had been sent when each of the first four arrived):
#   {"direct":[1,2,3,4],"nginx":[2,5,5,5]}
# Fails if nginx is not in the path, or if an event arrives before a later one is sent, or only at the end.
set -euo pipefail
command -v nginx >/dev/null || { echo "needs nginx (Debian: nginx-light)"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >stream.mjs <<'JS'
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { connect } from "node:net"
import { createServer, get } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
const events = 12
let sent = 0
const server = createServer(async (request, response) => {
  sent = 0
  response.writeHead(200, { "content-type": "application/json" })
  while (sent < events) {
    sent++
    response.write("x".repeat(1999) + "\n")
    await sleep(200)
  }
  response.end()
}).listen(0, "127.0.0.1")
await new Promise((resolve) => server.once("listening", resolve))
const { port } = server.address()
const front = port > 40000 ? port - 20000 : port + 1000
const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${process.cwd()}/${name};`)
writeFileSync(
  "nginx.conf",
  `daemon off; master_process off; pid ${process.cwd()}/pid; error_log stderr; events {}
http { access_log off; ${temporary.join(" ")} server { listen 127.0.0.1:${front}; location / { proxy_pass http://127.0.0.1:${port}; } } }`
)
const nginx = spawn("nginx", ["-p", process.cwd(), "-e", "stderr", "-c", `${process.cwd()}/nginx.conf`], { stdio: "inherit" })
const isUp = () =>
  new Promise((resolve) => {
    const socket = connect(front, "127.0.0.1", () => resolve(!!socket.destroy()))
    socket.on("error", () => resolve(false))
  })
while (!(await isUp())) await sleep(50)
const arrivals = (from) =>
  new Promise((resolve) =>
    get({ host: "127.0.0.1", port: from }, (response) => {
      const seen = []
      response.setEncoding("utf8").on("data", (text) => {
        for (const letter of text) if (letter === "\n") seen.push(sent)
      })
      response.on("end", () => resolve(seen.slice(0, 4)))
    })
  )
const seen = { direct: await arrivals(port), nginx: await arrivals(front) }
console.log(JSON.stringify(seen))
nginx.kill()
server.close()
const isLate = seen.nginx.every((count, index) => count > index + 1 && count < events)
process.exit(seen.direct.every((count, index) => count === index + 1) && isLate ? 0 : 1)
JS
node stream.mjs

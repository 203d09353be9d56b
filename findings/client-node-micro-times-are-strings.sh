#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1: the times of a Lease are declared as dates, and are strings. An expiry that is compared never comes.
#
# `acquireTime` and `renewTime` (and `eventTime` of events) have the type V1MicroTime, a subclass of Date, so TypeScript accepts what
# one does with dates. What a read returns there is the string of the answer: `creationTimestamp` of the same object is a Date.
# `getTime()` throws a TypeError, which one notices. But a comparison or a difference with a Date is NaN inside, so "has it ended?" is
# false for good: an elector that is written so never takes over from a leader that died, and no error says why. A unit test that
# builds its Lease with `new V1MicroTime()` passes. `new Date(lease.spec.renewTime)` is right for both.
#
# Seen, for a Lease that was renewed last in 2020 (the program passes `tsc --strict`):
#   {"creationTimestamp":"Date","renewTime":"String","ended":false,"ended, if made by hand":true}
# Fails if the program has a type error, or a time of the Lease that was read is a date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "type": "module", "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 typescript@5.9.3 @types/node@24 node@24.21.0 >/dev/null

cat >elector.ts <<'TS'
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { CoordinationV1Api, KubeConfig, V1MicroTime } from "@kubernetes/client-node"
import type { V1Lease } from "@kubernetes/client-node"

const hasEnded = (lease: V1Lease, now: Date): boolean => {
  const { leaseDurationSeconds = 15, renewTime } = lease.spec ?? {}
  return renewTime !== undefined && renewTime < new Date(now.getTime() - leaseDurationSeconds * 1000)
}

const server = createServer((_, response) => {
  const metadata = { name: "lease", namespace: "default", creationTimestamp: "2020-01-01T00:00:00Z" }
  const spec = { holderIdentity: "dead", leaseDurationSeconds: 15, renewTime: "2020-01-01T00:00:00.123456Z" }
  response.setHeader("content-type", "application/json")
  response.end(JSON.stringify({ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec }))
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
const kubeConfig = new KubeConfig()
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
kubeConfig.loadFromOptions({
  clusters: [{ name: "c", server: url, skipTLSVerify: true }],
  users: [{ name: "u", token: "t" }],
  contexts: [{ name: "x", cluster: "c", user: "u" }],
  currentContext: "x"
})
const lease = await kubeConfig.makeApiClient(CoordinationV1Api).readNamespacedLease({ name: "lease", namespace: "default" })
const byHand: V1Lease = { spec: { renewTime: new V1MicroTime("2020-01-01T00:00:00.123Z") } }
const seen = {
  creationTimestamp: lease.metadata?.creationTimestamp?.constructor.name,
  renewTime: lease.spec?.renewTime?.constructor.name,
  ended: hasEnded(lease, new Date()),
  "ended, if made by hand": hasEnded(byHand, new Date())
}
console.log(JSON.stringify(seen))
process.exit(seen.renewTime === "String" && !seen.ended && seen["ended, if made by hand"] ? 0 : 1)
TS
npx --no-install tsc --strict --skipLibCheck --target ES2023 --module NodeNext --types node elector.ts
npx --no-install node elector.js

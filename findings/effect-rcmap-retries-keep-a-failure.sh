#!/usr/bin/env bash
# effect 4.1.0 (RcMap, and LayerMap on top of it): with an `idleTimeToLive`, one failed lookup is kept as if it were a resource, and each
# attempt to get it keeps it for longer. What retries never recovers; what stops asking does.
#
# `idleTimeToLive` says how long a connection that nobody uses stays open. A failed lookup is such an entry, too (the page on
# `getOption` has a word on it): the next `get` gives its error without a lookup, and when it is done, the time begins anew. So if the
# database of a tenant is away for a second, and the tenant's requests come more often than the time to live, all of them fail from
# then on, with the old error. A retry around `get` is the surest way to it. With the default of zero, the next `get` looks up. A
# remedy: `RcMap.invalidate` after a failure.
#
# Seen, for a failure at the start, an idle time to live of a minute, and a request every 30 s:
#   RcMap: {"failed in the first hour":120,"lookups":1,"after a pause of 2 minutes":"a connection"}
#   LayerMap: {"failed in the first hour":120,"lookups":1,"after a pause of 2 minutes":"a connection"}
# Fails if a request of the hour succeeds, or the one after the pause does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund effect@4.1.0 >/dev/null

cat >requests.mjs <<'JS'
import { Context, Effect, Layer, LayerMap, RcMap } from "effect"
import { TestClock } from "effect/testing"
class Connection extends Context.Service()("Connection") {}
const idleTimeToLive = "1 minute"
const lookupThatFailsOnce = () => {
  const lookup = { count: 0 }
  lookup.connect = Effect.suspend(() => (++lookup.count === 1 ? Effect.fail("down") : Effect.succeed("a connection")))
  return lookup
}
const requestsOf = {
  RcMap: Effect.fnUntraced(function* (lookup) {
    const map = yield* RcMap.make({ lookup: () => lookup.connect, idleTimeToLive })
    return Effect.scoped(RcMap.get(map, "tenant"))
  }),
  LayerMap: Effect.fnUntraced(function* (lookup) {
    const map = yield* LayerMap.make(() => Layer.effect(Connection, lookup.connect), { idleTimeToLive })
    return Effect.provide(Connection, map.get("tenant"))
  })
}
const measure = Effect.fnUntraced(function* (requestOf) {
  const lookup = lookupThatFailsOnce()
  const request = yield* requestOf(lookup)
  let failed = 0
  for (let n = 0; n < 120; n++) {
    if ((yield* Effect.exit(request))._tag === "Failure") failed++
    yield* TestClock.adjust("30 seconds")
  }
  const lookups = lookup.count
  yield* TestClock.adjust("2 minutes")
  const after = yield* Effect.catch(request, Effect.succeed)
  return { "failed in the first hour": failed, lookups, "after a pause of 2 minutes": after }
})
let isAsSaid = true
for (const [name, requestOf] of Object.entries(requestsOf)) {
  const seen = await Effect.runPromise(Effect.scoped(measure(requestOf)).pipe(Effect.provide(TestClock.layer())))
  console.log(`${name}:`, JSON.stringify(seen))
  isAsSaid &&= seen["failed in the first hour"] === 120 && seen.lookups === 1
  isAsSaid &&= seen["after a pause of 2 minutes"] === "a connection"
}
process.exit(isAsSaid ? 0 : 1)
JS
node requests.mjs

#!/usr/bin/env bash
# effect 4.1.0 (unstable persistence/RateLimiter): a caller that gives up while it is delayed keeps its place. If twice as many
# calls come as the limit lets through, and each has a timeout, then after a while none at all runs, for as long as the load
# lasts, and an idle limit is waited for.
#
# With `onExceeded: "delay"` a call takes its tokens first, and then sleeps for as long as they are ahead of the clock. What
# interrupts the sleep (`Effect.timeout`, a race, a client that went away) does not give the tokens back. So the debt grows with
# each call that comes, not with each that runs. Once it is longer than the timeout, every call adds to it and none gets through.
# It is the same for both algorithms, and, by its source, for the store in Redis. One expects an overload to give the limit's
# worth of results. A lock's queue has the same duty: a waiter that leaves has to leave the queue. A remedy: "fail" instead of
# "delay", with retries that the same timeout bounds.
#
# Seen, for a limit of one a second, two calls a second with a timeout of 5 s each, and a call without a timeout when all is over:
#   token-bucket: {"ran in the first 20 s":11,"ran in the next 100 s":0,"seconds that the last one waits":115}
#   fixed-window: {"ran in the first 20 s":11,"ran in the next 100 s":0,"seconds that the last one waits":115}
# Fails if a call runs in the 100 s, or the last one waits for less than 100 s.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "allowScripts": { "node": true } }' >package.json
npm install --silent --no-audit --no-fund effect@4.1.0 node@24.21.0 >/dev/null

cat >limiter.mjs <<'JS'
import { Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
const measure = (algorithm) =>
  Effect.gen(function* () {
    const withLimiter = yield* RateLimiter.makeWithRateLimiter
    const limited = withLimiter({ algorithm, onExceeded: "delay", window: "1 second", limit: 1, key: "a key" })
    let ran = 0
    const call = limited(Effect.sync(() => ran++))
    const load = Effect.fnUntraced(function* (seconds) {
      const before = ran
      for (let second = 0; second < seconds; second++) {
        for (let n = 0; n < 2; n++) yield* Effect.forkChild(Effect.timeoutOption(call, "5 seconds"))
        yield* TestClock.adjust("1 second")
      }
      return ran - before
    })
    const [first, next] = [yield* load(20), yield* load(100)]
    yield* TestClock.adjust("5 seconds")
    const before = ran
    yield* Effect.forkChild(call)
    let waited = 0
    for (; ran === before; waited++) yield* TestClock.adjust("1 second")
    return { "ran in the first 20 s": first, "ran in the next 100 s": next, "seconds that the last one waits": waited }
  }).pipe(Effect.provide([RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory)), TestClock.layer()]))
let isAsSaid = true
for (const algorithm of ["token-bucket", "fixed-window"]) {
  const seen = await Effect.runPromise(measure(algorithm))
  console.log(`${algorithm}:`, JSON.stringify(seen))
  isAsSaid &&= seen["ran in the first 20 s"] > 0 && seen["ran in the next 100 s"] === 0
  isAsSaid &&= seen["seconds that the last one waits"] >= 100
}
process.exit(isAsSaid ? 0 : 1)
JS
npx --no-install node limiter.mjs

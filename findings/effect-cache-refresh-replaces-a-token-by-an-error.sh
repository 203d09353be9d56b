#!/usr/bin/env bash
# effect 4.1.0 (Cache): two calls of `Cache.refresh` for one key are two lookups, though `get` shares one. The result of the one that
# ends last is kept, and if that is an error, it replaces the good value that the other has just stored.
#
# A Cache, whose `get` looks up once for all that wait, is the obvious home of an access token, and `refresh` what one calls after a
# 401. But under load 401s come in pairs. If the refresh token rotates, the provider gives a token to the first and invalid_grant to
# the second. The first caller goes on. All later ones get the second's error from the cache, for the time to live of the token,
# though a token that works was there. A single caller never sees it. If errors have a time to live of zero (`makeWith`), the
# second's error still removes the good token. What is right is `Cache.invalidateWhen`, with the token that was refused, and then
# `Cache.get`: both get the same new one.
#
# Seen, with a time to live of an hour:
#   {"20 gets":"1 lookup","2 refreshes":["token 2","invalid_grant"],"right after":"invalid_grant","59 minutes later":"invalid_grant"}
# Fails if the refreshes share a lookup, or the value after them is the token.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund effect@4.1.0 >/dev/null

cat >cache.mjs <<'JS'
import { Cache, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
const program = Effect.gen(function* () {
  let lookups = 0
  let good = 0
  const lookup = Effect.fnUntraced(function* () {
    lookups++
    const refreshToken = good
    yield* Effect.sleep("100 millis")
    if (refreshToken !== good) return yield* Effect.fail("invalid_grant")
    return `token ${++good}`
  })
  const cache = yield* Cache.make({ capacity: 10, lookup, timeToLive: "1 hour" })
  const soon = Effect.fnUntraced(function* (effects) {
    const fibers = yield* Effect.forEach(effects, (effect) => Effect.forkChild(Effect.catch(effect, Effect.succeed)))
    yield* TestClock.adjust("1 second")
    return yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
  })
  yield* soon(Array.from({ length: 20 }, () => Cache.get(cache, "user")))
  const gets = `${lookups} lookup`
  const refreshes = yield* soon([Cache.refresh(cache, "user"), Effect.delay(Cache.refresh(cache, "user"), "50 millis")])
  const [after] = yield* soon([Cache.get(cache, "user")])
  yield* TestClock.adjust("59 minutes")
  const [later] = yield* soon([Cache.get(cache, "user")])
  return { "20 gets": gets, "2 refreshes": refreshes, "right after": after, "59 minutes later": later }
})
const seen = JSON.stringify(await Effect.runPromise(Effect.provide(program, TestClock.layer())))
console.log(seen)
const expected = { "20 gets": "1 lookup", "2 refreshes": ["token 2", "invalid_grant"], "right after": "invalid_grant" }
process.exit(seen === JSON.stringify({ ...expected, "59 minutes later": "invalid_grant" }) ? 0 : 1)
JS
node cache.mjs

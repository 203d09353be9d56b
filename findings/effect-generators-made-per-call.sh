#!/usr/bin/env bash
# effect 4.1.0: an effect written as a generator costs four times as much if the generator function is made at each call.
#
# Effect.gen inside a function, and Effect.fnUntraced inside a function, look alike to a function made once by Effect.fnUntraced at
# the top of a module. But each call then makes a new generator function, with a prototype object of its own, and fnUntraced also
# defines its "length". A lock whose acquisition made four such functions spent twice the CPU of one that made none.
# So on a hot path: make generator functions once, and pass them what they need.
#
# Seen (Node 24.21.0, two busy cores, nanoseconds a call, median of 9):
#   {"fnUntraced, made per call":1507,"Effect.gen, per call":1191,"fnUntraced, made once":347} 3.4 times
# Fails if Effect.gen per call takes less than twice the time of a function made once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund effect@4.1.0 >/dev/null

cat >measure.mjs <<'JS'
import * as Effect from "effect/Effect"

const times = 200_000
const ways = {
  "fnUntraced, made per call": (n) => Effect.fnUntraced(function* () { return n + (yield* Effect.succeed(1)) })(),
  "Effect.gen, per call": (n) => Effect.gen(function* () { return n + (yield* Effect.succeed(1)) }),
  "fnUntraced, made once": Effect.fnUntraced(function* (n) { return n + (yield* Effect.succeed(1)) })
}
const once = (way) => {
  const started = process.hrtime.bigint()
  for (let n = 0; n < times; n++) Effect.runSync(way(n))
  return Number(process.hrtime.bigint() - started) / times
}
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const samples = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
for (let round = 0; round < 11; round++) {
  for (const [name, way] of Object.entries(ways)) {
    const nanos = once(way)
    if (round > 1) samples[name].push(nanos)
  }
}
const medians = Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, Math.round(median(values))]))
const ratio = medians["Effect.gen, per call"] / medians["fnUntraced, made once"]
console.log(JSON.stringify(medians), ratio.toFixed(1), "times")
process.exit(ratio >= 2 ? 0 : 1)
JS
node measure.mjs

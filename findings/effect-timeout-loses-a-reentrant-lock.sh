#!/usr/bin/env bash
# effect 4.1.0 (TxReentrantLock): with a timeout, a lock belongs to nobody. `acquireWrite` within `Effect.timeout` succeeds, and the
# `releaseWrite` after it releases nothing, without an error: the lock is held for good. And a timeout around the inner of two uses
# makes the lock wait for its own holder.
#
# "A fiber that already holds the lock can acquire it again." One thinks of a fiber as of a thread: what is written in one generator
# runs in one. But `Effect.timeout` runs its effect in a fiber of its own, as `race` does, and the lock knows its owner by the number
# of the fiber. So the owner is a fiber that has ended with the acquisition. Whoever bounds the wait for a lock, as one should, has a
# lock that is taken once. `releaseWrite` gives back the number of holds that are left, which is 0 in both cases. It is the same with
# read locks. `withWriteLock` with the timeout around the whole of it, and the scoped `writeLock` within a timeout, release what they
# have acquired. A Semaphore is not concerned, since it has no owner.
#
# Seen, with timeouts of 1 s:
#   {"holds left":0,"locked":false,"next":"acquired","inner":"runs"} without a timeout
#   {"holds left":0,"locked":true,"next":"times out","inner":"times out"} with a timeout
# Fails if one of them is different.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund effect@4.1.0 >/dev/null

cat >lock.mjs <<'JS'
import { Effect, Option, TxReentrantLock } from "effect"
const measure = Effect.fnUntraced(function* (limited) {
  const lock = yield* TxReentrantLock.make()
  yield* limited(TxReentrantLock.acquireWrite(lock))
  const left = yield* TxReentrantLock.releaseWrite(lock)
  const locked = yield* TxReentrantLock.locked(lock)
  const next = yield* TxReentrantLock.withWriteLock(lock, Effect.void).pipe(Effect.timeoutOption("1 second"))
  const other = yield* TxReentrantLock.make()
  const inner = TxReentrantLock.withWriteLock(other, Effect.succeed("runs"))
  const used = yield* TxReentrantLock.withWriteLock(other, Effect.exit(limited(inner)))
  return {
    "holds left": left,
    locked,
    next: Option.isSome(next) ? "acquired" : "times out",
    inner: used._tag === "Success" ? used.value : "times out"
  }
})
const without = JSON.stringify(await Effect.runPromise(measure((effect) => effect)))
const within = JSON.stringify(await Effect.runPromise(measure(Effect.timeout("1 second"))))
console.log(without, "without a timeout")
console.log(within, "with a timeout")
const isAsSaid =
  without === '{"holds left":0,"locked":false,"next":"acquired","inner":"runs"}' &&
  within === '{"holds left":0,"locked":true,"next":"times out","inner":"times out"}'
process.exit(isAsSaid ? 0 : 1)
JS
node lock.mjs

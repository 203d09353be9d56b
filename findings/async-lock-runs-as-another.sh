#!/usr/bin/env bash
# async-lock 1.5.0, mutexify 1.4.0, semaphore 1.1.0, rwlock 5.0.0: what runs under the lock runs in the async context of the one that
# had the lock before.
#
# AsyncLocalStorage is how loggers, tracers, request-scoped services and deadlines know on whose behalf code runs. These four call the
# waiter's function from the release of the holder before it, and so in its context, which is handed on from waiter to waiter. Under
# contention all critical sections are logged and traced as the first request, and only then: a test with one caller is right. It is
# also so with async-lock's promises, of which one expects that they keep the context as `await` does. The caller is back in its own
# context after `acquire`; only the function under the lock is not. async-mutex 0.5.0 and async-sema 3.1.1 let the caller run it, and
# are not concerned. A remedy: `AsyncResource.bind` around the function.
#
# Seen, for three requests (a, b, c) that want one lock (what AsyncLocalStorage says under the lock):
#   {"async-lock":"aaa","mutexify":"aaa","semaphore":"aaa","rwlock":"aaa","async-mutex":"abc","async-sema":"abc"}
# Fails if one of the first four keeps the context, or one of the last two does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund async-lock@1.5.0 mutexify@1.4.0 semaphore@1.1.0 rwlock@5.0.0 async-mutex@0.5.0 \
  async-sema@3.1.1 >/dev/null

cat >context.mjs <<'JS'
import { AsyncLocalStorage } from "node:async_hooks"
import { setTimeout as sleep } from "node:timers/promises"
import AsyncLock from "async-lock"
import { Mutex } from "async-mutex"
import { Sema } from "async-sema"
import mutexify from "mutexify"
import RwLock from "rwlock"
import semaphore from "semaphore"
const lock = new AsyncLock()
const mutex = mutexify()
const permits = semaphore(1)
const rwLock = new RwLock()
const asyncMutex = new Mutex()
const sema = new Sema(1)
const withCallback = (acquire) => (work) =>
  new Promise((resolve) => acquire((release) => work().then(() => resolve(release()))))
const locks = {
  "async-lock": (work) => lock.acquire("key", work),
  mutexify: withCallback((run) => mutex(run)),
  semaphore: withCallback((run) => permits.take(() => run(() => permits.leave()))),
  rwlock: withCallback((run) => rwLock.writeLock(run)),
  "async-mutex": (work) => asyncMutex.runExclusive(work),
  "async-sema": async (work) => {
    await sema.acquire()
    await work()
    sema.release()
  }
}
const requests = new AsyncLocalStorage()
const seen = {}
for (const [name, withLock] of Object.entries(locks)) {
  seen[name] = ""
  const work = async () => {
    seen[name] += requests.getStore()
    await sleep(1)
  }
  await Promise.all(["a", "b", "c"].map((request) => requests.run(request, () => withLock(work))))
}
console.log(JSON.stringify(seen))
process.exit(Object.values(seen).join() === "aaa,aaa,aaa,aaa,abc,abc" ? 0 : 1)
JS
node context.mjs

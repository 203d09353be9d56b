/** The thread that renews sessions, as the main thread has it. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { existsSync } from "node:fs"
import { clearInterval, setInterval } from "node:timers"
import { fileURLToPath } from "node:url"
import { MessageChannel, Worker } from "node:worker_threads"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import type { LeasesDescription, ObjectSnapshot, OpenSession, SessionLeases, SessionTimes } from "../../ObjectStore.ts"
import * as telemetry from "../engine/telemetry.ts"
import { quiet } from "../tracing.ts"
import type { Open, SessionNews, Start, ThreadNews } from "./messages.ts"
import { SessionThreadError } from "./sessionThreadError.ts"
import * as sharedTimes from "./sharedTimes.ts"

/** The options of the thread: the file that it runs (`worker.ts`), and the Leases of its sessions. `maxStall` is in milliseconds. */
export interface Options {
  readonly file: URL
  readonly leases: LeasesDescription
  readonly namespace: string
  readonly maxStall: number
}

/** The main thread gives so many signs of life within `maxStall`, and one in this time at least, in milliseconds. Our choice. */
export const signs = { within: 10, longestPause: 1000 }

/** Starts the thread, which ends with the scope, and answers what opens sessions there. A thread that died is started anew. */
export const start = Effect.fnUntraced(function* ({
  file,
  leases,
  maxStall,
  namespace
}: Options): Effect.fn.Return<NonNullable<SessionLeases["open"]>, SessionThreadError, Scope.Scope> {
  const fork = Effect.runForkWith(yield* Effect.context())
  const memory = sharedTimes.memory()
  const life = sharedTimes.signsOfLife(memory)
  const starting = yield* Semaphore.make(1)
  const expiring = new Set<() => void>()
  let running: Worker | undefined

  // Signs come from the event loop, whatever clock a fiber has. They keep no process alive.
  const giving = setInterval(
    () => {
      life.give()
      expiring.forEach((look) => look())
    },
    Math.min(maxStall / signs.within, signs.longestPause)
  ).unref()
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      clearInterval(giving)
      await running?.terminate()
    })
  )

  const spawn = Effect.try({
    try: () => {
      const workerData: Start = { leases, life: memory, maxStall }
      life.give()
      return new Worker(file, { name: "kubelock-session", workerData })
    },
    catch: (error) => new SessionThreadError({ detail: `this runtime starts no thread (${codeOf(error)})` })
  })

  const untilReady = (worker: Worker) =>
    Effect.callback<Worker, SessionThreadError>((resume) => {
      const refuse = (detail: string) => resume(Effect.fail(new SessionThreadError({ detail })))
      worker.on("message", (news: ThreadNews) => {
        switch (news._tag) {
          case "Logged": {
            const { annotations, level, message } = news
            fork(quiet(Effect.annotateLogs(Effect.logWithLevel(level)(...message), annotations)))
            return
          }
          case "Refused":
            return refuse(news.detail)
          case "Ready": {
            if (!life.isCommon()) return refuse("the threads of this runtime have no clock in common")
            running = worker
            worker.unref()
            return resume(Effect.succeed(worker))
          }
        }
      })
      worker.on("error", (error) => refuse(`it failed (${codeOf(error)})`))
      worker.on("exit", () => {
        if (running === worker) running = undefined
        refuse("it ended")
      })
    }).pipe(Effect.onError(() => Effect.sync(() => void worker.terminate())))

  const started = starting.withPermit(
    Effect.suspend(() => {
      if (running !== undefined) return Effect.succeed(running)
      if (existsSync(file)) return Effect.flatMap(spawn, untilReady)
      return new SessionThreadError({
        detail: `${fileURLToPath(file)} is missing; a program that is bundled has to leave kubelock out of its bundle`
      })
    })
  )

  const open = Effect.fnUntraced(function* (
    { identity, renewDeadline, renewEvery, ttl }: SessionTimes,
    onBroken: (name: string, lease: ObjectSnapshot) => void
  ): Effect.fn.Return<OpenSession, LockError.StoreError, Scope.Scope> {
    const worker = yield* Effect.mapError(started, ({ detail }) => unavailable(detail))
    const memory = sharedTimes.memory()
    const validity = sharedTimes.validity(memory)
    const opened = Deferred.makeUnsafe<string, LockError.StoreError>()
    const lost = Deferred.makeUnsafe<never, LockError.Lost["reason"]>()
    const closed = Deferred.makeUnsafe<void>()
    let isOver = false

    const end = () => {
      isOver = true
      expiring.delete(look)
    }
    const lose = (reason: LockError.Lost["reason"]) => {
      if (isOver) return
      end()
      count(LockMetrics.losses, { reason })
      Deferred.doneUnsafe(lost, Effect.fail(reason))
    }
    const look = () => {
      if (!validity.isValid()) lose("Expired")
    }
    const count = (metric: typeof LockMetrics.renewals, more?: Readonly<Record<string, string>>) =>
      void fork(telemetry.measure({ attributes }, metric, 1, more))

    const { port1: port, port2: other } = new MessageChannel()
    port.on("message", (news: SessionNews) => {
      switch (news._tag) {
        case "Opened":
          expiring.add(look)
          count(LockMetrics.acquisitions)
          return Deferred.doneUnsafe(opened, Effect.succeed(news.session))
        case "Failed":
          return Deferred.doneUnsafe(opened, Effect.fail(Schema.decodeUnknownSync(LockError.StoreError)(news.error)))
        case "Renewed":
          return count(LockMetrics.renewals)
        case "Broken":
          return onBroken(news.name, news.lease)
        case "Lost":
          return lose(news.reason)
      }
    })
    port.on("close", () => {
      Deferred.doneUnsafe(opened, Effect.fail(unavailable("it ended")))
      if (!isOver) fork(quiet(Effect.logError(died)))
      lose("Expired")
      Deferred.doneUnsafe(closed, Effect.void)
    })
    const request: Open = {
      port: other,
      validity: memory,
      namespace,
      identity,
      ttl: Duration.toMillis(ttl),
      renewEvery: Duration.toMillis(renewEvery),
      renewDeadline: Duration.toMillis(renewDeadline)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => worker.postMessage(request, [other])),
      () =>
        Effect.suspend(() => {
          end()
          port.ref()
          port.postMessage("End")
          return Deferred.await(closed)
        })
    )
    const session = yield* Deferred.await(opened)
    port.unref()
    return { session, isValid: () => !isOver && validity.isValid(), lost: Deferred.await(lost) }
  })

  yield* started
  return open
})

// A session counts as a lock.
const attributes = { kind: "lock" }

const died = "The thread that renews the session of this process has died. The session is lost."

const unavailable = (detail: string) =>
  new LockError.Unavailable({ object: "a session in a thread of its own", verb: "open", detail })

// The message of an error can contain secrets.
const codeOf = (error: unknown): string =>
  error instanceof Error ? ("code" in error ? String(error.code) : error.name) : typeof error

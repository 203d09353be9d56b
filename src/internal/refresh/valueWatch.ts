/**
 * The watches by which processes wait for a value that another one refreshes. A watch brings the value with the event of its writing.
 *
 * A watch may be forbidden, fail, or be deaf: behind a proxy that buffers it is open and tells nothing. Then the process waits as if
 * there were no watches, and tries again after a while, which doubles if watches are deaf again and again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StoreError } from "../../LockError.ts"
import type { ObjectSnapshot, ObjectStore, WatchEvent } from "../../ObjectStore.ts"
import { deafAfterMillis, deafMillis, failedMillis, forbiddenMillis } from "../engine/watchPool.ts"
import * as ClockReading from "../time/clockReading.ts"
import { quiet } from "../tracing.ts"
import { isOlder } from "../version.ts"

/** What a watch told: the latest state of the object, or nothing within the time. `Failed`: it tells no more. */
export type News = WatchEvent | { readonly _tag: "Nothing" | "Failed" }

/** The watch of one flight. */
export interface ValueWatch {
  /** Waits for news, for so many milliseconds. What was told and not taken is replaced by what is told later. */
  readonly next: (millis: number) => Effect.Effect<News>
  /** For how long the watch may go on being silent before the process reads the object, in milliseconds. */
  readonly patience: () => number
  /** Compares what the watch has told with the object as just read. If it has not told that, it is deaf, unless it has failed. */
  readonly compare: (read: ObjectSnapshot) => Effect.Effect<void>
  /** Whether it has failed, or is deaf. */
  readonly isOver: () => boolean
}

/** The watches of a process. */
export interface ValueWatches {
  /** Opens a watch, until the scope closes. `undefined` if the process must do without. */
  readonly open: (id: string) => Effect.Effect<ValueWatch | undefined, never, Scope.Scope>
}

/** The longest that a process does without watches, in milliseconds. Our choice. */
export const longestPause = 3_600_000

const deaf =
  "Processes that wait for a value poll, since watches are open and do not tell what happens. Look for a proxy that buffers responses between this process and the API server."

/** Makes the watches of a process. */
export const make = (store: ObjectStore["Service"]): ValueWatches => {
  let closedUntil = Number.NEGATIVE_INFINITY
  // Whether a watch of this process has told a change. One that tells how the object is may still keep what follows.
  let isProven = false
  let wasDeaf = 0
  const reported = new Set<string>()

  const doWithout = (millis: number, problem: string) =>
    Effect.flatMap(ClockReading.now, ({ monotonic }) => {
      closedUntil = monotonic + millis
      isProven = false
      if (reported.has(problem)) return Effect.void
      reported.add(problem)
      return quiet(Effect.logWarning(problem))
    })

  const start = Effect.fnUntraced(function* (id: string): Effect.fn.Return<ValueWatch, never, Scope.Scope> {
    const clock = yield* Clock.Clock
    const told = yield* Queue.sliding<WatchEvent | { readonly _tag: "Failed" }>(1)
    // Since when it has told nothing, and no reading has shown that there is nothing to tell.
    let silentSince = ClockReading.monotonic(clock)
    let isFirst = true
    let isOver = false
    let version: string | undefined
    const end = (millis: number, problem: string) => {
      isOver = true
      return doWithout(millis, problem)
    }
    const fail = (error: StoreError) =>
      error._tag === "LockForbidden"
        ? end(forbiddenMillis, `Processes that wait for a value poll, since they may not watch. ${error.message}`)
        : end(failedMillis, `Processes that wait for a value poll for a while. ${error.message}`)
    const hear = (event: WatchEvent) => {
      isProven ||= !isFirst
      if (isProven) wasDeaf = 0
      isFirst = false
      silentSince = ClockReading.monotonic(clock)
      version = event._tag === "Changed" ? event.snapshot.resourceVersion : version
      return Queue.offer(told, event)
    }
    yield* Stream.runForEach(store.watch(id, { content: true }), hear).pipe(
      Effect.catch((error) => Effect.andThen(fail(error), Queue.offer(told, { _tag: "Failed" }))),
      Effect.forkScoped({ startImmediately: true })
    )
    return {
      next: (millis) =>
        Effect.map(
          Effect.timeoutOption(Queue.take(told), millis),
          Option.getOrElse((): News => ({ _tag: "Nothing" }))
        ),
      patience: () =>
        isProven && !isFirst
          ? Number.POSITIVE_INFINITY
          : Math.max(1, silentSince + deafAfterMillis - ClockReading.monotonic(clock)),
      compare: ({ resourceVersion }) => {
        silentSince = ClockReading.monotonic(clock)
        return isOver || (version !== undefined && !isOlder(version, resourceVersion))
          ? Effect.void
          : end(Math.min(longestPause, deafMillis * 2 ** wasDeaf++), deaf)
      },
      isOver: () => isOver
    }
  })

  return {
    open: (id) =>
      Effect.flatMap(ClockReading.now, ({ monotonic }) => (monotonic < closedUntil ? Effect.undefined : start(id)))
  }
}

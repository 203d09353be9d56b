/** A watch of one object as an endless stream, made of many watches of limited time. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as LockError from "../../LockError.ts"
import type { ObjectSnapshot, WatchEvent, WatchOptions } from "../../ObjectStore.ts"
import { type ApiClient, unavailable } from "./apiClient.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as decode from "./decode.ts"
import * as encode from "./encode.ts"
import type { Request } from "./http.ts"
import * as responseError from "./responseError.ts"

/**
 * What to watch. `read` reads the object if events may have been missed. `since` is the resourceVersion to begin after.
 */
export interface Options {
  readonly apiClient: ApiClient
  readonly info: responseError.RequestInfo
  readonly collectionPath: string
  readonly read: Effect.Effect<ObjectSnapshot, LockError.StoreError>
  readonly since: string | undefined
  readonly label: WatchOptions["label"]
}

/** One step of a watch: the event to emit, if any, and the resourceVersion to continue after. */
interface Step {
  readonly event: WatchEvent | undefined
  readonly since: string | undefined
}

/**
 * Emits every change of the object.
 *
 * A watch that ends or breaks is opened again after the last event. If the server no longer has that resourceVersion
 * (410), the object is read and the watch begins after the version that was read. If a watch is silent for longer than
 * the server was asked to keep it open, the connection is considered dead.
 *
 * A watch that ends soon and without news is opened again after a pause, which doubles each time. A server that ends every
 * watch at once is asked no more than twice a second, and no earlier than it asks (`Retry-After`).
 */
export const make = (options: Options): Stream.Stream<WatchEvent, LockError.StoreError> =>
  Stream.suspend(() => {
    let since = options.since
    let openedAt = 0
    let hasNews = false
    let endedSoon = 0
    let retryAfter = Duration.zero
    const { apiClient, info } = options

    const advance = (step: Step) => {
      since = step.since
      hasNews ||= step.event !== undefined
      return step.event
    }

    const reread = Effect.matchEffect(readStep(options), {
      onSuccess: (step) => Effect.succeed(advance(step)),
      onFailure: (error) => {
        // The next watch begins with the current state of the object.
        since = undefined
        return Effect.fail(error)
      }
    })

    const onLine = (line: string): Effect.Effect<WatchEvent | undefined, LockError.StoreError> => {
      const event = decode.eventFromJson(line)
      if (event === undefined) return Effect.fail(unavailable(info, "the watch sent a line that is not an event"))
      if (event._tag !== "Ended") return Effect.succeed(advance(stepOf(event)))
      return event.code === 410 ? reread : Effect.fail(unavailable(info, `the watch ended with code ${event.code}`))
    }

    const open = Effect.flatMap(ClockReading.now, ({ monotonic }) => {
      openedAt = monotonic
      hasNews = false
      retryAfter = Duration.zero
      return Effect.map(apiClient.watch(requestOf(options, since), info), (response) => {
        if ("lines" in response) {
          return Stream.mapError(response.lines, ({ detail }) => unavailable(info, detail)).pipe(
            Stream.mapEffect(onLine)
          )
        }
        return response.status === 410 ? Stream.fromEffect(reread) : Stream.fail(responseError.toError(response, info))
      })
    })

    const pause = Effect.flatMap(ClockReading.now, ({ monotonic }) => {
      endedSoon = hasNews || monotonic - openedAt >= reopenPause.atMost ? 0 : endedSoon + 1
      return Effect.map(Random.nextBetween(0.8, 1), (jitter) =>
        Duration.max(retryAfter, Duration.millis(jitter * pauseBeforeReopening(endedSoon)))
      )
    })

    return Stream.unwrap(open).pipe(
      Stream.interruptWhen(Effect.sleep(Duration.seconds(watchSeconds + 10))),
      Stream.filter((event) => event !== undefined),
      Stream.catchTag("LockUnavailable", (error) => {
        retryAfter = error.retryAfter ?? Duration.zero
        return Stream.empty
      }),
      Stream.repeat(Schedule.addDelay(Schedule.forever, () => pause))
    )
  })

/** The pauses before a watch is opened again, in milliseconds: after news, after the first that ended soon, and at most. Our choice. */
export const reopenPause = { afterNews: 10, first: 100, second: 500, atMost: 5000 }

const pauseBeforeReopening = (endedSoon: number): number => {
  const { afterNews, atMost, first, second } = reopenPause
  if (endedSoon === 0) return afterNews
  return endedSoon === 1 ? first : Math.min(atMost, second * 2 ** (endedSoon - 2))
}

const stepOf = (event: Exclude<decode.Event, { readonly _tag: "Ended" }>): Step => {
  switch (event._tag) {
    case "Changed":
      return { event: { _tag: "Changed", snapshot: event.snapshot }, since: event.snapshot.resourceVersion }
    case "Deleted":
      return { event: { _tag: "Deleted" }, since: event.snapshot.resourceVersion }
    case "Bookmark":
      return { event: undefined, since: event.resourceVersion }
  }
}

const readStep = ({ label, read }: Options): Effect.Effect<Step, LockError.StoreError> =>
  Effect.matchEffect(read, {
    onSuccess: (snapshot) =>
      Effect.succeed<Step>({
        event:
          label === undefined || snapshot.labels[label.key] === label.value
            ? { _tag: "Changed", snapshot }
            : { _tag: "Deleted" },
        since: snapshot.resourceVersion
      }),
    onFailure: (error) =>
      error._tag === "LockNotFound" && error.missing === "object"
        ? Effect.succeed<Step>({ event: { _tag: "Deleted" }, since: undefined })
        : Effect.fail(error)
  })

const requestOf = ({ collectionPath, info, label }: Options, since: string | undefined): Request =>
  encode.metadataOnly(
    encode.get(
      `${collectionPath}?${new URLSearchParams({
        watch: "1",
        fieldSelector: `metadata.name=${info.id}`,
        ...(label === undefined ? {} : { labelSelector: `${label.key}=${label.value}` }),
        allowWatchBookmarks: "true",
        timeoutSeconds: String(watchSeconds),
        ...(since === undefined ? {} : { resourceVersion: since })
      })}`
    )
  )

/** How long the server is asked to keep a watch open. */
export const watchSeconds = 60

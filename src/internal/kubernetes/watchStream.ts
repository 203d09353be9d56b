/** A watch of one object as an endless stream, made of many watches of limited time. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as LockError from "../../LockError.ts"
import { isSelected, type ObjectSnapshot, type WatchEvent, type WatchOptions } from "../../ObjectStore.ts"
import { type ApiClient, unavailable } from "./apiClient.ts"
import * as ClockReading from "../time/clockReading.ts"
import { isOlder } from "../version.ts"
import * as decode from "./decode.ts"
import * as encode from "./encode.ts"
import type { Request } from "./http.ts"
import * as responseError from "./responseError.ts"

/**
 * What to watch. `read` reads the object if events may have been missed. `see` gets each object that an event tells. `since` is the
 * resourceVersion to begin after.
 */
export interface Options {
  readonly apiClient: ApiClient
  readonly info: responseError.RequestInfo
  readonly collectionPath: string
  readonly read: Effect.Effect<ObjectSnapshot, LockError.StoreError>
  readonly see: (object: decode.Decoded) => void
  readonly since: string | undefined
  readonly label: WatchOptions["label"]
  readonly includesContent: boolean
  readonly changesOnly: boolean
}

/** One step of a watch: the event to emit, if any, and the resourceVersion that it shows. */
interface Step<Event = WatchEvent | undefined> {
  readonly event: Event
  readonly since: string | undefined
}

/**
 * Emits every change of the object.
 *
 * A watch that ends is opened again after the last event. If it breaks, or if the server no longer has that resourceVersion (410), the
 * object is read, and the watch begins after the version that was read. That one can be too old itself: then the watch begins with the
 * object as it is.
 *
 * If the object that was read is older than the one that was told, etcd was restored, or this is another cluster. A server is silent
 * to a watch that begins in its future, so the watch begins after the version that was read, and "Deleted" is emitted: the object that
 * was told is gone.
 *
 * If a watch is silent for longer than the server was asked to keep it open, the connection is considered dead.
 *
 * Requests are at least half a second apart on average, whatever the server does. After a watch that ends soon and without news the
 * pause doubles each time. It is never shorter than the server asks (`Retry-After`).
 */
export const make = (options: Options): Stream.Stream<WatchEvent, LockError.StoreError> =>
  Stream.suspend(() => {
    let since = options.since
    // The last version of the object that was emitted; empty if it was gone.
    let told: string | undefined
    let openedAt = 0
    let requests = 0
    let hasNews = false
    let hasBroken = false
    let isReread = false
    let isTooOld = false
    let endedSoon = 0
    let retryAfter = Duration.zero
    const { apiClient, info } = options

    const emit = (event: WatchEvent): WatchEvent | undefined => {
      const version = event._tag === "Changed" ? event.snapshot.resourceVersion : ""
      const isKnown = version === told
      told = version
      hasNews ||= !isKnown
      return isKnown || (options.changesOnly && event._tag === "Deleted") ? undefined : event
    }

    const reread = Effect.suspend(() => {
      requests++
      return Effect.map(readStep(options), ({ event, since: found }) => {
        since = found
        isReread = true
        return emit(found !== undefined && isOlder(found, told ?? "") ? { _tag: "Deleted" } : event)
      })
    })

    const expire = Effect.suspend(() => {
      isTooOld = isReread
      return isReread ? Effect.undefined : reread
    })

    const onLine = (line: string): Effect.Effect<WatchEvent | undefined, LockError.StoreError> => {
      const event = decode.eventFromJson(line, options.includesContent)
      if (event === undefined) return Effect.fail(unavailable(info, "the watch sent a line that is not an event"))
      if (event._tag === "Ended") {
        return event.code === 410 ? expire : Effect.fail(unavailable(info, `the watch ended with code ${event.code}`))
      }
      if (event._tag === "Changed") options.see(event)
      const step = stepOf(event)
      since = step.since
      isReread = false
      return Effect.succeed(step.event === undefined ? undefined : emit(step.event))
    }

    const watch = Effect.suspend(() => {
      requests++
      const lastsMillis = (watchSeconds + 10) * 1000
      const skips = options.changesOnly ? decode.isDeletion : undefined
      return Effect.map(apiClient.watch(requestOf(options, since), info, { lastsMillis, skips }), (response) => {
        if ("lines" in response) {
          return Stream.mapError(response.lines, ({ detail }) => unavailable(info, detail)).pipe(
            Stream.mapEffect(onLine)
          )
        }
        return response.status === 410 ? Stream.fromEffect(expire) : Stream.fail(responseError.toError(response, info))
      })
    })

    const open = Effect.flatMap(ClockReading.now, ({ monotonic }) => {
      const readsFirst = (hasBroken && since !== undefined) || isTooOld
      const begin = isTooOld
        ? Effect.andThen(
            Effect.sync(() => void (since = undefined)),
            watch
          )
        : watch
      openedAt = monotonic
      requests = 0
      hasNews = false
      hasBroken = false
      isTooOld = false
      retryAfter = Duration.zero
      return readsFirst ? Effect.succeed(Stream.concat(Stream.fromEffect(reread), Stream.unwrap(begin))) : watch
    })

    const pause = Effect.flatMap(ClockReading.now, ({ monotonic }) => {
      const age = monotonic - openedAt
      endedSoon = hasNews || age >= reopenPause.atMost ? 0 : endedSoon + 1
      const owed = reopenPause.perRequest * Math.max(1, requests) - age
      return Effect.map(Random.nextBetween(1, 1.25), (jitter) =>
        Duration.max(retryAfter, Duration.millis(jitter * Math.max(owed, pauseBeforeReopening(endedSoon))))
      )
    })

    return Stream.unwrap(open).pipe(
      Stream.filter((event) => event !== undefined),
      Stream.catchTag("LockUnavailable", (error) => {
        hasBroken = true
        retryAfter = error.retryAfter ?? Duration.zero
        return Stream.empty
      }),
      Stream.repeat(Schedule.addDelay(Schedule.forever, () => pause))
    )
  })

/**
 * The pauses before a watch is opened again, in milliseconds: after news, and after one that ended soon, at first and at most. Each
 * request since the last opening counts for `perRequest`. Our choice.
 */
export const reopenPause = { afterNews: 10, perRequest: 500, atMost: 5000 }

const pauseBeforeReopening = (endedSoon: number): number => {
  const { afterNews, atMost, perRequest } = reopenPause
  return endedSoon === 0 ? afterNews : Math.min(atMost, perRequest * 2 ** (endedSoon - 1))
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

const readStep = ({ label, read }: Options): Effect.Effect<Step<WatchEvent>, LockError.StoreError> =>
  Effect.matchEffect(read, {
    onSuccess: (snapshot) =>
      Effect.succeed<Step<WatchEvent>>({
        event:
          label === undefined || isSelected(snapshot.labels, label)
            ? { _tag: "Changed", snapshot }
            : { _tag: "Deleted" },
        since: snapshot.resourceVersion
      }),
    onFailure: (error) =>
      error._tag === "LockNotFound" && error.missing === "object"
        ? Effect.succeed<Step<WatchEvent>>({ event: { _tag: "Deleted" }, since: undefined })
        : Effect.fail(error)
  })

const requestOf = ({ collectionPath, includesContent, info, label }: Options, since: string | undefined): Request => {
  const request = encode.get(
    `${collectionPath}?${new URLSearchParams({
      watch: "1",
      fieldSelector: `metadata.name=${info.id}`,
      ...(label === undefined ? {} : { labelSelector: selectorOf(label) }),
      allowWatchBookmarks: "true",
      timeoutSeconds: String(watchSeconds),
      ...(since === undefined ? {} : { resourceVersion: since })
    })}`
  )
  return includesContent ? request : encode.metadataOnly(request)
}

const selectorOf = ({ key, or, value }: NonNullable<WatchOptions["label"]>): string =>
  or === undefined ? `${key}=${value}` : `${key} in (${value},${or})`

/** How long the server is asked to keep a watch open. */
export const watchSeconds = 60

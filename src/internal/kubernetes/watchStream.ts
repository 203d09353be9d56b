/** The changes of one object, as a stream that outlives the watches it is made of. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as LockError from "../../LockError.ts"
import type { WatchEvent, WatchOptions, ObjectSnapshot } from "../../ObjectStore.ts"
import { type ApiClient, noAnswer } from "./apiClient.ts"
import * as objects from "./decode.ts"
import { get, metadataOnly } from "./encode.ts"
import * as status from "./responseError.ts"
import type { Request } from "./http.ts"

/** What to watch, how to read it when events may have been missed, and where to begin. */
export interface Options {
  readonly exchange: ApiClient
  readonly about: status.RequestInfo
  readonly collectionPath: string
  readonly read: Effect.Effect<ObjectSnapshot, LockError.StoreError>
  readonly since: string | undefined
  readonly label: WatchOptions["label"]
}

/**
 * Tells every change.
 *
 * A watch that ends or breaks is opened again where it stopped. One whose place the server has forgotten (410) begins
 * again with a reading. A watch that is silent for longer than the server would let it be is taken to be dead.
 */
export const changes = (options: Options): Stream.Stream<WatchEvent, LockError.StoreError> =>
  Stream.suspend(() => {
    let since = options.since
    const isSelected = ({ labels }: ObjectSnapshot) =>
      options.label === undefined || labels[options.label.key] === options.label.value

    const resync = Effect.matchEffect(options.read, {
      onSuccess: (metadata) => {
        since = metadata.resourceVersion
        return Effect.succeed<WatchEvent>(
          isSelected(metadata) ? { _tag: "Changed", snapshot: metadata } : { _tag: "Deleted" }
        )
      },
      onFailure: (error) => {
        since = undefined
        return error._tag === "LockNotFound" && error.missing === "object"
          ? Effect.succeed<WatchEvent>({ _tag: "Deleted" })
          : Effect.fail(error)
      }
    })

    const told = (line: string): Effect.Effect<WatchEvent | undefined, LockError.StoreError> => {
      const event = objects.eventFromJson(line)
      if (event === undefined) return Effect.fail(noAnswer(options.about, "the watch told what is not an event"))
      switch (event._tag) {
        case "Changed":
          since = event.snapshot.resourceVersion
          return Effect.succeed(event)
        case "Deleted":
          since = event.snapshot.resourceVersion
          return Effect.succeed({ _tag: "Deleted" })
        case "Bookmark":
          since = event.resourceVersion
          return Effect.undefined
        case "Ended":
          return event.code === 410
            ? resync
            : Effect.fail(noAnswer(options.about, `the watch ended with code ${event.code}`))
      }
    }

    const opened = Effect.gen(function* () {
      const { about, exchange } = options
      const answer = yield* exchange.watch(requestOf(options, since), about)
      if ("lines" in answer) {
        return Stream.mapError(answer.lines, ({ detail }) => noAnswer(about, detail)).pipe(Stream.mapEffect(told))
      }
      return answer.status === 410 ? Stream.fromEffect(resync) : Stream.fail(status.toError(answer, about))
    })

    return Stream.unwrap(opened).pipe(
      Stream.interruptWhen(Effect.sleep(Duration.seconds(watchSeconds + 10))),
      Stream.filter((change) => change !== undefined),
      Stream.repeat(Schedule.spaced("10 millis")),
      Stream.retry(($) => $(reopening).pipe(Schedule.while(({ input }) => input._tag === "LockUnavailable")))
    )
  })

const requestOf = ({ about, collectionPath, label }: Options, since: string | undefined): Request =>
  metadataOnly(
    get(
      `${collectionPath}?${new URLSearchParams({
        watch: "1",
        fieldSelector: `metadata.name=${about.id}`,
        ...(label === undefined ? {} : { labelSelector: `${label.key}=${label.value}` }),
        allowWatchBookmarks: "true",
        timeoutSeconds: String(watchSeconds),
        ...(since === undefined ? {} : { resourceVersion: since })
      })}`
    )
  )

/** How long the server is asked to keep a watch open. */
const watchSeconds = 60

const reopening = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered
)

/** The changes of one object, as a stream that outlives the watches it is made of. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ndjson from "effect/encoding/Ndjson"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as LockError from "../LockError.ts"
import type { Change, ChangesOptions, Metadata } from "../ObjectStore.ts"
import { type Exchange, maxBytes, noAnswer, ObjectMeta, toMetadata } from "./exchange.ts"
import { get, metadataOnly } from "./requests.ts"
import * as status from "./status.ts"

/** What to watch, how to read it when events may have been missed, and where to begin. */
export interface Options {
  readonly exchange: Exchange
  readonly about: status.Request
  readonly collectionPath: string
  readonly read: Effect.Effect<Metadata, LockError.StoreError>
  readonly since: string | undefined
  readonly label: ChangesOptions["label"]
}

/**
 * Tells every change.
 *
 * A watch that ends or breaks is opened again where it stopped. One whose place the server has forgotten (410) begins
 * again with a reading. A watch that is silent for longer than the server would let it be is taken to be dead.
 */
export const changes = (options: Options): Stream.Stream<Change, LockError.StoreError> =>
  Stream.suspend(() => {
    let since = options.since
    const isSelected = ({ labels }: Metadata) =>
      options.label === undefined || labels[options.label.key] === options.label.value

    const resync = Effect.matchEffect(options.read, {
      onSuccess: (metadata) => {
        since = metadata.resourceVersion
        return Effect.succeed<Change>(isSelected(metadata) ? { _tag: "Changed", metadata } : { _tag: "Deleted" })
      },
      onFailure: (error) => {
        since = undefined
        return error._tag === "LockNotFound" && error.missing === "object"
          ? Effect.succeed<Change>({ _tag: "Deleted" })
          : Effect.fail(error)
      }
    })

    const told = (event: typeof WatchEvent.Type): Effect.Effect<Change | undefined, LockError.StoreError> => {
      if (event.type === "ERROR") {
        return event.object.code === 410
          ? resync
          : Effect.fail(noAnswer(options.about, `the watch ended with code ${event.object.code}`))
      }
      since = event.object.metadata.resourceVersion
      switch (event.type) {
        case "BOOKMARK":
          return Effect.undefined
        case "DELETED":
          return Effect.succeed({ _tag: "Deleted" })
        case "ADDED":
        case "MODIFIED":
          return Effect.succeed({ _tag: "Changed", metadata: toMetadata(event.object.metadata) })
      }
    }

    return Stream.suspend(() => open(options, since)).pipe(
      Stream.mapEffect(told),
      Stream.filter((change) => change !== undefined),
      Stream.repeat(Schedule.spaced("10 millis")),
      Stream.retry(($) => $(reopening).pipe(Schedule.while(({ input }) => input._tag === "LockUnavailable")))
    )
  })

const open = (
  { about, collectionPath, exchange, label }: Options,
  since: string | undefined
): Stream.Stream<typeof WatchEvent.Type, LockError.StoreError> => {
  const request = get(collectionPath).pipe(
    metadataOnly,
    HttpClientRequest.setUrlParams({
      watch: "1",
      fieldSelector: `metadata.name=${about.id}`,
      ...(label === undefined ? {} : { labelSelector: `${label.key}=${label.value}` }),
      allowWatchBookmarks: "true",
      timeoutSeconds: String(watchSeconds),
      ...(since === undefined ? {} : { resourceVersion: since })
    })
  )
  return exchange.open(request, about).pipe(
    Effect.map((response) =>
      response.status === 200
        ? response.stream.pipe(
            Stream.pipeThroughChannel(
              Ndjson.decodeSchema(WatchEvent)({ ignoreEmptyLines: true, maxLineBytes: maxBytes })
            ),
            Stream.mapError(() => noAnswer(about, "the watch broke off, or told what is not an event"))
          )
        : response.status === 410
          ? Stream.succeed(expired)
          : Stream.unwrap(
              Effect.map(exchange.finish(response, about), (answer) => Stream.fail(status.toError(answer, about)))
            )
    ),
    Stream.unwrap,
    Stream.interruptWhen(Effect.sleep(Duration.seconds(watchSeconds + 10)))
  )
}

/** How long the server is asked to keep a watch open. */
const watchSeconds = 60

const reopening = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered
)

const expired = { type: "ERROR", object: { code: 410 } } as const

const WatchEvent = Schema.Union([
  Schema.Struct({
    type: Schema.Literals(["ADDED", "MODIFIED", "DELETED"]),
    object: Schema.Struct({ metadata: ObjectMeta })
  }),
  Schema.Struct({
    type: Schema.Literal("BOOKMARK"),
    object: Schema.Struct({ metadata: Schema.Struct({ resourceVersion: Schema.String }) })
  }),
  Schema.Struct({ type: Schema.Literal("ERROR"), object: Schema.Struct({ code: Schema.Int }) })
])

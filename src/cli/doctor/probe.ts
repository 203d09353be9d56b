/** What a lock does, on an object of the doctor's own: writes, reads, and a watch. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ApiClient } from "../../internal/kubernetes/apiClient.ts"
import * as encode from "../../internal/kubernetes/encode.ts"
import * as responseError from "../../internal/kubernetes/responseError.ts"
import type * as LockError from "../../LockError.ts"
import * as LockQueue from "../../LockQueue.ts"
import { type ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as Resource from "../../Resource.ts"
import { advice, failed, type Finding, ok, skipped } from "./finding.ts"

/** The verbs without which the doctor makes no object. */
export const verbs = ["create", "get", "patch", "delete"] as const

/**
 * Finds out how writes, reads and a watch do, on an object that it makes and deletes. If it must not (`lacking` are the `verbs` that are
 * not granted), a dry run says what becomes of annotations.
 */
export const check = Effect.fnUntraced(function* (
  resource: Resource.Resource,
  lacking: ReadonlyArray<string>,
  dryRun: Effect.Effect<Finding>
): Effect.fn.Return<ReadonlyArray<Finding>, LockError.StoreError, ObjectStore> {
  const without = Effect.fnUntraced(function* (why: string) {
    const annotations = lacking.includes("create") ? skipped("annotations", why) : yield* dryRun
    return [annotations, skipped("latency", why), skipped("watch", why)]
  })
  if (!resource.createIfMissing) return yield* without("locks do not make such objects")
  if (lacking.length > 0) {
    return yield* without(`it needs an object, and is not allowed to ${lacking.join(", ")} ${Resource.name(resource)}`)
  }
  const name = nameOfObject()
  const key = resource.annotation
  const store = yield* ObjectStore
  return yield* Effect.acquireUseRelease(
    store.create(name, { [key]: expiryOf(0) }),
    Option.match({
      onNone: () => without("the object could not be made"),
      onSome: (created) => onObject(store, name, key, created)
    }),
    () => Effect.ignore(Effect.flatMap(store.read(name), (found) => store.remove(name, found)))
  )
})

const nameOfObject = (): string => `kubelock-doctor-${LockQueue.newProcessId()}`

/** Finds out whether annotations and labels would be stored as they are sent. The server makes no object. */
export const dryRun = (api: ApiClient, resource: Resource.Resource, namespace: string) =>
  Effect.gen(function* () {
    const name = nameOfObject()
    const { annotation: key, kind, namespaced } = resource
    const annotations = { [key]: expiryOf(0) }
    const label = { key: LockQueue.labelKey(key), value: "doctor" }
    const info = { id: name, verb: "create", object: Resource.describe(resource, namespace, name), namespaced }
    const made = encode.post(Resource.collectionPath(resource, namespace), {
      apiVersion: Resource.apiVersion(resource),
      kind,
      metadata: { name, annotations, labels: { [label.key]: label.value } }
    })
    const response = yield* api.request(encode.dryRun(made), info)
    return response.status === 201
      ? Option.match(decodeMetadata(response.body), {
          onNone: () => skipped("annotations", "the answer to a dry run is not a Kubernetes object"),
          onSome: ({ metadata }) =>
            kept(
              metadata.annotations?.[key] === annotations[key] && metadata.labels?.[label.key] === label.value,
              "a dry run says that annotations and labels are stored as they are sent"
            )
        })
      : yield* Effect.fail(responseError.toError(response, info))
  }).pipe(Effect.catch(({ message }) => Effect.succeed(skipped("annotations", message))))

const Texts = Schema.optionalKey(Schema.Record(Schema.String, Schema.String))

// What a dry run would make has no version.
const decodeMetadata = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ metadata: Schema.Struct({ annotations: Texts, labels: Texts }) }))
)

const kept = (isKept: boolean, detail: string): Finding =>
  isKept
    ? ok("annotations", detail)
    : failed(
        "annotations",
        "something changes them on their way",
        "Look for a mutating webhook, and exempt these objects."
      )

// A lock that has expired long ago is in nobody's way.
const expiryOf = (count: number): string => `2000-01-01T00:00:${String(count % 60).padStart(2, "0")}Z`

const onObject = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  name: string,
  key: string,
  created: ObjectSnapshot
) {
  let current = created
  let count = 0
  const label = { key: LockQueue.labelKey(key), value: "doctor" }
  const swap = Effect.suspend(() => {
    count++
    return store.compareAndSwap(name, {
      expect: { resourceVersion: current.resourceVersion },
      annotations: { [key]: expiryOf(count) },
      labels: { [label.key]: label.value }
    })
  }).pipe(Effect.tap((answer) => Effect.sync(() => (current = Option.getOrElse(answer, () => current)))))
  const reads = yield* median(store.read(name))
  const writes = yield* median(swap)
  const isKept = current.annotations[key] === expiryOf(count) && current.labels[label.key] === label.value
  return [
    kept(isKept, "annotations and labels are stored as they are sent"),
    ok("latency", `a read takes ${text(reads)}, a compare-and-swap ${text(writes)} (median of ${rounds})`),
    yield* Effect.catchTag(
      watch(
        Stream.suspend(() => store.watch(name, { since: current.resourceVersion, label })),
        swap
      ),
      "LockForbidden",
      ({ message }) => Effect.succeed(advice("watch", message, "Without watches, waiters poll."))
    )
  ]
})

// The first write finds the watch open or not. The second one is timed.
const watch = <A, E>(events: Stream.Stream<unknown, E>, write: Effect.Effect<A, E>): Effect.Effect<Finding, E> =>
  Effect.scoped(
    Effect.gen(function* () {
      const seen = yield* Queue.unbounded<void, E>()
      yield* Effect.forkScoped(
        Stream.runForEach(events, () => Queue.offer(seen, undefined)).pipe(
          Effect.tapCause((cause) => Queue.failCause(seen, cause))
        )
      )
      yield* write
      const first = yield* Effect.timeoutOption(Queue.take(seen), patience)
      const [duration, second] = yield* Effect.timed(
        Effect.andThen(write, Effect.timeoutOption(Queue.take(seen), patience))
      )
      return Option.isSome(first) && Option.isSome(second)
        ? ok("watch", `an event of a filtered watch is here ${text(Duration.toMillis(duration))} after a write begins`)
        : failed(
            "watch",
            `no event within ${Duration.format(patience)} of a write`,
            "A proxy in front of the API server may hold back responses: turn its buffering off (nginx: proxy_buffering off)."
          )
    })
  )

/** How long an event may take. Our choice. */
const patience = Duration.seconds(5)

const rounds = 11

const median = <E>(effect: Effect.Effect<unknown, E>): Effect.Effect<number, E> =>
  Effect.map(
    Effect.replicateEffect(Effect.timed(effect), rounds),
    (all) => all.map(([duration]) => Duration.toMillis(duration)).toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!
  )

const text = (millis: number): string => `${millis.toFixed(millis < 10 ? 1 : 0)} ms`

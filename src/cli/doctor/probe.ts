/** What a lock does, on an object of the doctor's own: writes, reads, and a watch. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as LockError from "../../LockError.ts"
import * as LockQueue from "../../LockQueue.ts"
import { type ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import type * as Resource from "../../Resource.ts"
import { advice, failed, type Finding, ok, skipped } from "./finding.ts"

const checks = ["annotations", "latency", "watch"]

/** Finds out how writes, reads and a watch do. `isAllowed`: whether the credentials may make, read, write and delete objects. */
export const check = (
  resource: Resource.Resource,
  isAllowed: boolean
): Effect.Effect<ReadonlyArray<Finding>, LockError.StoreError, ObjectStore> => {
  if (!resource.createIfMissing) return Effect.succeed(skipAll("locks do not make such objects"))
  if (!isAllowed) return Effect.succeed(skipAll("it needs an object, and the verbs create, get, patch and delete"))
  const name = `kubelock-doctor-${LockQueue.newProcessId()}`
  const key = resource.annotation
  return Effect.flatMap(ObjectStore, (store) =>
    Effect.acquireUseRelease(
      store.create(name, { [key]: expiryOf(0) }),
      Option.match({
        onNone: () => Effect.succeed(skipAll("the object could not be made")),
        onSome: (created) => onObject(store, name, key, created)
      }),
      () => Effect.ignore(Effect.flatMap(store.read(name), (found) => store.remove(name, found)))
    )
  )
}

const skipAll = (why: string): ReadonlyArray<Finding> => checks.map((check) => skipped(check, why))

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
    isKept
      ? ok("annotations", "annotations and labels are stored as they are sent")
      : failed(
          "annotations",
          "something changes them on their way",
          "Look for a mutating webhook, and exempt these objects."
        ),
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

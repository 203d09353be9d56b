/** What suites do with a store: check its answers, and follow its watches. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { type WatchEvent, type WatchOptions, ObjectStore } from "../../src/ObjectStore.ts"

/** Asserts that a write was accepted, and returns the answer. */
export const written = <A>(answer: Option.Option<A>): A => {
  assert.isTrue(Option.isSome(answer), "the write should have been accepted")
  return Option.getOrThrow(answer)
}

/** Asserts that a write was refused. */
export const refused = (answer: Option.Option<unknown>): void => {
  assert.isTrue(Option.isNone(answer), "the write should have been refused")
}

/** Watches an object, and returns its watch events one by one. */
export const changesOf = (id: string, options?: WatchOptions) =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    const queue = yield* Queue.unbounded<WatchEvent>()
    yield* store.watch(id, options).pipe(
      Stream.runForEach((change) => Queue.offer(queue, change)),
      Effect.forkScoped({ startImmediately: true })
    )
    return queue
  })

/** Takes watch events until one is as wanted. A watch may report a state more than once, and may skip states. */
export const takeUntil = (queue: Queue.Dequeue<WatchEvent>, wanted: (change: WatchEvent) => boolean) =>
  Queue.take(queue).pipe(Effect.repeat({ until: wanted }), Effect.timeout("30 seconds"))

/** Whether a watch event says that an annotation has a value. */
export const hasAnnotation = (key: string, value: string) => (change: WatchEvent) =>
  change._tag === "Changed" && change.snapshot.annotations[key] === value

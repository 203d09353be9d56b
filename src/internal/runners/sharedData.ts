/**
 * The data of a ConfigMap that all runners of a cluster share: known from a watch, changed by compare-and-swap.
 *
 * Changes that come while a write is under way wait for it, and are then made by one write together. If another runner has written in the
 * meantime, the object is read, and the changes are made anew to what it says now.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type StoreError, Unavailable } from "../../LockError.ts"
import type { FieldPatch, ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as ClockReading from "../time/clockReading.ts"
import { quiet } from "../tracing.ts"
import { isOlder } from "../version.ts"
import type * as deadline from "./deadline.ts"
import type { Data } from "./shardMap.ts"

/** What becomes of the data, and the answer to the caller that asked for that. It may be called again with newer data. */
export type Change<A> = (data: Data) => { readonly data: Data; readonly answer: A }

/** The data of one object. An object that is missing has none, and the first change creates it. */
export interface SharedData {
  /** The data as known. It asks the store if no watch tells of changes, or has told nothing for `maxAge` milliseconds. */
  readonly known: (maxAge: number) => Effect.Effect<Data, StoreError>
  /** The data as the store has it. */
  readonly read: Effect.Effect<Data, StoreError>
  /** The data as last known; `undefined` if nothing is. */
  readonly latest: () => Data | undefined
  /** Changes the data. It writes nothing if the change leaves the data as known. A failure may have changed it. */
  readonly change: <A>(change: Change<A>) => Effect.Effect<A, StoreError>
  /** Waits until something else is known than when this was called. */
  readonly nextChange: () => Effect.Effect<void>
}

/** How often one write is tried if others write at the same time. Our choice. */
export const attempts = 10

/** The first pause after such a conflict, in milliseconds at most. It doubles. Our choice. */
export const firstPause = 5

/** How long after the watch has failed it is opened again, in milliseconds. Until then the object is read. Our choice. */
export const watchAgainMillis = 30_000

/** An object as known. `version` is its resourceVersion; it has none if it is missing. */
interface Known {
  readonly data: Data
  readonly version: string | undefined
}

interface Pending {
  readonly change: Change<unknown>
  readonly done: Deferred.Deferred<unknown, StoreError>
}

/** Makes the data of the object, over a store that includes content. The watch opens with the first use, and ends with the scope. */
export const make = (
  store: ObjectStore["Service"],
  id: string,
  scope: Scope.Scope,
  withDeadline: ReturnType<typeof deadline.make>
): SharedData => {
  let known: Known | undefined
  let heardAt = Number.NEGATIVE_INFINITY
  let hasWatch = false
  let isTold = false
  let hasReported = false
  let news = Latch.makeUnsafe(false)

  const set = (next: Known) => {
    known = next
    const told = news
    news = Latch.makeUnsafe(false)
    told.openUnsafe()
  }

  const learn = (snapshot: ObjectSnapshot): Data => {
    const { resourceVersion: version } = snapshot
    const data = dataOf(snapshot)
    const isNews = known?.version === undefined || isOlder(known.version, version)
    if (isNews) set({ data, version })
    return data
  }

  // What was known when the reading began is no newer than its answer. If the answer is older all the same, etcd was restored.
  const learnRead = (snapshot: ObjectSnapshot, before: Known | undefined): Data => {
    if (known === before && before?.version !== snapshot.resourceVersion) known = undefined
    return learn(snapshot)
  }

  const learnMissing = (): Data => {
    if (known === undefined || known.version !== undefined) set({ data: {}, version: undefined })
    return {}
  }

  const hear = Effect.map(ClockReading.now, ({ monotonic }) => void (heardAt = monotonic))

  const read = Effect.suspend(() => {
    const before = known
    return Effect.map(store.read(id), (snapshot) => learnRead(snapshot, before))
  }).pipe(
    Effect.catchTag("LockNotFound", (error) =>
      error.missing === "object" ? Effect.sync(learnMissing) : Effect.fail(error)
    ),
    Effect.tap(() => hear)
  )

  const watch = store.watch(id, { content: true }).pipe(
    Stream.runForEach((event) => {
      isTold = true
      if (event._tag === "Changed") learn(event.snapshot)
      else learnMissing()
      return hear
    }),
    Effect.catch((error) => {
      if (hasReported) return Effect.void
      hasReported = true
      return quiet(
        Effect.logWarning(
          `The runners of the cluster are read again and again, since they cannot be watched. ${error.message}`
        )
      )
    }),
    Effect.andThen(Effect.sync(() => void (isTold = false))),
    Effect.andThen(Effect.sleep(Duration.millis(watchAgainMillis))),
    Effect.forever
  )

  const startWatch = Effect.suspend(() => {
    if (hasWatch) return Effect.void
    hasWatch = true
    return Effect.asVoid(Effect.forkIn(watch, scope, { startImmediately: true }))
  })

  const write = (before: Known, data: Data): Effect.Effect<boolean, StoreError> =>
    Effect.map(
      before.version === undefined
        ? store.create(id, {}, { data })
        : store.compareAndSwap(id, {
            expect: { resourceVersion: before.version },
            annotations: {},
            content: patchOf(before.data, data)
          }),
      (answer) => {
        if (Option.isSome(answer)) learn(answer.value)
        return Option.isSome(answer)
      }
    )

  const perform = Effect.fnUntraced(function* (
    batch: ReadonlyArray<Pending>
  ): Effect.fn.Return<ReadonlyArray<unknown>, StoreError> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (known === undefined || attempt > 0) yield* read
      const before = known!
      let { data } = before
      const answers: Array<unknown> = []
      for (const { change } of batch) {
        const changed = change(data)
        data = changed.data
        answers.push(changed.answer)
      }
      if (isSame(before.data, data) || (yield* write(before, data))) return answers
      if (attempt > 0) yield* Effect.sleep(Duration.millis(yield* Random.nextBetween(0, firstPause * 2 ** attempt)))
    }
    return yield* new Unavailable({
      object: store.describe(id),
      verb: "patch",
      detail: "other runners write to it all the time"
    })
  })

  let pending: Array<Pending> = []
  let isBusy = false

  const work = Effect.gen(function* () {
    while (pending.length > 0) {
      // What others change in this moment comes along.
      yield* Effect.yieldNow
      const batch = pending
      pending = []
      const exit = yield* Effect.exit(withDeadline("patch", perform(batch)))
      for (const [index, { done }] of batch.entries()) {
        Deferred.doneUnsafe(
          done,
          Exit.map(exit, (answers) => answers[index])
        )
      }
    }
  }).pipe(Effect.ensuring(Effect.sync(() => void (isBusy = false))))

  return {
    known: (maxAge) =>
      Effect.gen(function* () {
        yield* startWatch
        const { monotonic } = yield* ClockReading.now
        return known !== undefined && isTold && monotonic - heardAt <= maxAge ? known.data : yield* read
      }),
    read,
    latest: () => known?.data,
    change: <A>(change: Change<A>) =>
      Effect.gen(function* () {
        yield* startWatch
        const done = Deferred.makeUnsafe<unknown, StoreError>()
        pending.push({ change, done })
        if (!isBusy) {
          isBusy = true
          yield* Effect.forkIn(work, scope, { startImmediately: true })
        }
        return (yield* Deferred.await(done)) as A
      }),
    nextChange: () => news.await
  }
}

const dataOf = ({ content }: ObjectSnapshot): Data => {
  const data = content?.["data"]
  return Predicate.isObject(data) ? (data as Data) : {}
}

const patchOf = (before: Data, after: Data): ReadonlyArray<FieldPatch> =>
  Array.from(new Set([...Object.keys(before), ...Object.keys(after)]))
    .filter((key) => before[key] !== after[key])
    .map((key) => ({ path: ["data", key], value: after[key] ?? null }))

const isSame = (before: Data, after: Data): boolean => patchOf(before, after).length === 0

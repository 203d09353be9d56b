/** Requests to the store, with their outcome as the answer that the machines take, and the time on the server. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as LockError from "../../LockError.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { ConditionalPatch, ObjectSnapshot, ObjectStore, ReadOptions, ServerTime } from "../../ObjectStore.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Answer, Now } from "../protocol/answer.ts"

type Store = ObjectStore["Service"]

/** Reads an object. */
export const read = (store: Store, id: string, options?: ReadOptions): Effect.Effect<Answer> =>
  Effect.matchEager(store.read(id, options), {
    onSuccess: (snapshot): Answer => ({ _tag: "Found", snapshot }),
    onFailure: failed
  })

/** Writes to an object under a precondition. */
export const write = (store: Store, id: string, patch: ConditionalPatch): Effect.Effect<Answer> =>
  Effect.matchEager(store.compareAndSwap(id, patch), { onSuccess: written, onFailure: failed })

/** Creates an object. */
export const create = (
  store: Store,
  id: string,
  annotations: Readonly<Record<string, string>>
): Effect.Effect<Answer> => Effect.matchEager(store.create(id, annotations), { onSuccess: written, onFailure: failed })

/**
 * The time, as the machines take it. No request is made. The clocks of this process are read first: it may be suspended before it knows
 * the time on the server, and must not rely on a lease from later on than that time.
 */
export const now = (store: Store): Effect.Effect<Now> =>
  Effect.withFiber((fiber) => {
    const clock = ClockReading.read(fiber.getRef(Clock.Clock))
    return Effect.map(store.now, (server) => ({ clock, server }))
  })

/** The time on the server, after an answer. One whose time is not believed needs a second one to confirm it. */
export const knownTime = Effect.fnUntraced(function* (
  store: Store,
  id: string
): Effect.fn.Return<ServerTime, LockError.StoreError> {
  if (!LockProtocol.isClockKnown(yield* store.now)) yield* store.read(id)
  const now = yield* store.now
  return LockProtocol.isClockKnown(now) ? now : yield* LockProtocol.clockUnknown(store.describe(id))
})

const written = Option.match({
  onNone: (): Answer => ({ _tag: "Refused" }),
  onSome: (snapshot: ObjectSnapshot): Answer => ({ _tag: "Written", snapshot })
})

const failed = (error: LockError.StoreError): Answer =>
  error._tag === "LockNotFound" ? { _tag: "Missing", error } : { _tag: "Failed", error }

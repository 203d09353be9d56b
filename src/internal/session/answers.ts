/** Tells of the answers of a store. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { StoreError } from "../../LockError.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"

/** The store, which tells of each object that an answer shows, before its caller has it. If `tell` fails, that is the answer. */
export const heard = (
  store: ObjectStore["Service"],
  tell: (name: string, answer: ObjectSnapshot) => Effect.Effect<void, StoreError>
): ObjectStore["Service"] => {
  const note = (name: string) => (answer: ObjectSnapshot) => tell(name, answer)
  return {
    ...store,
    read: (name, options) => Effect.tap(store.read(name, options), note(name)),
    compareAndSwap: (name, patch) =>
      Effect.tap(store.compareAndSwap(name, patch), Option.match({ onNone: () => Effect.void, onSome: note(name) }))
  }
}

/** Writes a value that did not come from a refresh: that of a new login. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RefreshError from "../../RefreshError.ts"
import { type Deps, type Failure, storedValue } from "./deps.ts"

/** Replaces whatever is stored, also what cannot be read, and what this process keeps. */
export const replace = <A, E>(deps: Deps<A, E>, id: string, value: A): Effect.Effect<void, Failure> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { createIfMissing, knowledge, location, lock, store } = deps
      const object = store.describe(id)
      const encoded = yield* Effect.mapError(
        location.encode(value),
        () => new RefreshError.NotEncodable({ id, object })
      )
      const held = yield* restore(lock.scoped(id, { createIfMissing }))
      // A lock that was handed over by another process comes without the content.
      const stored =
        held.snapshot.content === undefined
          ? Option.none<A>()
          : Option.flatten(yield* Effect.option(storedValue(deps, id, held.snapshot)))
      yield* Effect.mapError(
        held.commitAndRelease([encoded.patch]),
        (reason) => new RefreshError.NotWritten({ id, object, reason })
      )
      knowledge.replaced(id, Option.toArray(stored), encoded.value)
      knowledge.wrote(id, true)
    }).pipe(Effect.scoped)
  )

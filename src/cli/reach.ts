/** The first look at a lock: whether its server is there at all. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as LockError from "../LockError.ts"
import { type ObjectSnapshot, ObjectStore } from "../ObjectStore.ts"
import type * as waiting from "./waiting.ts"

/**
 * The object as it is, if it is there. A wait without end would be in vain if the server was never there, so it fails after a
 * while. All other problems are left to the acquisition, which knows which of them pass.
 */
export const reach = ({
  name,
  nonblock,
  timeout
}: Pick<waiting.Given, "nonblock" | "timeout"> & { readonly name: string }): Effect.Effect<
  ObjectSnapshot | undefined,
  LockError.StoreError,
  ObjectStore
> =>
  nonblock || Option.isSome(timeout)
    ? Effect.undefined
    : Effect.flatMap(ObjectStore, (store) =>
        // The lock itself must read a Lease: it may be that of an election.
        Effect.map(store.read(name), (snapshot) => (store.holdsLeases ? undefined : snapshot))
      ).pipe(
        // Then the connection is free again, and the next request opens no other one, which takes longer.
        Effect.tap(Effect.sleep("1 milli")),
        Effect.retry({
          while: ({ _tag }) => _tag === "LockUnavailable",
          schedule: Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: reachFor }))
        }),
        Effect.catchTags({
          LockNotFound: () => Effect.undefined,
          LockForbidden: () => Effect.undefined,
          LockUnauthorized: () => Effect.undefined
        })
      )

/** For how long a server that cannot be reached is tried if the wait has no end. Our choice. */
const reachFor = "10 seconds"

/**
 * Tells for how long a session lives, and ends one that has expired, so that its owner can never renew it.
 *
 * A renewal is a write to the version of the Lease that the owner knows. The fence is one, too, to a version in which the session has
 * expired. The API server applies only one of them. So the one that has fenced a session may take all that it held, also if its owner is
 * suspended at any point and goes on later.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type StoreError, Unavailable } from "../../LockError.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import * as leaseSpec from "../election/leaseSpec.ts"
import type { SessionReference } from "./sessionLease.ts"
import * as sessionLease from "./sessionLease.ts"

/** What is certain about a session: that it has ended, or that it lives until then (see `sessionLease.Standing`). */
export type Fenced = Exclude<sessionLease.Standing, { readonly _tag: "Expired" }>

/** Fences a session, in the store of the Leases of its namespace. A failure may have ended it. */
export const fence = Effect.fnUntraced(function* (
  leases: ObjectStore["Service"],
  reference: SessionReference
): Effect.fn.Return<Fenced, StoreError> {
  const { name } = reference
  for (let attempt = 0; attempt < attempts; attempt++) {
    const found = yield* readLease(leases, name)
    const now = yield* leases.now
    const seen = sessionLease.standing(reference, found, now)
    if (seen._tag !== "Expired" || found === undefined) return seen as Fenced
    const patch = {
      expect: { resourceVersion: found.resourceVersion },
      annotations: {},
      content: leaseSpec.fieldsIn(leaseSpec.released(now.latest))
    }
    const written = yield* unlessMissing(Effect.map(leases.compareAndSwap(name, patch), Option.getOrUndefined))
    // What the answer does not show did not happen.
    if (written !== undefined && sessionLease.standing(reference, written, now)._tag === "Ended") {
      return { _tag: "Ended" }
    }
  }
  return yield* new Unavailable({ object: leases.describe(name), verb: "patch", detail: "the Lease keeps changing" })
})

// How often the Lease may change between the reading and the write. Our choice.
const attempts = 5

/** Reads the Lease of a session; `undefined` if it is gone. One answer alone may be wrong, and the session live: two must say so. */
export const readLease = (leases: ObjectStore["Service"], name: string) =>
  Effect.flatMap(unlessMissing(leases.read(name)), (found) =>
    found === undefined ? unlessMissing(leases.read(name)) : Effect.succeed(found)
  )

/** An answer about an object; `undefined` if that is gone. */
export const unlessMissing = <A>(answer: Effect.Effect<A, StoreError>): Effect.Effect<A | undefined, StoreError> =>
  Effect.catchTag(answer, "LockNotFound", (error) =>
    error.missing === "object" ? Effect.undefined : Effect.fail(error)
  )

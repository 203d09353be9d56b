/**
 * The store that locks and permits use. If it holds Leases, those of elections are left alone, and what only Leases need is loaded with
 * the first lock on them.
 */
import * as Effect from "effect/Effect"
import type { LockKind } from "../../LockKind.ts"
import type { ObjectStore } from "../../ObjectStore.ts"

/** The store, for locks of this kind. */
export const make = (
  store: ObjectStore["Service"],
  kind: Pick<LockKind, "key" | "otherKeys">
): Effect.Effect<ObjectStore["Service"]> =>
  store.holdsLeases
    ? Effect.map(
        Effect.promise(() => import("./leaseMirror.ts")),
        (leaseMirror) => leaseMirror.make(store, kind)
      )
    : Effect.succeed(store)

/** The lines over a store, as a layer of semaphores or of shared locks has them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Options } from "../Lock.ts"
import * as LockKind from "../LockKind.ts"
import * as LockPolicy from "../LockPolicy.ts"
import type { ObjectStore } from "../ObjectStore.ts"
import * as besideElections from "./election/besideElections.ts"
import * as permits from "./engine/permits.ts"

/** Makes the lines of a layer for the kind of lock that is `wanted`. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  wanted: permits.Options["wanted"],
  { idInMetrics, identity, policy = LockPolicy.standard }: Options
): Effect.fn.Return<permits.Lines, never, Scope.Scope> {
  const kind = LockKind.exclusive(permits.keyOf(policy))
  return yield* permits.make(yield* besideElections.make(store, kind), { policy, identity, idInMetrics, wanted })
})

/**
 * The lease of a process that waits for the upstream, or leaves it alone for a while, is not renewed any more: it has expired, since no API
 * server was in reach, or the object was reported missing. As soon as a server is in reach, the process writes the lease anew, so that
 * others go on waiting. An object that is gone is made again, with the lease on it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Held } from "../../Held.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import { type Deps, makeAnew } from "./deps.ts"

/** How long it pauses after it was not in reach, in milliseconds. Our choice. */
export const pause = 1000

/** Prolongs the lease once nothing else does, again and again. */
export const prolong = <A, E>(deps: Deps<A, E>, held: Held): Effect.Effect<never> =>
  Effect.catch(held.lost, ({ reason }) =>
    reason === "Expired" || reason === "Deleted"
      ? Effect.forever(
          Effect.flatMap(Effect.option(writeAnew(deps, held)), (written) =>
            Effect.sleep(written._tag === "None" ? pause : Duration.toMillis(deps.policy.ttl) / 3)
          )
        )
      : Effect.never
  )

const writeAnew = Effect.fnUntraced(function* <A, E>(deps: Deps<A, E>, held: Held) {
  const { createIfMissing, kind, policy, store } = deps
  const { holderId, id } = held
  const reading = yield* Effect.result(store.read(id))
  if (reading._tag === "Failure") {
    const error = reading.failure
    const isGone = error._tag === "LockNotFound" && error.missing === "object"
    return yield* isGone && createIfMissing ? makeAnew(deps, held) : Effect.fail(error)
  }
  const check = LockProtocol.verifyLease(kind.decode(reading.success.annotations), holderId)
  if (check._tag !== "Ours") return
  const ttl = Duration.toMillis(policy.ttl)
  const lease = LockProtocol.nextLease(yield* store.now, { holderId, ttl }, check.expiry)
  yield* store.compareAndSwap(id, {
    expect: { annotations: kind.encode(check.lease) },
    annotations: kind.encode(lease)
  })
})

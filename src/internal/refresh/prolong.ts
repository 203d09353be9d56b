/**
 * The lease of a process that waits for the upstream, or leaves it alone for a while, is not renewed any more: it has expired, since no API
 * server was in reach, or the object was reported missing. If it is there with the lease on it, and as soon as a server is in reach, the
 * process writes the lease anew, so that others go on waiting.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Held } from "../../Held.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { Deps } from "./deps.ts"

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

const writeAnew = Effect.fnUntraced(function* <A, E>({ kind, policy, store }: Deps<A, E>, { holderId, id }: Held) {
  const { annotations } = yield* store.read(id)
  const check = LockProtocol.verifyLease(kind.decode(annotations), holderId)
  if (check._tag !== "Ours") return
  const ttl = Duration.toMillis(policy.ttl)
  const lease = LockProtocol.nextLease(yield* store.now, { holderId, ttl }, check.expiry)
  yield* store.compareAndSwap(id, {
    expect: { annotations: kind.encode(check.lease) },
    annotations: kind.encode(lease)
  })
})

/**
 * Opens sessions of this process, and knows of the ends of others.
 *
 * A session is the holder of a Lease, as a leader is: renewed by one write, lost at once if the Lease is not its own any more, relied on
 * for no longer than its last renewal lasts by the monotonic clock, and ended by one write. Nobody waits for its Lease.
 *
 * Leases are reused: a session opens on one that was never used, that its last session has left, or whose last session has expired. So
 * the Leases of processes that died without leaving are few, and nobody has to look for them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as LockError from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockPolicy from "../../LockPolicy.ts"
import { type ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as electionStore from "../election/electionStore.ts"
import { tryAcquire, type TryFailure } from "../engine/acquire.ts"
import type { Contender } from "../engine/contender.ts"
import type { Holding } from "../engine/holding.ts"
import * as localQueue from "../engine/localQueue.ts"
import * as engineProcess from "../engine/process.ts"
import * as engineSessions from "../engine/sessions.ts"
import * as watchPool from "../engine/watchPool.ts"
import * as answers from "./answers.ts"
import * as endings from "./endings.ts"
import * as sessionLease from "./sessionLease.ts"

/**
 * A session of this process. When the scope in which it was opened closes, it ends in order, with one write.
 *
 * - `isValid`: whether it lives, by the clocks of this process and what it knows. It makes no request.
 * - `remaining`: how long this process relies on its last renewal, in milliseconds.
 * - `lost`: fails with `LockLost` once it is lost; never succeeds. A session that is lost is lost for good.
 * - `renew`: renews it now, besides the renewals that it makes by itself. Answers whether the API server has just said that it lives.
 */
export interface Session {
  readonly reference: sessionLease.SessionReference
  readonly isValid: () => boolean
  readonly remaining: () => number
  readonly lost: Effect.Effect<never, LockError.Lost>
  readonly renew: Effect.Effect<boolean>
}

/**
 * The sessions in one namespace. `open` tries once for each Lease that it comes to, until it finds one that no living session has. It
 * takes three requests at most if few processes live.
 */
export interface Sessions extends endings.Endings {
  readonly open: Effect.Effect<Session, LockError.StoreError, Scope.Scope>
}

/**
 * The options of sessions.
 *
 * - `namespace`: that of the Leases, as references name it.
 * - `prefix`: what the names of the Leases begin with; `kubelock-session` by default.
 * - `identity`: how this process is called as the holder of its Lease.
 * - `ttl`: for how long a session lives after each renewal. `renewEvery` and `renewDeadline` are those of a `LockPolicy`: a third of the
 *   TTL, and the TTL, by default. With `renewEvery: false` only `renew` renews it.
 */
export interface Options {
  readonly namespace: string
  readonly prefix?: string | undefined
  readonly identity?: string | undefined
  readonly ttl: Duration.Duration
  readonly renewEvery?: Duration.Duration | false | undefined
  readonly renewDeadline?: Duration.Duration | undefined
}

/** The annotation by which the Leases are known as those of sessions. */
const key = "kubelock.dev/session"

/** Among how many Leases a session looks for one first, and by how much more each time it finds one taken. Our choice. */
export const leases = { atFirst: 16, factor: 4, atMost: 65_536 }

/** Makes the sessions over the store in context, which must be one of Leases that includes their content. */
export const make = Effect.fnUntraced(function* ({
  identity,
  namespace,
  prefix = sessionLease.namePrefix,
  renewDeadline,
  renewEvery,
  ttl
}: Options): Effect.fn.Return<Sessions, never, ObjectStore | Scope.Scope> {
  const given = yield* ObjectStore
  // The uids of the Leases on which sessions are open, by name. A Lease that was made anew is another one, whomever it names.
  const uids = new Map<string, string>()
  const isAnother = (name: string, { uid }: ObjectSnapshot) => uid !== (uids.get(name) ?? uid)
  const own = answers.heard(given, (name, lease) =>
    isAnother(name, lease)
      ? new LockError.NotFound({ id: name, object: given.describe(name), missing: "object" })
      : Effect.void
  )
  const store = electionStore.make(own, {
    key,
    leaseDuration: Math.ceil(Duration.toSeconds(ttl)),
    onSlowPath: () => Effect.void,
    onLongLease: () => Effect.void
  })
  const kind: LockKind = { ...electionStore.kind(key), what: "session" }
  const policy = LockPolicy.make({ annotation: key, ttl, renewEvery, renewDeadline })
  const { detach, engine, hold } = yield* engineProcess.make(store, {
    key,
    policy,
    identity,
    idInMetrics: undefined,
    sessions: engineSessions.none
  })
  const contenders = localQueue.make(detach)

  const begin = ({ id }: Contender, holding: Holding) => {
    const { lease } = holding
    const { holderId } = lease.contender
    const { uid } = lease.acquired
    const reference = { namespace, name: id, uid, incarnation: holderId }
    uids.set(id, uid)
    const session: Session = {
      reference,
      isValid: () => lease.isValid(),
      remaining: () => lease.remaining(),
      lost: lease.lost,
      renew: Effect.suspend(() => {
        const before = lease.seen()
        return Effect.map(lease.look, () => lease.isValid() && lease.seen() !== before)
      })
    }
    return Effect.as(
      Effect.addFinalizer(() => {
        uids.delete(id)
        return contenders.leave(lease.contender, holding)
      }),
      session
    )
  }

  const openOn = (name: string) =>
    hold(
      name,
      kind,
      undefined,
      undefined,
      (contender, start, restore) =>
        contenders.acquireIfIdle<TryFailure>(contender, start, tryAcquire, restore, () =>
          Effect.fail(new LockError.Conflict({ id: name, object: store.describe(name), reason: "Held" }))
        ),
      begin
    ).pipe(Effect.catchTags({ LockMalformed: Effect.die, LockMismatch: Effect.die }))

  const open = Effect.gen(function* () {
    for (let among = leases.atFirst; ; among = Math.min(leases.factor * among, leases.atMost)) {
      const number = yield* Random.nextIntBetween(0, among, { halfOpen: true })
      const opened = yield* Effect.result(openOn(`${prefix}-${number}`))
      if (Result.isSuccess(opened)) return opened.success
      if (opened.failure._tag !== "LockConflict") return yield* Effect.fail(opened.failure)
    }
  })

  const watched = ObjectStore.of({ ...given, watch: (id, options) => given.watch(id, { ...options, content: true }) })
  // No label is watched for.
  const watches = yield* watchPool.make(watched, { key, value: "" }, engine.timers)
  return { ...(yield* endings.make(given, watches, engine.timers)), open }
})

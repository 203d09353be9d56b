/** A lock that this process holds, for whichever of its contenders has it now: kept, lost, committed, released. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import type * as LockProtocol from "../../LockProtocol.ts"
import type { Lease } from "../../LockRecord.ts"
import type { FieldPatch } from "../../ObjectStore.ts"
import type { Grant } from "../protocol/acquisition.ts"
import * as holding from "../protocol/holding.ts"
import * as ClockReading from "../time/clockReading.ts"
import { commit } from "./commit.ts"
import type { Contender } from "./contender.ts"
import { handOver, release, type Released } from "./release.ts"
import * as requests from "./requests.ts"
import * as telemetry from "./telemetry.ts"

/**
 * A held lock.
 *
 * - `contender`: the contender in whose name it is held.
 * - `lease`: the lease as last written.
 * - `isAwaited`: whether others stood in the queue when the object was last seen.
 * - `isValid`: whether the lease is valid, as far as this process knows.
 * - `lost`: fails once the lock is lost; never succeeds.
 * - `check`: succeeds if the lease is valid, and fails if not.
 * - `released`: the error of a contender that has left the lock.
 * - `commitAndRelease`: writes content and releases, both or nothing.
 * - `release`: ends it. `requeue` is the holder ID of the waiter of this process that wants the lock again.
 * - `observe`: takes the span that is the parent of those of renewals and of the release.
 */
export interface HeldLease {
  readonly contender: Contender
  readonly grant: Grant
  readonly lease: () => Lease
  readonly isAwaited: () => boolean
  readonly isValid: () => boolean
  readonly lost: Effect.Effect<never, LockError.Lost>
  readonly check: Effect.Effect<void, LockError.Lost>
  readonly released: () => LockError.Lost
  readonly commitAndRelease: (
    content: ReadonlyArray<FieldPatch>
  ) => Effect.Effect<void, LockError.Lost | LockError.StoreError>
  readonly release: (requeue: string | undefined) => Effect.Effect<Released>
  readonly observe: (span: Tracer.Span) => void
}

/**
 * Holds a granted lock until `release` is run: the renewer keeps it, and its loss is told.
 *
 * It must not be interrupted between the grant and its return, so that the release is certain to run.
 */
export const hold = Effect.fnUntraced(function* (contender: Contender, grant: Grant): Effect.fn.Return<HeldLease> {
  const { engine, holderId, id, kind, object, policy, ttl } = contender
  const { store } = engine
  const clock = yield* Clock.Clock
  const terms: holding.Terms = {
    kind,
    holderId,
    ttl,
    renewEvery: policy.renewEvery === false ? undefined : Duration.toMillis(policy.renewEvery)
  }
  const lost = Deferred.makeUnsafe<never, LockError.Lost>()
  const acquiredAt = ClockReading.read(clock)
  let state = holding.begin(grant)
  let span: Tracer.Span | undefined
  // What a commit left behind, for the release.
  let committed: Released = { outcome: undefined, mayQueue: false }

  const remaining = () => holding.remaining(state, ClockReading.read(clock))
  const isLost = () => Deferred.isDoneUnsafe(lost)

  const lossBecause = (reason: LockError.Lost["reason"], seen: Partial<LockProtocol.HolderInfo> = {}) => {
    const heldFor = Duration.millis(Math.round(ClockReading.elapsed(acquiredAt, ClockReading.read(clock)).max))
    return new LockError.Lost({ id, object, reason, heldFor, ...seen })
  }

  const lose = (reason: LockError.Lost["reason"], seen?: Partial<LockProtocol.HolderInfo>) =>
    Effect.suspend(() => {
      if (isLost() || state.phase !== "Held") return Effect.void
      const error = lossBecause(reason, seen)
      return Effect.andThen(telemetry.lost(contender, span, error), Deferred.fail(lost, error))
    }).pipe(Effect.uninterruptible)

  const renewOnce = (interval: number) =>
    Effect.gen(function* () {
      const [planned, renewal] = holding.planRenewal(state, terms, yield* requests.now(store))
      state = planned
      let answer = yield* requests.write(store, id, renewal.write)
      for (;;) {
        const [after, next] = holding.onAnswer(state, terms, renewal, answer, interval)
        state = after
        switch (next._tag) {
          case "Renewed":
            yield* telemetry.measure(contender, LockMetrics.renewals, 1)
            return next.next
          case "Retry":
            if (next.warning !== undefined) yield* telemetry.tell(contender, "Warn", next.warning.message)
            return next.next
          case "Lost":
            yield* lose(next.reason, next.seen)
            return undefined
          case "Read":
            answer = yield* requests.read(store, id)
        }
      }
    })

  const stopKeeping = yield* engine.renewer.keep({
    remaining,
    renewIn: holding.firstRenewal(state, terms),
    renew: Effect.suspend(() => telemetry.span("renew", contender, span)(renewOnce(terms.renewEvery!))),
    expire: lose("Expired"),
    broke: (cause) => Effect.andThen(telemetry.tell(contender, "Error", cause), lose("Expired"))
  })

  const commitAndRelease = (content: ReadonlyArray<FieldPatch>) =>
    Effect.suspend(() => {
      state = { ...state, phase: "Committing" }
      return telemetry.span("commit", contender, span)(commit(contender, state.lease, state.snapshot, content))
    }).pipe(
      Effect.matchEffect({
        onSuccess: (result): Effect.Effect<void, LockError.Lost> => {
          if (result._tag === "Lost") {
            const { _tag: reason, ...seen } = result.check
            state = { ...state, phase: "Held" }
            return Effect.andThen(lose(reason, seen), Deferred.await(lost))
          }
          state = { ...state, phase: "Released" }
          const { outcome } = result
          if (outcome?._tag === "Awaited") return Effect.asVoid(handOver(contender, outcome.snapshot, undefined))
          committed = { outcome, mayQueue: false }
          return Effect.void
        },
        onFailure: (error) => {
          state = { ...state, phase: error._tag === "LockUnavailable" ? "Unsettled" : "Held" }
          return Effect.fail(error)
        }
      }),
      Effect.uninterruptible
    )

  const letGo = (requeue: string | undefined) =>
    Effect.suspend(() => {
      if (state.phase === "Released") return Effect.succeed(committed)
      const { lease, snapshot } = state
      state = { ...state, phase: "Released" }
      return telemetry.span("release", contender, span)(release(contender, lease, snapshot, requeue))
    })

  return {
    contender,
    grant,
    lease: () => state.lease,
    isAwaited: () => holding.isAwaited(state, terms),
    isValid: () => state.phase === "Held" && remaining() > 0 && !isLost(),
    lost: Deferred.await(lost),
    check: Effect.suspend(() => {
      if (isLost()) return Deferred.await(lost)
      if (state.phase !== "Held") return Effect.fail(lossBecause("Released"))
      return remaining() > 0 ? Effect.void : Effect.andThen(lose("Expired"), Deferred.await(lost))
    }),
    released: () => lossBecause("Released"),
    commitAndRelease,
    release: (requeue) => Effect.andThen(stopKeeping, letGo(requeue)),
    observe: (taken) => {
      span = taken
    }
  }
})

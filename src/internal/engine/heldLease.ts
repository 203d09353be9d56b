/** A lock that this process holds, for the contender that has it now: kept, lost, committed, released. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type * as Tracer from "effect/Tracer"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { Lease } from "../../LockRecord.ts"
import type { FieldPatch, MetadataPatch } from "../../ObjectStore.ts"
import type { Leaving } from "../../PermitProtocol.ts"
import type { Grant } from "../protocol/acquisitionState.ts"
import type { Answer } from "../protocol/answer.ts"
import * as holding from "../protocol/holding.ts"
import * as rules from "../protocol/rules.ts"
import * as ClockReading from "../time/clockReading.ts"
import { isOlder } from "../version.ts"
import { commit, type Committed } from "./commit.ts"
import type { Contender } from "./contender.ts"
import type { HeldLease, Released } from "./holding.ts"
import { clear, handOver, release, releaseExpired } from "./release.ts"
import * as requests from "./requests.ts"
import * as telemetry from "./telemetry.ts"

/**
 * Holds a granted lock until `release` is run: the renewer keeps it, and a loss is reported.
 *
 * It must not be interrupted between the grant and its return, so that the release is certain to run.
 */
export const startHold = Effect.fnUntraced(function* (contender: Contender, grant: Grant): Effect.fn.Return<HeldLease> {
  const { engine, holderId, id, kind, object, policy, sessions, ttl } = contender
  const { store } = engine
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const terms: holding.Terms = {
    kind,
    holderId,
    ttl,
    renewEvery: policy.renewEvery === false ? undefined : Duration.toMillis(policy.renewEvery),
    renewDeadline: Duration.toMillis(policy.renewDeadline),
    sessions
  }
  const lost = Deferred.makeUnsafe<never, LockError.Lost>()
  const acquiredAt = ClockReading.read(clock)
  let state = holding.begin(grant, terms)
  let seenAt = acquiredAt.monotonic
  let span: Tracer.Span | undefined
  let counted: (Pick<holding.State, "lease" | "snapshot"> & { permits: ReturnType<HeldLease["permits"]> }) | undefined
  // What a commit left behind, for the release.
  let hasReleased = false
  let committed = nothing
  let unbind: (() => void) | undefined

  const now = () => ClockReading.read(clock)
  const isLost = () => Deferred.isDoneUnsafe(lost)
  const advance = (next: holding.State) => {
    if (next.snapshot !== state.snapshot) seenAt = now().monotonic
    state = next
  }

  const lossBecause = (
    reason: LockError.Lost["reason"],
    seen: Partial<LockProtocol.HolderInfo> & { readonly withSession?: true } = {}
  ) => {
    const heldFor = Duration.millis(Math.round(ClockReading.elapsed(acquiredAt, now()).max))
    return new LockError.Lost({
      id,
      object,
      reason,
      heldFor,
      ...seen,
      ...rules.whatOf(kind)
    })
  }

  const noteLoss = (loss: holding.Loss) => {
    if (state.phase !== "Released") state = { ...state, loss: state.loss ?? loss }
  }

  const lose = (loss: holding.Loss) =>
    Effect.suspend(() => {
      noteLoss(loss)
      return state.phase === "Held" || state.phase === "Giving" ? publishLoss : Effect.void
    })

  // The log comes first: a listener may close the scope at once, and with it end this very fiber.
  const publishLoss = Effect.suspend(() => {
    if (isLost() || state.loss === undefined) return Effect.void
    const { reason, seen, withSession } = state.loss
    const error = lossBecause(reason, { ...seen, ...(withSession === true ? { withSession } : {}) })
    return Effect.andThen(telemetry.lost(contender, span, error), Deferred.fail(lost, error))
  }).pipe(Effect.uninterruptible)

  const expired: holding.Loss = { reason: "Expired", seen: {}, mayRemain: true }

  const isValid = () =>
    holding.isValid(state, now()) && (state.session === undefined || engine.sessions.isValid(state.session))

  // What writes the lease must not do so twice at once: each write has the lease as last written as its condition.
  const writing = kind.permits === undefined ? undefined : Semaphore.makeUnsafe(1)
  const alone = <A, E>(write: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    writing === undefined ? write : writing.withPermit(write)

  // A lease must have been renewed when a third of it is left.
  const latestRenewal = () => {
    const read = now()
    return read.monotonic + holding.remaining(state, read) - state.validFor / 3
  }

  const renewOnce = (interval: number) =>
    Effect.suspend(() => engine.slots.within({ latest: latestRenewal() }, renewInSlot(interval)))

  const renewInSlot = (interval: number) =>
    Effect.gen(function* () {
      if (state.loss !== undefined) return undefined
      const renewal = yield* planned(holding.planRenewal, terms)
      bind()
      const next = yield* renewBy(renewal, interval)
      if (next._tag === "Lost") return undefined
      if (next._tag === "Renewed") yield* telemetry.measure(contender, LockMetrics.renewals, 1)
      return next.next
    })

  // The answer to a reading also gives the time, which the process may have lost, for example in a sleep.
  const planned = Effect.fnUntraced(function* (plan: typeof holding.planRenewal, terms: holding.Terms) {
    const { server } = yield* requests.now(store)
    if (!LockProtocol.isClockUsable(server, terms.ttl)) yield* requests.read(store, id)
    const [next, renewal] = plan(state, terms, yield* requests.now(store))
    state = next
    return renewal
  })

  const renewBy = Effect.fnUntraced(function* (renewal: holding.Renewal, interval: number) {
    let answer = yield* requests.write(store, id, renewal.write)
    for (;;) {
      const [after, next] = holding.onAnswer(state, terms, renewal, answer, interval, yield* requests.now(store))
      advance(after)
      switch (next._tag) {
        case "Renewed":
          return next
        case "Retry":
          if (next.warning !== undefined) yield* telemetry.tell(contender, "Warn", next.warning.message)
          return next
        case "Lost":
          yield* lose(next.loss)
          return next
        case "Read":
          answer = yield* requests.read(store, id)
      }
    }
  })

  const verify = Effect.fnUntraced(function* (answer: Answer) {
    const [after, next] = holding.onReading(state, terms, answer, yield* requests.now(store))
    state = after
    if (next._tag === "Lost") yield* lose(next.loss)
  })

  const verifyOnce = Effect.flatMap(requests.read(store, id), verify)

  const isOutdated = (answer: Answer) =>
    answer._tag === "Found" && isOlder(answer.snapshot.resourceVersion, state.snapshot.resourceVersion)

  // A cache will do if it is no older than what is known. What is written meanwhile is newer than a reading.
  const lookUnderSession = Effect.suspend(() =>
    engine.slots.within(
      "Acquisition",
      Effect.gen(function* () {
        let answer = yield* requests.read(store, id, { mayBeStale: true })
        if (answer._tag === "Missing" || isOutdated(answer)) answer = yield* requests.read(store, id)
        if (!isOutdated(answer)) yield* verify(answer)
      })
    )
  )

  // From the first write on that names the session.
  const bind = () => {
    if (unbind !== undefined || state.session === undefined) return
    unbind = engine.sessions.hold(state.session, {
      holderId,
      lose: (loss) => {
        noteLoss(loss)
        fork(lose(loss))
      },
      look: lookUnderSession
    })
  }

  bind()
  // A lock that was handed over has a short lease of its own.
  if (engine.sessions.opened !== undefined && state.session === undefined && sessions?.current() !== undefined) {
    yield* alone(renewOnce(terms.renewEvery!))
  }
  const stopKeeping = yield* engine.renewer.keep({
    remaining: () => holding.remaining(state, now()),
    renewIn: holding.firstRenewal(state, terms, now()),
    renew: Effect.suspend(() => telemetry.span("renew", contender, span)(alone(renewOnce(terms.renewEvery!)))),
    expire: lose(expired),
    onGone: (notify) => engine.watches.onGone(id, notify),
    verify: verifyOnce,
    broke: (cause) => Effect.andThen(telemetry.tell(contender, "Error", cause), lose(expired))
  })

  const commitAndRelease = (
    content: ReadonlyArray<FieldPatch>,
    annotations?: MetadataPatch
  ): Effect.Effect<void, LockError.Lost | LockError.StoreError> =>
    Effect.suspend(() => {
      if (state.phase !== "Held") return Effect.fail(lossBecause("Released"))
      state = { ...state, phase: "Committing" }
      return Effect.flatMap(
        telemetry.span(
          "commit",
          contender,
          span
        )(commit(contender, state.lease, state.snapshot, state.inDoubt, content, annotations)),
        onCommitted
      )
    }).pipe(Effect.uninterruptible)

  const onCommitted = (result: Committed): Effect.Effect<void, LockError.Lost | LockError.StoreError> => {
    switch (result._tag) {
      case "Applied": {
        state = { ...state, phase: "Released" }
        const { outcome } = result
        if (outcome?._tag === "Awaited") return Effect.asVoid(handOver(contender, outcome, undefined))
        committed = { outcome, mayQueue: false }
        return Effect.void
      }
      case "Lost":
        state = { ...state, phase: "Held" }
        return Effect.andThen(lose(holding.lossOf(result.check)), Deferred.await(lost))
      case "Fail": {
        const { check, error, inDoubt } = result
        state = { ...state, phase: "Held", inDoubt: state.inDoubt || inDoubt }
        return Effect.andThen(check === undefined ? publishLoss : lose(holding.lossOf(check)), Effect.fail(error))
      }
    }
  }

  const give = (ttl: number | undefined): Effect.Effect<Lease, LockError.Lost> =>
    Effect.gen(function* () {
      yield* check
      state = { ...state, phase: "Giving" }
      unbind?.()
      yield* stopKeeping
      if (ttl !== undefined || state.session !== undefined) yield* renewForNext(ttl ?? terms.ttl)
      if (state.loss !== undefined) return yield* Deferred.await(lost)
      state = { ...state, phase: "Released" }
      return state.lease
    }).pipe(Effect.uninterruptible, telemetry.span("give", contender, span))

  // Nothing else ends the lease any more when it runs out.
  const renewForNext = Effect.fnUntraced(function* (ttl: number) {
    while (state.loss === undefined) {
      const next = yield* engine.slots.within(
        { latest: latestRenewal() },
        Effect.flatMap(planned(holding.planGiving, { ...terms, ttl }), (renewal) =>
          renewBy(renewal, terms.renewEvery ?? terms.ttl / 3)
        )
      )
      if (next._tag !== "Retry") return
      const left = holding.remaining(state, now())
      if (left <= 0) return yield* lose(expired)
      yield* Effect.sleep(Math.min(next.next, left))
    }
  })

  const lower = (leaving: Omit<Leaving, "again">) =>
    alone(
      Effect.suspend(() => {
        if (state.phase !== "Held" || state.loss !== undefined) return Effect.succeed(nothing)
        const { lease, snapshot } = state
        return Effect.map(
          telemetry.span(
            "release",
            contender,
            span
          )(release(contender, lease, snapshot, undefined, { ...leaving, again: undefined })),
          (lowered) => {
            if (lowered.outcome?.seen !== undefined) advance(holding.afterWriting(state, terms, lowered.outcome.seen))
            return lowered
          }
        )
      })
    )

  const raise = (permits: number) =>
    alone(
      Effect.gen(function* () {
        for (let attempt = 0; attempt < raiseAttempts; attempt++) {
          if (state.phase !== "Held" || state.loss !== undefined) return false
          const write = holding.planRaise(state, terms, permits)
          // What was last seen may be outdated.
          if (write === undefined && attempt > 0) return false
          if (write !== undefined) {
            const answer = yield* requests.write(store, id, write)
            if (answer._tag === "Written") {
              advance(holding.afterWriting(state, terms, answer.snapshot))
              return state.lease.permits === permits
            }
            if (answer._tag !== "Refused") return yield* failureOf(answer)
          }
          const found = yield* requests.read(store, id)
          if (found._tag !== "Found") return yield* failureOf(found)
          advance({ ...state, snapshot: found.snapshot })
        }
        return false
      })
    )

  const letGo = (requeue: string | undefined, leaving: Omit<Leaving, "keeps"> | undefined) =>
    Effect.suspend(() => {
      hasReleased = true
      if (state.phase === "Released") return Effect.succeed(committed)
      const { lease, loss, snapshot } = state
      state = { ...state, phase: "Released" }
      unbind?.()
      // A lease that is not on the object any more cannot be released, and one whose session has ended need not be.
      if (loss !== undefined && loss.mayRemain !== true) return Effect.succeed(nothing)
      const { session } = state
      return telemetry
        .span(
          "release",
          contender,
          span
        )(
          loss === undefined
            ? release(contender, lease, snapshot, requeue, leaving && { ...leaving, keeps: 0 })
            : releaseExpired(contender, requeue)
        )
        .pipe(
          Effect.tap(({ outcome }) =>
            session === undefined || (loss === undefined && outcome !== undefined)
              ? Effect.void
              : clear(contender, session)
          )
        )
    })

  const check = Effect.suspend(() => {
    if (isLost()) return Deferred.await(lost)
    if (state.phase !== "Held" || state.inDoubt) return Effect.fail(lossBecause("Released"))
    return isValid() ? Effect.void : Effect.andThen(lose(expired), Deferred.await(lost))
  })

  return {
    contender,
    grant,
    lease: () => state.lease,
    isAwaited: () => holding.isAwaited(state, terms),
    isValid,
    remaining: () => holding.remaining(state, now()),
    isLost: () => state.loss !== undefined,
    lost: Deferred.await(lost),
    check,
    confirm: Effect.suspend(() => (state.phase === "Released" && !hasReleased ? Effect.void : check)),
    released: () => lossBecause("Released"),
    commitAndRelease,
    give,
    release: (requeue, leaving) => Effect.andThen(stopKeeping, letGo(requeue, leaving)),
    permits: () => {
      if (counted?.lease !== state.lease || counted.snapshot !== state.snapshot) {
        counted = { lease: state.lease, snapshot: state.snapshot, permits: holding.permitsOf(state, terms) }
      }
      return counted.permits
    },
    lower,
    raise,
    look: alone(
      Effect.suspend(() => {
        const isHeld = state.phase === "Held" && state.loss === undefined
        return isHeld ? Effect.asVoid(renewOnce(terms.renewEvery ?? ttl)) : Effect.void
      })
    ),
    seen: () => state.snapshot,
    seenAt: () => seenAt,
    learn: (snapshot) => advance(holding.learn(state, snapshot)),
    observe: (taken) => {
      span = taken
    },
    observed: () => span
  }
})

const nothing: Released = { outcome: undefined, mayQueue: false }

// How often an upgrade is tried if the object keeps changing.
const raiseAttempts = 3

const failureOf = (answer: Answer): Effect.Effect<false, LockError.StoreError> =>
  answer._tag === "Missing" || answer._tag === "Failed" ? Effect.fail(answer.error) : Effect.succeed(false)

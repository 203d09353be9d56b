/** A lock that this process holds, for the contender that has it now: kept, lost, committed, released. */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type * as Tracer from "effect/Tracer"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as LockProtocol from "../../LockProtocol.ts"
import type { Lease } from "../../LockRecord.ts"
import type { FieldPatch, MetadataPatch, ObjectSnapshot } from "../../ObjectStore.ts"
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
import type { Kept, Renewable } from "./renewer.ts"
import * as renewTogether from "./renewTogether.ts"
import type { RenewalBeside } from "./renewTogether.ts"
import * as requests from "./requests.ts"
import type { HeldUnder } from "./sessions.ts"
import * as telemetry from "./telemetry.ts"
import type { HeldOn } from "./watchPool.ts"

/**
 * Holds a granted lock until `release` is run: the renewer keeps it, and a loss is reported.
 *
 * It must not be interrupted between the grant and its return, so that the release is certain to run. `onObject` are the leases of the
 * process on the object, which may be several if the lock has permits.
 */
export const startHold = Effect.fnUntraced(function* (
  contender: Contender,
  grant: Grant,
  onObject?: OnObject
): Effect.fn.Return<HeldLease> {
  const hold = new Hold(contender, grant, yield* Effect.context(), yield* Clock.Clock, onObject)
  yield* hold.start
  return hold
})

type OnObject = () => ReadonlyArray<HeldLease>

/** A process may have thousands of them, so what only some of them need is made when it is needed. */
class Hold implements HeldLease, HeldOn, HeldUnder, Renewable {
  readonly contender: Contender
  readonly acquired: ObjectSnapshot
  readonly issuedAt: Grant["issuedAt"]
  readonly tookOverFrom: Grant["tookOverFrom"]
  readonly #context: Context.Context<never>
  readonly #clock: Clock.Clock
  // Made for the first that waits for it, or for the loss.
  #lost: Deferred.Deferred<never, LockError.Lost> | undefined
  readonly #withPermits: WithPermits | undefined
  #state: holding.State
  #kept: Kept | undefined
  #isUnderSession = false
  #span: Tracer.Span | undefined
  // Why renewals fail, as a line of log has told.
  #toldOf: string | undefined
  // What a commit left behind, for the release.
  #hasReleased = false
  #committed = nothing

  constructor(
    contender: Contender,
    grant: Grant,
    context: Context.Context<never>,
    clock: Clock.Clock,
    onObject: OnObject | undefined
  ) {
    this.contender = contender
    this.acquired = grant.snapshot
    this.issuedAt = grant.issuedAt
    this.tookOverFrom = grant.tookOverFrom
    this.#context = context
    this.#clock = clock
    this.#state = holding.begin(grant, this.#terms)
    this.#withPermits = onObject && {
      writing: Semaphore.makeUnsafe(1),
      onObject,
      renewAt: 0,
      seenAt: this.#now().monotonic,
      counted: undefined
    }
  }

  get start(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { engine, id } = this.contender
      const { sessions, watches } = engine
      this.#bind()
      // A lock that was handed over has a short lease of its own.
      const first =
        sessions.opened !== undefined &&
        this.#state.session === undefined &&
        this.contender.settings.sessions?.current() !== undefined
          ? this.#alone(this.#comeUnderSession())
          : Effect.void
      return Effect.map(first, () => {
        watches.hold(id, this)
        this.#keep()
      })
    })
  }

  // Again if there is no answer: what begins then may block the event loop for longer than the lease lasts.
  #comeUnderSession(): Effect.Effect<void> {
    return Effect.flatMap(this.#renewOnce(this.#terms.renewEvery!), (next) =>
      next === undefined || this.#state.lease.session !== undefined || this.remaining() <= 0
        ? Effect.void
        : Effect.andThen(Effect.sleep(next), this.#comeUnderSession())
    )
  }

  get #terms(): holding.Terms {
    const {
      holderId,
      kind,
      policy,
      settings: { sessions, ttl }
    } = this.contender
    return {
      kind,
      holderId,
      ttl,
      renewEvery: policy.renewEvery === false ? undefined : Duration.toMillis(policy.renewEvery),
      renewDeadline: Duration.toMillis(policy.renewDeadline),
      sessions
    }
  }

  #now(): ClockReading.ClockReading {
    return ClockReading.read(this.#clock)
  }

  #advance(next: holding.State): void {
    if (this.#withPermits !== undefined && next.snapshot !== this.#state.snapshot) {
      this.#withPermits.seenAt = this.#now().monotonic
    }
    this.#state = next
  }

  fork(effect: Effect.Effect<void>): Fiber.Fiber<void> {
    return Effect.runForkWith(this.#context)(effect)
  }

  // How it is lost.

  get lost(): Effect.Effect<never, LockError.Lost> {
    return Deferred.await(this.#toldOfLoss)
  }

  get #toldOfLoss(): Deferred.Deferred<never, LockError.Lost> {
    return (this.#lost ??= Deferred.makeUnsafe())
  }

  #hasToldLoss(): boolean {
    return this.#lost !== undefined && Deferred.isDoneUnsafe(this.#lost)
  }

  isLost(): boolean {
    return this.#state.loss !== undefined
  }

  lose(loss: holding.Loss): void {
    this.#noteLoss(loss)
    this.fork(this.#losing(loss))
  }

  #lossBecause(
    reason: LockError.Lost["reason"],
    seen: Partial<LockProtocol.HolderInfo> & { readonly withSession?: true } = {}
  ): LockError.Lost {
    const { id, kind, settings } = this.contender
    const heldFor = Duration.millis(Math.round(ClockReading.elapsed(this.issuedAt, this.#now()).max))
    return new LockError.Lost({
      id,
      object: settings.describe(id),
      reason,
      heldFor,
      ...seen,
      ...rules.whatOf(kind)
    })
  }

  #noteLoss(loss: holding.Loss): void {
    if (this.#state.phase !== "Released") this.#state = { ...this.#state, loss: this.#state.loss ?? loss }
  }

  #losing(loss: holding.Loss): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#noteLoss(loss)
      const { phase } = this.#state
      return phase === "Held" || phase === "Giving" ? this.#publishLoss : Effect.void
    })
  }

  // The log comes first: a listener may close the scope at once, and with it end this very fiber.
  get #publishLoss(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { loss } = this.#state
      if (this.#hasToldLoss() || loss === undefined) return Effect.void
      const { reason, seen, withSession } = loss
      const error = this.#lossBecause(reason, { ...seen, ...(withSession === true ? { withSession } : {}) })
      return Effect.andThen(telemetry.lost(this.contender, this.#span, error), Deferred.fail(this.#toldOfLoss, error))
    }).pipe(Effect.uninterruptible)
  }

  // Whether it is valid.

  isValid(): boolean {
    const { session } = this.#state
    return (
      holding.isValid(this.#state, this.#now()) &&
      (session === undefined || this.contender.engine.sessions.isValid(session))
    )
  }

  remaining(): number {
    return holding.remaining(this.#state, this.#now())
  }

  get check(): Effect.Effect<void, LockError.Lost> {
    return Effect.suspend(() => {
      if (this.#hasToldLoss()) return this.lost
      const { inDoubt, phase } = this.#state
      if (phase !== "Held" || inDoubt > 0) return Effect.fail(this.released())
      return this.isValid() ? Effect.void : Effect.andThen(this.expire, this.lost)
    })
  }

  get confirm(): Effect.Effect<void, LockError.Lost> {
    return Effect.suspend(() => (this.#state.phase === "Released" && !this.#hasReleased ? Effect.void : this.check))
  }

  released(): LockError.Lost {
    return this.#lossBecause("Released")
  }

  // How it is kept.

  get renewIn(): number | undefined {
    return holding.nextRenewal(this.#state, this.#terms, this.#now())
  }

  // The write of another lease may renew it while it waits.
  get renew(): Effect.Effect<number | undefined> {
    return this.#alone(
      Effect.suspend(() => {
        const left = (this.#withPermits?.renewAt ?? 0) - this.#now().monotonic
        if (left > 0) return Effect.succeed(left)
        return Effect.map(
          telemetry.span("renew", this.contender, this.#span)(this.#renewOnce(this.#terms.renewEvery!)),
          (next) => {
            if (!this.#isKeptBySession()) return next
            this.#kept = undefined
            return undefined
          }
        )
      })
    )
  }

  renewIfDue(): void {
    if (this.#kept === undefined && this.#state.phase === "Held") this.#keep()
  }

  #keep(): void {
    if (!this.#isKeptBySession()) this.#kept = this.contender.engine.renewer.keep(this)
  }

  // A lease under a session lasts for a day. In its first half nothing has to be done for it, unless a commit is in doubt.
  #isKeptBySession(): boolean {
    return this.#state.lease.session !== undefined && this.renewIn !== 0
  }

  renewBeside<A>(write: (renewal: RenewalBeside | undefined) => Effect.Effect<A>): Effect.Effect<A> {
    return Effect.suspend(() => {
      const { renewEvery } = this.#terms
      const own = this.#withPermits
      if (own === undefined || renewEvery === undefined || !this.isValid()) return write(undefined)
      const writing = Effect.flatMap(this.#planned(holding.planRenewal, this.#terms), (renewal) =>
        write({ write: renewal.write, take: (answer) => this.#takeBeside(own, renewal, answer, renewEvery) })
      )
      return Effect.flatMap(
        own.writing.withPermitsIfAvailable(1)(writing),
        Option.match({ onNone: () => write(undefined), onSome: Effect.succeed })
      )
    })
  }

  #takeBeside(own: WithPermits, renewal: holding.Renewal, answer: Answer, interval: number): Effect.Effect<void> {
    return Effect.flatMap(requests.now(this.contender.engine.store), (now) => {
      if (this.#state.phase !== "Held") return Effect.void
      const [after, next] = holding.onAnswer(this.#state, this.#terms, renewal, answer, interval, now)
      this.#advance(after)
      if (next._tag === "Lost") return this.#losing(next.loss)
      if (next._tag !== "Renewed") return Effect.void
      own.renewAt = this.#now().monotonic + next.next
      return telemetry.measure(this.contender, LockMetrics.renewals, 1)
    })
  }

  get expire(): Effect.Effect<void> {
    return this.#losing(expired)
  }

  gone(): void {
    const { engine, id } = this.contender
    if (this.isLost()) return
    // A renewal may be answered before the reading is.
    this.fork(
      Effect.flatMap(requests.read(engine.store, id), (answer) =>
        this.#isOutdated(answer) ? Effect.void : this.#verifyBy(answer)
      )
    )
  }

  broke(cause: Cause.Cause<never>): Effect.Effect<void> {
    return Effect.andThen(telemetry.tell(this.contender, "Error", cause), this.expire)
  }

  #alone<A, E>(write: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.#withPermits === undefined ? write : this.#withPermits.writing.withPermit(write)
  }

  // A lease must have been renewed when a third of it is left.
  #latestRenewal(): number {
    const read = this.#now()
    return read.monotonic + holding.remaining(this.#state, read) - this.#state.validFor / 3
  }

  #renewOnce(interval: number): Effect.Effect<number | undefined> {
    return Effect.suspend(() =>
      this.contender.engine.slots.within({ latest: this.#latestRenewal() }, this.#renewInSlot(interval))
    )
  }

  #renewInSlot(interval: number): Effect.Effect<number | undefined> {
    return Effect.gen({ self: this }, function* () {
      if (this.#state.loss !== undefined) return undefined
      const renewal = yield* this.#planned(holding.planRenewal, this.#terms)
      this.#bind()
      const next = yield* this.#renewBy(renewal, interval)
      if (next._tag === "Lost") return undefined
      if (next._tag === "Renewed") yield* telemetry.measure(this.contender, LockMetrics.renewals, 1)
      return next.next
    })
  }

  // The answer to a reading also gives the time, which the process may have lost, for example in a sleep.
  #planned(plan: typeof holding.planRenewal, terms: holding.Terms): Effect.Effect<holding.Renewal> {
    const { engine, id } = this.contender
    const { store } = engine
    return Effect.gen({ self: this }, function* () {
      const { server } = yield* requests.now(store)
      if (!LockProtocol.isClockUsable(server, terms.ttl)) yield* requests.read(store, id)
      const now = yield* requests.now(store)
      // By the state as it is now: a commit may have begun meanwhile, or a loss been noted.
      const [next, renewal] = plan(this.#state, terms, now)
      this.#state = next
      return renewal
    })
  }

  #renewBy(
    renewal: holding.Renewal,
    interval: number
  ): Effect.Effect<Exclude<holding.Next, { readonly _tag: "Read" }>> {
    const { engine, id } = this.contender
    const { store } = engine
    return Effect.gen({ self: this }, function* () {
      const beside = this.#withPermits?.onObject().filter(({ contender }) => contender !== this.contender) ?? []
      let answer = yield* renewTogether.write(store, id, renewal.write, beside)
      for (;;) {
        const now = yield* requests.now(store)
        const [after, next] = holding.onAnswer(this.#state, this.#terms, renewal, answer, interval, now)
        this.#advance(after)
        switch (next._tag) {
          case "Renewed":
            this.#toldOf = undefined
            return next
          case "Retry":
            if (next.warning !== undefined) yield* this.#warn(next.warning.message)
            return next
          case "Lost":
            yield* this.#losing(next.loss)
            return next
          case "Read":
            answer = yield* requests.read(store, id)
        }
      }
    })
  }

  #warn(message: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#toldOf === message) return Effect.void
      this.#toldOf = message
      return telemetry.tell(this.contender, "Warn", message)
    })
  }

  #verifyBy(answer: Answer): Effect.Effect<void> {
    return Effect.flatMap(requests.now(this.contender.engine.store), (now) => {
      const [after, next] = holding.onReading(this.#state, this.#terms, answer, now)
      const { lease, snapshot } = this.#state
      this.#advance({
        ...after,
        lease: unlessEqual(lease, after.lease),
        snapshot: unlessEqual(snapshot, after.snapshot)
      })
      return next._tag === "Lost" ? this.#losing(next.loss) : Effect.void
    })
  }

  // From the first write on that names the session.
  #bind(): void {
    const { session } = this.#state
    if (this.#isUnderSession || session === undefined) return
    this.#isUnderSession = true
    this.contender.engine.sessions.hold(session, this)
  }

  #unbind(): void {
    const { session } = this.#state
    if (!this.#isUnderSession || session === undefined) return
    this.contender.engine.sessions.leave(session, this)
  }

  // A cache will do if it is no older than what is known. What is written meanwhile is newer than a reading.
  get lookAgain(): Effect.Effect<void> {
    const { engine, id } = this.contender
    const { slots, store } = engine
    const looking = Effect.gen({ self: this }, function* () {
      let answer = yield* requests.read(store, id, { mayBeStale: true })
      if (answer._tag === "Missing" || this.#isOutdated(answer)) answer = yield* requests.read(store, id)
      if (!this.#isOutdated(answer)) yield* this.#verifyBy(answer)
    })
    return Effect.suspend(() => slots.within("Acquisition", looking))
  }

  #isOutdated(answer: Answer): boolean {
    return answer._tag === "Found" && isOlder(answer.snapshot.resourceVersion, this.#state.snapshot.resourceVersion)
  }

  // How it ends.

  commitAndRelease(
    content: ReadonlyArray<FieldPatch>,
    annotations?: MetadataPatch
  ): Effect.Effect<void, LockError.Lost | LockError.StoreError> {
    return Effect.suspend(() => {
      const { inDoubt, lease, phase, snapshot } = this.#state
      if (phase !== "Held") return Effect.fail(this.released())
      this.#state = { ...this.#state, phase: "Committing" }
      return Effect.flatMap(
        telemetry.span(
          "commit",
          this.contender,
          this.#span
        )(commit(this.contender, lease, snapshot, inDoubt > 0, content, annotations)),
        (result) => this.#onCommitted(result)
      )
    }).pipe(Effect.uninterruptible)
  }

  #onCommitted(result: Committed): Effect.Effect<void, LockError.Lost | LockError.StoreError> {
    switch (result._tag) {
      case "Applied": {
        this.#state = { ...this.#state, phase: "Released" }
        const { outcome } = result
        if (outcome?._tag === "Awaited") return Effect.asVoid(handOver(this.contender, outcome, undefined))
        this.#committed = { outcome, mayQueue: false }
        return Effect.void
      }
      case "Lost":
        this.#state = { ...this.#state, phase: "Held" }
        return Effect.andThen(this.#losing(holding.lossOf(result.check)), this.lost)
      case "Fail": {
        const { check, error, inDoubt } = result
        this.#state = { ...this.#state, phase: "Held", inDoubt: this.#state.inDoubt + Number(inDoubt) }
        this.renewIfDue()
        return Effect.andThen(
          check === undefined ? this.#publishLoss : this.#losing(holding.lossOf(check)),
          Effect.fail(error)
        )
      }
    }
  }

  give(ttl: number | undefined): Effect.Effect<Lease, LockError.Lost> {
    return Effect.gen({ self: this }, function* () {
      yield* this.check
      this.#state = { ...this.#state, phase: "Giving" }
      this.#unbind()
      yield* this.#stopKeeping
      if (ttl !== undefined || this.#state.session !== undefined) {
        yield* this.#renewForNext(ttl ?? this.contender.settings.ttl)
      }
      if (this.#state.loss !== undefined) return yield* this.lost
      this.#state = { ...this.#state, phase: "Released" }
      return this.#state.lease
    }).pipe(Effect.uninterruptible, telemetry.span("give", this.contender, this.#span))
  }

  // Nothing else ends the lease any more when it runs out, or its session has ended.
  #renewForNext(ttl: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { sessions } = this.contender.engine
      const { session } = this.#state
      while (this.#state.loss === undefined) {
        const terms = this.#terms
        const next = yield* this.contender.engine.slots.within(
          { latest: this.#latestRenewal() },
          Effect.flatMap(this.#planned(holding.planGiving, { ...terms, ttl }), (renewal) =>
            this.#renewBy(renewal, terms.renewEvery ?? terms.ttl / 3)
          )
        )
        if (next._tag !== "Retry") return
        const isOver = session !== undefined && !sessions.isValid(session)
        const left = isOver ? 0 : this.remaining()
        if (left <= 0) return yield* this.expire
        yield* Effect.sleep(Math.min(next.next, left))
      }
    })
  }

  release(requeue: string | undefined, leaving?: Omit<Leaving, "keeps">): Effect.Effect<Released> {
    return Effect.andThen(this.#stopKeeping, this.#letGo(requeue, leaving))
  }

  get #stopKeeping(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { engine, id } = this.contender
      engine.watches.leave(id, this)
      return this.#kept?.stop ?? Effect.void
    })
  }

  #letGo(requeue: string | undefined, leaving: Omit<Leaving, "keeps"> | undefined): Effect.Effect<Released> {
    return Effect.suspend(() => {
      this.#hasReleased = true
      if (this.#state.phase === "Released") return Effect.succeed(this.#committed)
      const { contender } = this
      const { lease, loss, session, snapshot } = this.#state
      this.#unbind()
      this.#state = { ...this.#state, phase: "Released" }
      // A lease that is not on the object any more cannot be released, and one whose session has ended need not be.
      if (loss !== undefined && loss.mayRemain !== true) return Effect.succeed(nothing)
      return telemetry
        .span(
          "release",
          contender,
          this.#span
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
  }

  // What only permits need.

  permits(): Counted["permits"] {
    const { lease, snapshot } = this.#state
    const own = this.#withPermits!
    if (own.counted?.lease !== lease || own.counted.snapshot !== snapshot) {
      own.counted = { lease, snapshot, permits: holding.permitsOf(this.#state, this.contender) }
    }
    return own.counted.permits
  }

  lower(leaving: Omit<Leaving, "again">): Effect.Effect<Released> {
    const { contender } = this
    return this.#alone(
      Effect.suspend(() => {
        const { lease, loss, phase, snapshot } = this.#state
        if (phase !== "Held" || loss !== undefined) return Effect.succeed(nothing)
        return Effect.tap(
          telemetry.span(
            "release",
            contender,
            this.#span
          )(release(contender, lease, snapshot, undefined, { ...leaving, again: undefined })),
          ({ outcome }) => (outcome?.seen === undefined ? Effect.void : this.learn(outcome.seen))
        )
      })
    )
  }

  raise(permits: number): Effect.Effect<boolean, LockError.StoreError> {
    const { contender } = this
    const { engine, id } = contender
    const { store } = engine
    return this.#alone(
      Effect.gen({ self: this }, function* () {
        for (let attempt = 0; attempt < raiseAttempts; attempt++) {
          if (this.#state.phase !== "Held" || this.#state.loss !== undefined) return false
          const write = holding.planRaise(this.#state, contender, permits)
          // What was last seen may be outdated.
          if (write === undefined && attempt > 0) return false
          if (write !== undefined) {
            const answer = yield* requests.write(store, id, write)
            if (answer._tag === "Written") {
              yield* this.learn(answer.snapshot)
              return this.#state.loss === undefined && this.#state.lease.permits === permits
            }
            if (answer._tag !== "Refused") return yield* failureOf(answer)
          }
          const found = yield* requests.read(store, id)
          if (found._tag !== "Found") return yield* failureOf(found)
          yield* this.learn(found.snapshot)
        }
        return false
      })
    )
  }

  get look(): Effect.Effect<void> {
    return this.#alone(
      Effect.suspend(() => {
        const { loss, phase } = this.#state
        const { renewEvery, ttl } = this.#terms
        return phase === "Held" && loss === undefined ? Effect.asVoid(this.#renewOnce(renewEvery ?? ttl)) : Effect.void
      })
    )
  }

  // What it is.

  get holderId(): string {
    return this.contender.holderId
  }

  lease(): Lease {
    return this.#state.lease
  }

  isAwaited(): boolean {
    return holding.isAwaited(this.#state, this.contender)
  }

  seen(): ObjectSnapshot {
    return this.#state.snapshot
  }

  seenAt(): number {
    return this.#withPermits!.seenAt
  }

  learn(snapshot: ObjectSnapshot): Effect.Effect<void> {
    return Effect.suspend(() => {
      const found: Answer = { _tag: "Found", snapshot }
      return this.#isOutdated(found) ? Effect.void : this.#verifyBy(found)
    })
  }

  observe(span: Tracer.Span): void {
    this.#span = span
  }

  observed(): Tracer.Span | undefined {
    return this.#span
  }
}

/**
 * What only permits need, of which a process may have several leases on one object (`onObject`).
 *
 * - `writing`: what writes the lease must not do so twice at once: each write has the lease as last written as its condition.
 * - `renewAt`: when to renew it next, if the write of another lease has renewed it. `seenAt`: when the object was last seen. (Milliseconds on
 *   the monotonic clock.)
 * - `counted`: how many permits it has.
 */
interface WithPermits {
  readonly writing: Semaphore.Semaphore
  readonly onObject: OnObject
  renewAt: number
  seenAt: number
  counted: Counted | undefined
}

/** How many permits it has, by this lease and this version of the object. */
interface Counted extends Pick<holding.State, "lease" | "snapshot"> {
  readonly permits: ReturnType<HeldLease["permits"]>
}

const expired: holding.Loss = { reason: "Expired", seen: {}, mayRemain: true }

// What is as it was is not kept twice.
const unlessEqual = <A>(known: A, read: A): A => (Equal.equals(known, read) ? known : read)

const nothing: Released = { outcome: undefined, mayQueue: false }

// How often an upgrade is tried if the object keeps changing.
const raiseAttempts = 3

const failureOf = (answer: Answer): Effect.Effect<false, LockError.StoreError> =>
  answer._tag === "Missing" || answer._tag === "Failed" ? Effect.fail(answer.error) : Effect.succeed(false)

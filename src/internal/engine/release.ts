/**
 * Performs a release: the requests that the machine in `protocol/release.ts` commands, again and again if they fail in passing.
 * It releases only what is ours, only while it is ours, and never fails the work that the lock protected.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Lease } from "../../LockRecord.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import type { Leaving } from "../../PermitProtocol.ts"
import type { Now } from "../protocol/answer.ts"
import * as protocol from "../protocol/release.ts"
import type { Contender } from "./contender.ts"
import type { Released } from "./holding.ts"
import * as requests from "./requests.ts"
import type { Purpose } from "./slots.ts"
import { subjectOf, tell } from "./telemetry.ts"
import * as waitBudget from "./waitBudget.ts"

/** How long a release goes on trying after its first failure. Our choice. */
export const patience = Duration.seconds(5)

/** The same if the layer of the lock has closed: the server may be gone as well. Our choice. */
export const patienceAfterClose = Duration.seconds(1)

/** Releases a lease, or `leaving` permits of it, by the object as last seen. A failure is logged with the time at which the lock frees itself. */
export const release = (
  contender: Contender,
  lease: Lease,
  seen: ObjectSnapshot,
  requeue: string | undefined,
  leaving?: Leaving
): Effect.Effect<Released> => {
  const self = { ...requestOf(contender, requeue), handsOver: false, leaving }
  return perform(
    contender,
    self,
    (now) => protocol.release(self, lease, seen, now),
    (lock, problem) => `Could not release ${lock}. It expires at ${lease.expiry}. ${problem}`
  )
}

/**
 * Releases a lease that ran out, in case a renewal without an answer prolonged it. There is nothing to rely on any more, so
 * a failure is not tried again, nor worth a line of log. Only a write that another one came before is.
 */
export const releaseExpired = (contender: Contender, requeue: string | undefined): Effect.Effect<Released> =>
  perform(contender, { ...requestOf(contender, requeue), handsOver: false }, () => protocol.beginWithReading, undefined)

/** A lock that was released, and that others wait for without the releaser's having known. */
export type Awaited = Extract<protocol.Outcome, { readonly _tag: "Awaited" }>

/** Hands a lock that is free in this snapshot to the first waiter, unless another contender is faster. */
export const handOver = (
  contender: Contender,
  { chainStartedAt, snapshot }: Awaited,
  requeue: string | undefined
): Effect.Effect<Released> => {
  const self = { ...requestOf(contender, requeue), handsOver: true, chainStartedAt }
  return perform(
    contender,
    self,
    (now) => protocol.handOver(self, snapshot, now),
    (lock, problem) =>
      `Could not hand over ${lock}. It is free, but its waiters may not hear of it for ${Duration.format(contender.policy.ttl)}. ${problem}`,
    { purpose: "HandOver" }
  )
}

/**
 * Withdraws an acquisition that may be in the queue, or may have the lock, without knowing. A write that was cut off gets a
 * moment to arrive first: most have arrived by then. If a release came before, `spent` is how long it took, in milliseconds: both share
 * the patience of one, so that a process that stops does not wait twice for a server that does not answer.
 */
export const withdraw = (contender: Contender, cutOff: protocol.CutOff | undefined, spent = 0): Effect.Effect<void> => {
  const left = Duration.toMillis(patience) - spent
  if (left <= 0) return Effect.void
  const self = { ...requestOf(contender, undefined), handsOver: true, cutOff }
  const withdrawing = perform(
    contender,
    self,
    () => protocol.beginWithReading,
    (lock, problem) =>
      `Could not withdraw from ${lock}. If a request without an answer took it, it expires within ${Duration.format(contender.policy.ttl)}. ${problem}`,
    { patience: Duration.millis(left) }
  )
  const session = contender.settings.sessions?.current()
  if (cutOff === undefined) return Effect.asVoid(withdrawing)
  return Effect.flatMap(Effect.andThen(contender.engine.closing.sleep(cutOffDelay), withdrawing), ({ outcome }) =>
    session === undefined || (outcome !== undefined && cutOff.creation !== true)
      ? Effect.void
      : clear(contender, session)
  )
}

/**
 * Looks for what is left of a lease under a session whose release failed, or that a write without an answer may still bring. It would
 * not expire for as long as the session lives. Ends with the session, and with the layer.
 */
export const clear = (contender: Contender, session: string): Effect.Effect<void> => {
  const self = { ...requestOf(contender, undefined), handsOver: true }
  const { closing, scope, sessions } = contender.engine
  const clearing = Effect.gen(function* () {
    for (let pause = clearEvery.atFirst, found = 0; found < 2; pause = Math.min(2 * pause, clearEvery.atMost)) {
      yield* Effect.sleep(pause)
      if (closing.hasBegun() || !sessions.isValid(session)) return
      const { outcome } = yield* perform(contender, self, () => protocol.beginWithReading, undefined)
      if (outcome !== undefined) found++
    }
  })
  return Effect.asVoid(Effect.forkIn(clearing, scope))
}

/** After how long it is looked for first, and then twice as long after each time, in milliseconds. Two answers end it. Our choice. */
export const clearEvery = { atFirst: 5000, atMost: 60_000 }

/** The release of a contender. `requeue` is the holder ID of the waiter of the same process that wants the lock again. */
export const requestOf = ({ engine, holderId, kind, settings }: Contender, requeue: string | undefined) => ({
  kind,
  holderId,
  requeue,
  sharedWithDex: settings.sharedWithDex,
  passesOver: engine.absentees.includes
})

/**
 * A release under way: its state and the command to perform. Without `failure` it ends at the first failure, silently, unless
 * its write was refused because the object had changed.
 */
interface Run {
  readonly contender: Contender
  readonly self: protocol.Release
  readonly purpose: Purpose
  readonly failure: ((lock: string, problem: string) => string) | undefined
  readonly patience: Duration.Duration
  state: protocol.State
  command: protocol.Command
  mayQueue: boolean
  wasRefused: boolean
}

const perform = (
  contender: Contender,
  self: protocol.Release,
  begin: (now: Now) => protocol.Step,
  failure: Run["failure"],
  { patience: patienceOfRun = patience, purpose = "Release" }: Partial<Pick<Run, "patience" | "purpose">> = {}
): Effect.Effect<Released> =>
  Effect.suspend(() => {
    const { closing, slots, store } = contender.engine
    const [state, command] = protocol.beginWithReading
    const run: Run = {
      contender,
      self,
      purpose,
      failure,
      patience: patienceOfRun,
      state,
      command,
      mayQueue: false,
      wasRefused: false
    }
    const first = Effect.flatMap(requests.now(store), (now) => {
      const [state, command] = begin(now)
      run.state = state
      run.command = command
      return tryOnce(run)
    })
    const releasing = Effect.flatMap(slots.within(purpose, first), () =>
      isLater(run.command) && (failure !== undefined || run.wasRefused) ? retry(run) : endOf(run)
    )
    // In a test, a request that hangs would hang for ever: its time-out follows a clock that stands still.
    return closing.hasBegun() ? within(run, run.patience, releasing) : releasing
  })

// Up to the end, or to the first failure that may pass.
const tryOnce = (run: Run): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => run.command._tag === "Read" || run.command._tag === "Write",
    body: () => {
      const { command, contender } = run
      const { engine, id } = contender
      if (command._tag !== "Write")
        return Effect.flatMap(requests.read(engine.store, id), (event) => advance(run, event))
      run.mayQueue ||= command.requeues
      return Effect.flatMap(requests.write(engine.store, id, command.write), (event) => {
        run.wasRefused = event._tag === "Refused"
        return advance(run, event)
      })
    },
    step: () => {}
  })

const advance = (run: Run, event: protocol.Event): Effect.Effect<void> =>
  Effect.map(requests.now(run.contender.engine.store), (now) => {
    const [state, command] = protocol.step(run.self, run.state, event, now)
    run.state = state
    run.command = command
  })

const isLater = ({ _tag }: protocol.Command): boolean => _tag === "ReadLater" || _tag === "LookLater"

const retry = (run: Run): Effect.Effect<Released> => {
  const { closing } = run.contender.engine
  const duration = closing.hasBegun() ? Duration.min(patienceAfterClose, run.patience) : run.patience
  return within(run, duration, retryForever(run), problemOf(run))
}

const within = (
  run: Run,
  duration: Duration.Duration,
  releasing: Effect.Effect<Released>,
  problem = noAnswer
): Effect.Effect<Released> =>
  Effect.raceFirst(
    Effect.asSome(releasing),
    Effect.as(run.contender.engine.closing.sleep(duration), Option.none<Released>())
  ).pipe(
    Effect.flatMap(
      Option.match({
        onNone: () => outOfTime(run, problem),
        onSome: Effect.succeed
      })
    )
  )

// What was cut off may have arrived since the last look.
const outOfTime = (run: Run, problem: string): Effect.Effect<Released> => {
  if (run.command._tag !== "LookLater") return fail(run, problem)
  return run.contender.engine.closing.hasBegun() ? endOf(run) : Effect.flatMap(tryAgain(run), () => endOf(run))
}

const tryAgain = (run: Run): Effect.Effect<void> =>
  run.contender.engine.slots.within(run.purpose, Effect.andThen(advance(run, { _tag: "Elapsed" }), tryOnce(run)))

const retryForever = Effect.fnUntraced(function* (run: Run): Effect.fn.Return<Released> {
  const budgets = { ReadLater: waitBudget.make(retries), LookLater: waitBudget.make(looks) }
  for (;;) {
    yield* tryAgain(run)
    const { _tag } = run.command
    if (_tag !== "ReadLater" && _tag !== "LookLater") return yield* endOf(run)
    const left = yield* budgets[_tag].left(undefined)
    yield* run.contender.engine.closing.sleep(Duration.millis(Option.getOrElse(left, () => 0)))
  }
})

const endOf = (run: Run): Effect.Effect<Released> =>
  run.command._tag === "Done" || run.command._tag === "LookLater"
    ? Effect.succeed({ outcome: run.command.outcome, mayQueue: run.mayQueue })
    : fail(run, problemOf(run))

const problemOf = ({ command }: Run): string =>
  command._tag === "ReadLater" || command._tag === "Fail" ? command.problem : noAnswer

const noAnswer = "There was no answer in time."

const fail = ({ contender, failure, mayQueue }: Run, problem: string): Effect.Effect<Released> =>
  Effect.as(failure === undefined ? Effect.void : tell(contender, "Warn", failure(subjectOf(contender), problem)), {
    outcome: undefined,
    mayQueue
  })

const retries = Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("250 millis")]).pipe(Schedule.jittered)

const looks = Schedule.exponential("100 millis")

/** How long a withdrawal waits for a write that was cut off. Our choice. */
export const cutOffDelay = Duration.millis(50)

/** Performs an acquisition: the requests and waits that the machine in `protocol/acquisition.ts` commands. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as acquisition from "../protocol/acquisition.ts"
import type { Command, Event, Failure, Grant, Start, State } from "../protocol/acquisitionState.ts"
import type { CutOff } from "../protocol/release.ts"
import * as rules from "../protocol/rules.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Contender } from "./contender.ts"
import * as requests from "./requests.ts"
import type { Entry } from "./slots.ts"
import { measure, noteAttempts, span, subjectOf, tell } from "./telemetry.ts"
import * as timeQuestions from "./timeQuestions.ts"
import * as waitBudget from "./waitBudget.ts"
import type { Latest } from "./watchPool.ts"

/**
 * The lock as acquired, whether others were met on the way, whether it came while the contender waited, and a join without an answer, which
 * may still arrive.
 */
export interface Acquired {
  readonly grant: Grant
  readonly contended: boolean
  readonly hasWaited: boolean
  readonly cutOff: CutOff | undefined
  readonly metDex: boolean
}

/** Makes an effect interruptible again, as `Effect.uninterruptibleMask` gives it. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Cleans up after an acquisition that ended without the lock. `cutOff` is what may still arrive. */
export type Withdraw = (cutOff: CutOff | undefined) => Effect.Effect<void>

/** What a single attempt can fail with. */
export type TryFailure = LockError.Conflict | LockError.Malformed | LockError.Mismatch | LockError.StoreError

/** Acquires the lock: tries, and waits until it has the lock or the wait schedule has ended. */
export const acquire = (
  contender: Contender,
  start: Start,
  withdraw: Withdraw,
  restore: Restore
): Effect.Effect<Acquired, Failure> =>
  drive(contender, start, withdraw, restore, (attempt) =>
    Effect.flatMap(advance(attempt, isWait), () =>
      hasEnded(attempt.command)
        ? endOf(attempt)
        : Effect.flatMap(span("wait", contender)(advance(attempt, hasEnded)), () => endOf(attempt))
    )
  )

/** Tries once: fails with `LockConflict` if it would have to wait. */
export const tryAcquire = (
  contender: Contender,
  start: Start,
  withdraw: Withdraw,
  restore: Restore
): Effect.Effect<Acquired, TryFailure> =>
  drive(contender, start, withdraw, restore, (attempt) =>
    Effect.flatMap(advance(attempt, isWait), () => endOfTry(attempt))
  )

/**
 * An acquisition under way: its state, the command to perform, whether that is under way, what got no answer, how many joins were sent,
 * what a watch told last, its questions for the time once it asks any, and its slot for the requests that follow on each other.
 */
interface Attempt {
  readonly contender: Contender
  state: State
  command: Command
  isPerforming: boolean
  unanswered: CutOff | undefined
  joins: number
  lastTold: Latest | undefined
  askTime: Effect.Effect<Event> | undefined
  slot: Entry | undefined
}

const drive = <E>(
  contender: Contender,
  start: Start,
  withdraw: Withdraw,
  restore: Restore,
  use: (attempt: Attempt) => Effect.Effect<Acquired, E>
): Effect.Effect<Acquired, E> =>
  Effect.flatMap(requests.now(contender.engine.store), (now) => {
    const [state, command] = acquisition.begin(contender, start, now)
    const attempt: Attempt = {
      contender,
      state,
      command,
      isPerforming: false,
      unanswered: undefined,
      joins: 0,
      lastTold: undefined,
      askTime: undefined,
      slot: undefined
    }
    return Effect.onExitPrimitive(restore(use(attempt)), (exit) => {
      leaveSlot(attempt)
      const { attempts, holder, inDoubt } = attempt.isPerforming ? attempt.state : acquisition.unsent(attempt.state)
      const noted = noteAttempts(attempts, holder?.id)
      return exit._tag === "Success" || !(attempt.command._tag === "Succeed" || inDoubt.held || inDoubt.queued)
        ? noted
        : Effect.andThen(noted, withdraw(cutOffBy(attempt)))
    })
  })

// What is under way, and what got no answer before.
const cutOffBy = ({ command, isPerforming, joins, unanswered }: Attempt): CutOff | undefined => {
  const cutOff = isPerforming ? withCommand(unanswered, command) : unanswered
  return cutOff?.join === undefined ? cutOff : { ...cutOff, join: { isRepeated: joins > 1 } }
}

const withCommand = (cutOff: CutOff | undefined, command: Command): CutOff | undefined => {
  switch (command._tag) {
    case "Write":
      return { ...cutOff, write: command.write }
    case "Join":
      return { ...cutOff, join: { isRepeated: false } }
    case "Create":
      return { ...cutOff, creation: true }
    default:
      return cutOff
  }
}

// Steps the machine and performs its commands, up to a command for which `until` is true.
const advance = (attempt: Attempt, until: (command: Command) => boolean): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => !until(attempt.command) && !hasEnded(attempt.command),
    body: () =>
      Effect.flatMap(performInSlot(attempt), (event) =>
        Effect.flatMap(requests.now(attempt.contender.engine.store), (now) => {
          const { contender } = attempt
          const { conflicts, unqueueable } = attempt.state
          if (event._tag === "SessionEnded") contender.engine.absentees.note(acquisition.seenBy(attempt.state).holder)
          if (event._tag === "Failed" && event.error._tag === "LockUnavailable") {
            attempt.unanswered = withCommand(attempt.unanswered, attempt.command)
          }
          const [state, command] = acquisition.step(contender, attempt.state, event, now)
          attempt.state = state
          attempt.command = command
          attempt.isPerforming = false
          if (!isRequest(command)) leaveSlot(attempt)
          const noted = state.conflicts > conflicts ? measure(contender, LockMetrics.conflicts, 1) : Effect.void
          return state.unqueueable === unqueueable
            ? noted
            : Effect.andThen(noted, tellUnqueued(contender, state.unqueueable))
        })
      ),
    step: () => {}
  })

const leaveSlot = (attempt: Attempt): void => {
  attempt.slot?.leave()
  attempt.slot = undefined
}

const performInSlot = (attempt: Attempt): Effect.Effect<Event> => {
  if (isRequest(attempt.command)) {
    attempt.slot ??= attempt.contender.engine.slots.enter("Acquisition")
    if (!attempt.slot.hasSlot()) return performLater(attempt, attempt.slot)
  }
  return performNow(attempt)
}

const performNow = (attempt: Attempt): Effect.Effect<Event> => {
  attempt.isPerforming = true
  if (attempt.command._tag === "Join") attempt.joins++
  return perform(attempt)
}

// A lease that began too long ago is not written: the acquisition looks again, or plans anew what it takes over.
const performLater = Effect.fnUntraced(function* (attempt: Attempt, slot: Entry): Effect.fn.Return<Event> {
  const { command, contender } = attempt
  const asked = yield* ClockReading.now
  while (!slot.hasSlot()) {
    const left = yield* contender.waitBudget.left(acquisition.seenBy(attempt.state), waitBudget.ahead)
    if (Option.isNone(left)) return exhausted
    yield* contender.engine.timers.wait(left.value, (notify) => {
      slot.listen(notify)
      return () => slot.listen(() => {})
    })
  }
  const now = yield* ClockReading.now
  const isStale = ClockReading.elapsed(asked, now).max > contender.settings.ttl / 3
  if (isStale && (command._tag === "Write" || command._tag === "Create")) {
    attempt.state = acquisition.unsent(attempt.state)
    return elapsed
  }
  attempt.state = acquisition.sentAt(attempt.state, now)
  return yield* performNow(attempt)
})

const tellUnqueued = (contender: Contender, error: State["unqueueable"]): Effect.Effect<void> =>
  tell(contender, "Warn", `Waits for ${subjectOf(contender)} without a place in the queue. ${error?.message ?? ""}`)

const acquiredBy = ({ joins, state, unanswered }: Attempt, { grant }: CommandOf<"Succeed">): Acquired => ({
  grant,
  contended: state.contended,
  hasWaited: state.phase._tag === "Waiting",
  cutOff: unanswered?.join === undefined ? undefined : { join: { isRepeated: joins > 1 } },
  metDex: state.metDex
})

const endOf = (attempt: Attempt): Effect.Effect<Acquired, Failure> => {
  const { command } = attempt
  return command._tag === "Succeed"
    ? Effect.succeed(acquiredBy(attempt, command))
    : Effect.fail((command as CommandOf<"Fail">).error)
}

const endOfTry = (attempt: Attempt): Effect.Effect<Acquired, TryFailure> => {
  const { command, contender, state } = attempt
  const { phase } = state
  if (command._tag === "Succeed") return Effect.succeed(acquiredBy(attempt, command))
  if (command._tag === "Fail" && command.error._tag !== "LockTimeout") return Effect.fail(command.error)
  if (phase._tag === "Unavailable") return Effect.fail(phase.error)
  const reason = phase._tag === "BackingOff" && phase.hasLostRace ? "RaceLost" : "Held"
  const { id, kind, settings } = contender
  return Effect.fail(
    new LockError.Conflict({
      id,
      object: settings.describe(id),
      reason,
      ...rules.whatOf(kind),
      ...acquisition.seenBy(state)
    })
  )
}

const isRequest = ({ _tag }: Command): boolean =>
  _tag === "Read" || _tag === "Write" || _tag === "Join" || _tag === "Create"

const hasEnded = ({ _tag }: Command): boolean => _tag === "Succeed" || _tag === "Fail"

const isWait = ({ _tag }: Command): boolean =>
  _tag === "Join" || _tag === "BackOff" || _tag === "Poll" || _tag === "Watch"

const perform = (attempt: Attempt): Effect.Effect<Event> => {
  const { command, contender } = attempt
  const { engine, id } = contender
  switch (command._tag) {
    case "Read":
      return engine.watches.compare(id, requests.read(engine.store, id))
    case "AskTime":
      return (attempt.askTime ??= timeQuestions.make(engine, id))
    case "Create":
      return requests.create(engine.store, id, command.annotations)
    case "Write":
    case "Join":
      return engine.watches.compare(id, requests.write(engine.store, id, command.write))
    case "BackOff":
      return backOff(contender, command)
    case "Poll":
      return poll(contender, command)
    case "Watch":
      return watch(attempt, command)
    case "Succeed":
    case "Fail":
      return Effect.die(new Error("the acquisition has ended"))
  }
}

type CommandOf<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>

const elapsed: Event = { _tag: "Elapsed" }
const exhausted: Event = { _tag: "Exhausted" }
const sessionEnded: Event = { _tag: "SessionEnded" }

const poll = Effect.fnUntraced(function* (
  { engine, waitBudget: budget }: Contender,
  { atLeast, seen, session }: CommandOf<"Poll">
): Effect.fn.Return<Event> {
  const left = yield* budget.left(seen)
  if (Option.isNone(left)) return exhausted
  yield* engine.timers.wait(Math.max(left.value, atLeast), (notify) => listenTo(engine, session, notify))
  return session !== undefined && engine.sessions.hasEnded(session) ? sessionEnded : elapsed
})

const listenTo = ({ sessions }: Contender["engine"], session: string | undefined, notify: () => void): (() => void) =>
  session === undefined ? () => {} : sessions.onEnd(session, notify)

const backOff = Effect.fnUntraced(function* (
  { waitBudget: budget }: Contender,
  { atLeast, atMost, seen }: CommandOf<"BackOff">
): Effect.fn.Return<Event> {
  let delay = yield* Random.nextBetween(atLeast, atMost)
  do {
    const left = yield* budget.left(seen, delay)
    if (Option.isNone(left)) return exhausted
    const part = Math.min(delay, Math.max(1, left.value))
    yield* Effect.sleep(Duration.millis(part))
    delay -= part
  } while (delay > 0)
  return elapsed
})

const watch = Effect.fnUntraced(function* (
  attempt: Attempt,
  { on, seen, session, until }: CommandOf<"Watch">
): Effect.fn.Return<Event> {
  const { engine, id, kind, waitBudget: budget } = attempt.contender
  // Where several let in at the same time, the label may have moved on before the watch is open.
  const since = kind.permits === undefined || on === "Object" ? undefined : attempt.state.lastSeen?.resourceVersion
  const watch = yield* engine.watches.open(id, on, since)
  if (watch === undefined) return { _tag: "WatchFailed" }
  for (;;) {
    const left = yield* budget.left(seen, waitBudget.ahead)
    if (Option.isNone(left)) return exhausted
    const asleep = until - (yield* ClockReading.now).monotonic
    if (asleep <= 0) return elapsed
    yield* engine.timers.wait(Math.ceil(Math.min(left.value, asleep)), (notify) => {
      const stop = [watch.listen(attempt.lastTold, notify), listenTo(engine, session, notify)]
      return () => stop.forEach((stop) => stop())
    })
    if (session !== undefined && engine.sessions.hasEnded(session)) return sessionEnded
    const told = watch.latest()
    if (told === undefined || told === attempt.lastTold) continue
    attempt.lastTold = told
    if (told._tag === "Failure") return { _tag: "WatchFailed" }
    return told.value._tag === "Deleted" ? { _tag: "Gone" } : told.value
  }
})

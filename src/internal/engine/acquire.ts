/** Performs an acquisition: the requests and waits that the machine in `protocol/acquisition.ts` commands. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as acquisition from "../protocol/acquisition.ts"
import type { CutOff } from "../protocol/release.ts"
import * as ClockReading from "../time/clockReading.ts"
import type { Contender } from "./contender.ts"
import * as requests from "./requests.ts"
import { measure, noteAttempts, span } from "./telemetry.ts"
import * as waitBudget from "./waitBudget.ts"
import type { Latest } from "./watchPool.ts"

/** The lock as acquired, and whether others were met on the way. */
export interface Acquired {
  readonly grant: acquisition.Grant
  readonly contended: boolean
}

/** Makes an effect interruptible again, as `Effect.uninterruptibleMask` gives it. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Cleans up after an acquisition that ended without the lock. `cutOff` is a write that may still arrive. */
export type Withdraw = (cutOff: CutOff | undefined) => Effect.Effect<void>

/** What a single attempt can fail with. */
export type TryFailure = Exclude<acquisition.Failure, LockError.Timeout> | LockError.Conflict

/** Acquires the lock: tries, and waits until it has the lock or the wait schedule has ended. */
export const acquire = (
  contender: Contender,
  start: acquisition.Start,
  withdraw: Withdraw,
  restore: Restore
): Effect.Effect<Acquired, acquisition.Failure> =>
  run(contender, start, withdraw, restore, (run) =>
    Effect.flatMap(advance(run, isWait), () =>
      hasEnded(run.command)
        ? endOf(run)
        : Effect.flatMap(span("wait", contender)(advance(run, hasEnded)), () => endOf(run))
    )
  )

/** Tries once: fails with `Conflict` if it would have to wait. */
export const tryAcquire = (
  contender: Contender,
  start: acquisition.Start,
  withdraw: Withdraw,
  restore: Restore
): Effect.Effect<Acquired, TryFailure> =>
  run(contender, start, withdraw, restore, (run) => Effect.flatMap(advance(run, isWait), () => endOfTry(run)))

/**
 * An acquisition under way: its state, the command to perform, whether that is under way, the last write whose answer was lost, and
 * what a watch told last.
 */
interface Run {
  readonly contender: Contender
  state: acquisition.State
  command: acquisition.Command
  isPerforming: boolean
  unanswered: CutOff | undefined
  lastTold: Latest | undefined
}

const run = <E>(
  contender: Contender,
  start: acquisition.Start,
  withdraw: Withdraw,
  restore: Restore,
  use: (run: Run) => Effect.Effect<Acquired, E>
): Effect.Effect<Acquired, E> =>
  Effect.flatMap(requests.now(contender.engine.store), (now) => {
    const [state, command] = acquisition.begin(contender, start, now)
    const run: Run = { contender, state, command, isPerforming: false, unanswered: undefined, lastTold: undefined }
    return Effect.onExitPrimitive(restore(use(run)), (exit) => {
      const { attempts, inDoubt } = run.isPerforming ? run.state : acquisition.unsent(run.state)
      const noted = noteAttempts(attempts)
      return exit._tag === "Success" || !(run.command._tag === "Succeed" || inDoubt.held || inDoubt.queued)
        ? noted
        : Effect.andThen(noted, withdraw((run.isPerforming ? cutOffBy(run.command) : undefined) ?? run.unanswered))
    })
  })

const cutOffBy = (command: acquisition.Command): CutOff | undefined => {
  switch (command._tag) {
    case "Write":
      return { _tag: "Write", write: command.write }
    case "Join":
    case "Create":
      return { _tag: command._tag }
    default:
      return undefined
  }
}

// Steps the machine and performs its commands, up to a command for which `until` is true.
const advance = (run: Run, until: (command: acquisition.Command) => boolean): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => !until(run.command) && !hasEnded(run.command),
    body: () => {
      run.isPerforming = true
      return Effect.flatMap(perform(run), (event) =>
        Effect.flatMap(requests.now(run.contender.engine.store), (now) => {
          const { conflicts } = run.state
          if (event._tag === "Failed" && event.error._tag === "LockUnavailable") {
            run.unanswered = cutOffBy(run.command) ?? run.unanswered
          }
          const [state, command] = acquisition.step(run.contender, run.state, event, now)
          run.state = state
          run.command = command
          run.isPerforming = false
          return state.conflicts > conflicts ? measure(run.contender, LockMetrics.conflicts, 1) : Effect.void
        })
      )
    },
    step: () => {}
  })

const endOf = ({ command, state }: Run): Effect.Effect<Acquired, acquisition.Failure> =>
  command._tag === "Succeed"
    ? Effect.succeed({ grant: command.grant, contended: state.contended })
    : Effect.fail((command as Extract<acquisition.Command, { readonly _tag: "Fail" }>).error)

const endOfTry = ({ command, contender, state }: Run): Effect.Effect<Acquired, TryFailure> => {
  const { phase } = state
  if (command._tag === "Succeed") return Effect.succeed({ grant: command.grant, contended: state.contended })
  if (command._tag === "Fail" && command.error._tag !== "LockTimeout") return Effect.fail(command.error)
  if (phase._tag === "Unavailable") return Effect.fail(phase.error)
  const reason = phase._tag === "BackingOff" && phase.hasLostRace ? "RaceLost" : "Held"
  const { id, object } = contender
  return Effect.fail(new LockError.Conflict({ id, object, reason, ...acquisition.seenBy(state) }))
}

const hasEnded = ({ _tag }: acquisition.Command): boolean => _tag === "Succeed" || _tag === "Fail"

const isWait = ({ _tag }: acquisition.Command): boolean =>
  _tag === "Join" || _tag === "BackOff" || _tag === "Poll" || _tag === "Watch"

const perform = (run: Run): Effect.Effect<acquisition.Event> => {
  const { command, contender } = run
  const { engine, id } = contender
  switch (command._tag) {
    case "Read":
      return requests.read(engine.store, id)
    case "Create":
      return requests.create(engine.store, id, command.annotations)
    case "Write":
    case "Join":
      return requests.write(engine.store, id, command.write)
    case "BackOff":
      return backOff(contender, command)
    case "Poll":
      return poll(contender, command)
    case "Watch":
      return watch(run, command)
    case "Succeed":
    case "Fail":
      return Effect.die(new Error("the acquisition has ended"))
  }
}

type CommandOf<Tag extends acquisition.Command["_tag"]> = Extract<acquisition.Command, { readonly _tag: Tag }>

const elapsed: acquisition.Event = { _tag: "Elapsed" }
const exhausted: acquisition.Event = { _tag: "Exhausted" }

const poll = Effect.fnUntraced(function* (
  { waitBudget: budget }: Contender,
  { atLeast, seen }: CommandOf<"Poll">
): Effect.fn.Return<acquisition.Event> {
  const left = yield* budget(seen)
  if (Option.isNone(left)) return exhausted
  yield* Effect.sleep(Duration.millis(Math.max(left.value, atLeast)))
  return elapsed
})

const backOff = Effect.fnUntraced(function* (
  { waitBudget: budget }: Contender,
  { atMost, seen }: CommandOf<"BackOff">
): Effect.fn.Return<acquisition.Event> {
  let delay = yield* Random.nextBetween(0, atMost)
  do {
    const left = yield* budget(seen, delay)
    if (Option.isNone(left)) return exhausted
    const part = Math.min(delay, Math.max(1, left.value))
    yield* Effect.sleep(Duration.millis(part))
    delay -= part
  } while (delay > 0)
  return elapsed
})

const watch = Effect.fnUntraced(function* (
  run: Run,
  { on, seen, until }: CommandOf<"Watch">
): Effect.fn.Return<acquisition.Event> {
  const { engine, id, waitBudget: budget } = run.contender
  const watch = yield* engine.watches.open(id, on)
  if (watch === undefined) return { _tag: "WatchFailed" }
  for (;;) {
    const left = yield* budget(seen, waitBudget.ahead)
    if (Option.isNone(left)) return exhausted
    const asleep = until - (yield* ClockReading.now).monotonic
    if (asleep <= 0) return elapsed
    yield* engine.timers.wait(Math.ceil(Math.min(left.value, asleep)), (notify) => watch.listen(run.lastTold, notify))
    const told = watch.latest()
    if (told === undefined || told === run.lastTold) continue
    run.lastTold = told
    if (told._tag === "Failure") return { _tag: "WatchFailed" }
    return told.value._tag === "Deleted" ? { _tag: "Gone" } : told.value
  }
})

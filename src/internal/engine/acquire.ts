/** Performs an acquisition: the requests and waits that the machine in `protocol/acquisition.ts` commands. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as LockError from "../../LockError.ts"
import * as LockMetrics from "../../LockMetrics.ts"
import * as acquisition from "../protocol/acquisition.ts"
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

/** Cleans up after an acquisition that ended without the lock. `writing`: a write was cut off, and may still arrive. */
export type Withdraw = (inDoubt: { readonly writing: boolean }) => Effect.Effect<void>

/** Acquires the lock: tries, and waits until it has the lock or the wait schedule has ended. */
export const acquire = (
  contender: Contender,
  start: acquisition.Start,
  withdraw: Withdraw
): Effect.Effect<Acquired, acquisition.Failure> =>
  drive(contender, start, withdraw, (drive) =>
    Effect.flatMap(drive(isWait), (tried) =>
      hasEnded(tried[1]) ? end(tried) : Effect.flatMap(span("wait", contender)(drive(hasEnded)), end)
    )
  )

/** Tries once: fails with `Conflict` if it would have to wait. */
export const tryAcquire = (
  contender: Contender,
  start: acquisition.Start,
  withdraw: Withdraw
): Effect.Effect<Acquired, TryFailure> =>
  drive(contender, start, withdraw, (drive) => Effect.flatMap(drive(isWait), (tried) => endOfTry(contender, tried)))

/** What a single attempt can fail with. */
export type TryFailure = Exclude<acquisition.Failure, LockError.Timeout> | LockError.Conflict

const endOfTry = (
  { id, object }: Contender,
  [state, command]: acquisition.Step
): Effect.Effect<Acquired, TryFailure> => {
  const { phase } = state
  if (command._tag === "Succeed") return Effect.succeed({ grant: command.grant, contended: state.contended })
  if (command._tag === "Fail" && command.error._tag !== "LockTimeout") return Effect.fail(command.error)
  if (phase._tag === "Unavailable") return Effect.fail(phase.error)
  const reason = phase._tag === "BackingOff" && phase.hasLostRace ? "RaceLost" : "Held"
  return Effect.fail(new LockError.Conflict({ id, object, reason, ...acquisition.seenBy(state) }))
}

type Drive = (until: (command: acquisition.Command) => boolean) => Effect.Effect<acquisition.Step>

// Steps the machine and performs its commands, until a command that satisfies. The machine's state is in one place.
const drive = <E>(
  contender: Contender,
  start: acquisition.Start,
  withdraw: Withdraw,
  use: (drive: Drive) => Effect.Effect<Acquired, E>
): Effect.Effect<Acquired, E> =>
  Effect.flatMap(requests.now(contender.engine.store), (now) => {
    let [state, command] = acquisition.begin(contender, start, now)
    let isSent = false
    const perform = performing(contender)
    const drive: Drive = Effect.fnUntraced(function* (until) {
      while (!until(command) && !hasEnded(command)) {
        const { conflicts } = state
        isSent = true
        const event = yield* perform(command)
        ;[state, command] = acquisition.step(contender, state, event, yield* requests.now(contender.engine.store))
        isSent = false
        if (state.conflicts > conflicts) yield* measure(contender, LockMetrics.conflicts, 1)
      }
      return [state, command]
    })
    return Effect.onExitPrimitive(use(drive), (exit) => {
      const { attempts, inDoubt } = isSent ? state : acquisition.unsent(state)
      const noted = noteAttempts(attempts)
      return exit._tag === "Success" || !(inDoubt.held || inDoubt.queued)
        ? noted
        : Effect.andThen(noted, withdraw(inDoubt))
    })
  })

const end = ([state, command]: acquisition.Step): Effect.Effect<Acquired, acquisition.Failure> =>
  command._tag === "Succeed"
    ? Effect.succeed({ grant: command.grant, contended: state.contended })
    : Effect.fail((command as Extract<acquisition.Command, { readonly _tag: "Fail" }>).error)

const hasEnded = ({ _tag }: acquisition.Command): boolean => _tag === "Succeed" || _tag === "Fail"

const isWait = ({ _tag }: acquisition.Command): boolean =>
  _tag === "Join" || _tag === "BackOff" || _tag === "Poll" || _tag === "Watch"

const elapsed: acquisition.Event = { _tag: "Elapsed" }
const exhausted: acquisition.Event = { _tag: "Exhausted" }

// Performs commands. What a watch told last is remembered from one to the next, so that nothing is told twice.
const performing = (contender: Contender) => {
  const { engine, id, waitBudget: budget } = contender
  const { store } = engine
  let lastTold: Latest | undefined

  const poll = Effect.fnUntraced(function* (atLeast: number, seen: unknown): Effect.fn.Return<acquisition.Event> {
    const left = yield* budget(seen)
    if (Option.isNone(left)) return exhausted
    yield* Effect.sleep(Duration.millis(Math.max(left.value, atLeast)))
    return elapsed
  })

  const backOff = Effect.fnUntraced(function* (atMost: number, seen: unknown): Effect.fn.Return<acquisition.Event> {
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
    on: "Turn" | "Object",
    until: number,
    seen: unknown
  ): Effect.fn.Return<acquisition.Event> {
    const watch = yield* engine.watches.open(id, on)
    if (watch === undefined) return { _tag: "WatchFailed" }
    for (;;) {
      const left = yield* budget(seen, waitBudget.ahead)
      if (Option.isNone(left)) return exhausted
      const asleep = until - (yield* ClockReading.now).monotonic
      if (asleep <= 0) return elapsed
      yield* engine.timers.wait(Math.ceil(Math.min(left.value, asleep)), (notify) => watch.listen(lastTold, notify))
      const told = watch.latest()
      if (told === undefined || told === lastTold) continue
      lastTold = told
      if (told._tag === "Failure") return { _tag: "WatchFailed" }
      return told.value._tag === "Deleted" ? { _tag: "Gone" } : told.value
    }
  })

  return (command: acquisition.Command): Effect.Effect<acquisition.Event> => {
    switch (command._tag) {
      case "Read":
        return requests.read(store, id)
      case "Create":
        return requests.create(store, id, command.annotations)
      case "Write":
      case "Join":
        return requests.write(store, id, command.write)
      case "BackOff":
        return backOff(command.atMost, command.seen)
      case "Poll":
        return poll(command.atLeast, command.seen)
      case "Watch":
        return watch(command.on, command.until, command.seen)
      case "Succeed":
      case "Fail":
        return Effect.die(new Error("the acquisition has ended"))
    }
  }
}

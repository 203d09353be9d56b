/** What `kubelock run` does: takes a lock, runs a command under it, and ends as the command does. */
import type * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as ElectionTiming from "../../ElectionTiming.ts"
import type { Held } from "../../Held.ts"
import * as LeaderElection from "../../LeaderElection.ts"
import * as Lock from "../../Lock.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import * as Once from "../../Once.ts"
import * as Resource from "../../Resource.ts"
import * as Semaphore from "../../Semaphore.ts"
import * as SharedLock from "../../SharedLock.ts"
import { type Ended, exitCodes, misused, silently } from "../exitCodes.ts"
import * as lockOptions from "../lockOptions.ts"
import { say } from "../program.ts"
import { reach } from "../reach.ts"
import * as signals from "../signals.ts"
import * as target from "../target.ts"
import * as waiting from "../waiting.ts"
import type * as child from "./child.ts"
import type { Given } from "./command.ts"
import * as underLock from "./underLock.ts"
import * as words from "./words.ts"

/** Runs what was asked for. */
export const run = (given: Given) =>
  Effect.gen(function* () {
    const problem = problemOf(given)
    if (problem !== undefined) return yield* misused(problem)
    const code = yield* given.lead
      ? lead(given)
      : Option.isSome(given.once)
        ? once(given, given.once.value)
        : hold(given)
    return code === 0 ? undefined : yield* silently(code)
  }).pipe(
    Effect.catchTags({
      ...waiting.endings(given),
      // The library logged it when it happened.
      LockLost: () => Effect.fail(silently(exitCodes.lost))
    }),
    Effect.provide(target.client),
    Effect.provideService(References.MinimumLogLevel, given.verbose ? "Info" : "Warn")
  )

const problemOf = (given: Given): string | undefined => {
  const { command, exclusive, lead, limit, nonblock, once, permits, resource, script, shared, timeout, ttl } = given
  const kinds = [shared, exclusive, lead, Option.isSome(limit), Option.isSome(once)].filter(Boolean)
  if (kinds.length > 1) return "give one of --shared, --exclusive, --limit, --lead and --once"
  if (isNameless(command)) return "give the NAME of the lock before --"
  if (isEmpty(command)) return "give a command after --, or leave out -- to hold the lock until a signal"
  if (words.isScattered(command, process.argv)) return words.scattered
  if (Option.isSome(script) && command.length > 0) return "give a command after --, or a script with -c, not both"
  if (Option.isSome(permits) && Option.isNone(limit))
    return "--permits needs --limit, how many permits there are in all"
  if (Option.isSome(limit) && Option.isSome(permits) && permits.value > limit.value) {
    return "--permits must be at most --limit"
  }
  const problem = waiting.problemOf(given)
  if (problem !== undefined) return problem
  if (lead && (nonblock || Option.isSome(timeout)))
    return "--lead waits for as long as it takes: leave out --nonblock and --timeout"
  if (lead && Option.exists(resource, (one) => Resource.name(one) !== Resource.name(Resource.lease)))
    return "--lead stands for election on a Lease: leave out --resource and KUBELOCK_RESOURCE"
  return Duration.isGreaterThan(graceOf(given), Duration.times(ttl, 2 / 3))
    ? `--grace must be at most two thirds of --ttl, which is ${Duration.format(ttl)}`
    : undefined
}

// `kubelock run -- make deploy` would run `deploy` under the lock `make`.
const isNameless = (command: ReadonlyArray<string>): boolean => (words.afterDashes(process.argv) ?? 0) > command.length

// `kubelock run x -- $COMMAND` would hold the lock for ever if the variable is not set.
const isEmpty = ([file]: ReadonlyArray<string>): boolean => file === "" || words.afterDashes(process.argv) === 0

/** The grace that counts: at most two thirds of the TTL, so that a renewal fits into the rest. */
const graceOf = ({ grace, ttl }: Given): Duration.Duration =>
  Option.getOrElse(grace, () => Duration.divideUnsafe(ttl, 3))

/** The command line to run; nothing if the lock is held until a signal. */
const lineOf = ({ command: [file, ...args], script }: Given): child.CommandLine | undefined =>
  Option.isSome(script) ? ["/bin/sh", "-c", script.value] : file === undefined ? undefined : [file, ...args]

const storeOf = ({ resource }: Given) => target.store(Option.getOrElse(resource, () => target.defaultResource))

// The command has the grace to end before the lease does. (Our choice. client-go's defaults are the same.)
const optionsOf = (given: Given) =>
  lockOptions.make({
    ttl: given.ttl,
    renewDeadline: Duration.subtract(given.ttl, graceOf(given)),
    waitSchedule: waiting.scheduleOf(given)
  })

const hold = (given: Given) =>
  Effect.scoped(
    Effect.gen(function* () {
      const take = yield* takerOf(given)
      const snapshot = yield* reach(given)
      const taking = take(snapshot === undefined ? {} : { snapshot })
      const held = yield* Effect.raceFirst(taking, waiting.overdue(given))
      return yield* held.guard(use(given, held))
    })
  ).pipe(Effect.provide(storeOf(given)))

type Taker = (
  options: Lock.AcquireOptions
) => Effect.Effect<underLock.Subject & Pick<Held, "guard">, Lock.AcquireError | Lock.TryError, Scope.Scope>

const takerOf = Effect.fnUntraced(function* (
  given: Given
): Effect.fn.Return<Taker, Ended | Config.ConfigError, ObjectStore | Scope.Scope> {
  const { exclusive, name, nonblock, shared } = given
  const options = yield* optionsOf(given)
  if (Option.isSome(given.limit)) {
    const semaphore = yield* Semaphore.make(options)
    const wanted = { limit: given.limit.value, permits: Option.getOrElse(given.permits, () => 1) }
    return (options) => (nonblock ? semaphore.takeIfAvailable : semaphore.take)(name, { ...options, ...wanted })
  }
  if (shared || exclusive) {
    const lock = yield* SharedLock.make(options)
    if (shared) return (options) => (nonblock ? lock.tryShared : lock.shared)(name, options)
    return (options) => (nonblock ? lock.tryExclusive : lock.exclusive)(name, options)
  }
  const lock = yield* Lock.make(options)
  return (options) => (nonblock ? lock.tryScoped : lock.scoped)(name, options)
})

const once = (given: Given, due: DateTime.Utc) =>
  Effect.gen(function* () {
    yield* reach(given)
    let isRunning = false
    const running = Once.run(given.name, due, { waitSchedule: waiting.scheduleOf(given) })((run) => {
      isRunning = true
      const environment = {
        KUBELOCK_DUE: DateTime.formatIso(run.due),
        ...Option.match(run.previous, {
          onNone: () => ({}),
          onSome: (at) => ({ KUBELOCK_PREVIOUS: DateTime.formatIso(at) })
        })
      }
      // A run that fails is not completed.
      return Effect.flatMap(use(given, run, environment), (code) => (code === 0 ? Effect.void : silently(code)))
    })
    const overdue = Effect.catch(waiting.overdue(given), (ended) => (isRunning ? Effect.never : Effect.fail(ended)))
    const done = yield* Effect.raceFirst(running, overdue)
    if (Option.isNone(done)) {
      yield* say(`The run of ${given.name} that was due at ${DateTime.formatIso(due)} was completed before.`)
    }
    return 0
  }).pipe(Effect.provide(Layer.unwrap(Effect.map(optionsOf(given), Lock.layer))), Effect.provide(storeOf(given)))

const lead = (given: Given) =>
  Effect.gen(function* () {
    const { namespace } = yield* target.root
    const { identity } = yield* optionsOf(given)
    const renewDeadline = Duration.subtract(given.ttl, graceOf(given))
    const timing = yield* lockOptions.valid(() =>
      ElectionTiming.make({
        leaseDuration: given.ttl,
        renewDeadline,
        retryPeriod: Duration.min(Duration.seconds(2), Duration.divideUnsafe(renewDeadline, 2))
      })
    )
    const layer = LeaderElection.layer({ timing, identity, namespace: Option.getOrUndefined(namespace) })
    return yield* LeaderElection.lead(given.name)((term) => use(given, { ...term, holderId: term.identity })).pipe(
      Effect.provide(layer)
    )
  })

/** Uses a lock that is held: runs the command, or waits for a signal. Succeeds with the exit code. */
const use = (
  given: Given,
  subject: underLock.Subject,
  environment: Readonly<Record<string, string>> = {}
): Effect.Effect<number, Ended> => {
  const line = lineOf(given)
  if (line === undefined) return untilSignal(given, subject)
  const { foreground, name } = given
  return underLock.run(line, name, subject, { foreground, grace: graceOf(given), environment })
}

const untilSignal = ({ name }: Given, { fencingToken }: underLock.Subject): Effect.Effect<number> =>
  Effect.scoped(
    Effect.gen(function* () {
      const signal = yield* signals.next
      yield* Console.log(`${name} is held, with fencing token ${fencingToken}`)
      yield* signal
      return 0
    })
  )

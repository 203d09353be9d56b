/**
 * Work that is due at a time, once for all replicas: a nightly report, a monthly invoice, a migration.
 *
 * Every replica asks for the run. One of them does it, under the lock, and records on the locked object which run was completed,
 * in the very write that releases the lock. The others wait, find the record, and do nothing.
 *
 * **Details**
 *
 * - A run is named by the time at which it is due, not by the time at which it happens. So clocks may differ: a replica that is
 *   early or late asks for the same run.
 * - If the replica that works crashes, or loses the lock, or if its work fails, nothing is recorded. The next replica that waits
 *   does the run.
 * - A holder that was paused past its lease cannot record its run if another replica took over: `LockLost`.
 * - A run may last for longer than the time to the next one. The replica that gets the lock then does the latest run that is due, and
 *   those between are left out.
 * - During a change from one default key to the other, the later of the two records counts.
 * - The record is the annotation `<annotation>-last-run`: when the last completed run was due, in RFC 3339 and whole seconds. It
 *   stays on the object for good.
 *
 * **Gotchas**
 *
 * - At least once, and in almost all cases exactly once: a replica that dies between the end of its work and the record, or is cut off
 *   there until its lease has run out, has done work that another one does again. Give `Run.due` or `Run.fencingToken` to what the work
 *   writes, and let that refuse a repetition.
 * - If the object is deleted, or another program removes its annotations (Dex does, on RefreshTokens), the record is gone.
 */
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as ClockReading from "./internal/time/clockReading.ts"
import * as rfc3339 from "./internal/time/rfc3339.ts"
import { quiet } from "./internal/tracing.ts"
import * as Lock from "./Lock.ts"
import * as LockKind from "./LockKind.ts"
import type * as LockError from "./LockError.ts"
import type { ServerTime } from "./ObjectStore.ts"
import * as OnceMetrics from "./OnceMetrics.ts"

/** One run. */
export interface Run {
  /** When it is due. It names the run. */
  readonly due: DateTime.Utc
  /** When the last completed run was due; nothing if none is recorded. */
  readonly previous: Option.Option<DateTime.Utc>
  /** The holder ID of the lock under which it runs. */
  readonly holderId: string
  /** The fencing token of that lock: greater than that of every earlier run. Send it with each write. */
  readonly fencingToken: bigint
  /**
   * Whether the lease of that lock is valid, by the clocks of this process and what it knows. It makes no request.
   */
  readonly isValid: Effect.Effect<boolean>
}

/** The work: an effect, or a function that makes it for a run. */
export type Work<A, E, R> = Effect.Effect<A, E, R> | ((run: Run) => Effect.Effect<A, E, R>)

/** The record is not a time. `annotation` is its name, `value` its value. */
export class Unreadable extends Schema.Error<Unreadable>("kubelock/Once/Unreadable")({
  _tag: Schema.tag("OnceUnreadable"),
  id: Schema.String,
  annotation: Schema.String,
  value: Schema.String
}) {
  override get message(): string {
    return `Cannot tell which run of ${JSON.stringify(this.id)} was the last: the annotation ${this.annotation} is not an RFC 3339 time: ${JSON.stringify(this.value)}. Correct it, or remove it to begin anew.`
  }
}

/** What a run can fail with, besides its work. */
export type Failure = Lock.AcquireError | LockError.Lost | Unreadable

/** The options of a schedule, and those of its lock (a replica waits without end by default). */
export interface ScheduleOptions extends Lock.AcquireOptions {
  /**
   * When this replica tries again after its work has failed, or the API server was out of reach. By default after a
   * second, then after doubling pauses of at most a minute, for as long as it takes. If it ends, the replica waits
   * for the next time.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
}

/** The name of the annotation that records the last completed run of a lock with this annotation. */
export const lastRunKey = (annotation: string): string => `${annotation}-last-run`

/**
 * Does the run that is due at this time, unless it or a later one was completed. `due` counts in whole seconds.
 *
 * Waits while another replica works on it. Succeeds with the result of the work if it was done here, and otherwise with nothing,
 * once it has been done. Fails if the work fails: then another replica that waits does it. By default it waits without end.
 */
export const run =
  (id: string, due: DateTime.DateTime.Input, options?: Lock.AcquireOptions) =>
  <A, E, R>(work: Work<A, E, R>): Effect.Effect<Option.Option<A>, E | Failure, R | Lock.Lock> =>
    Effect.suspend(() => {
      const seconds = Math.floor(DateTime.toEpochMillis(DateTime.makeUnsafe(due)) / 1000)
      return attempt(id, options, (last) => (last !== undefined && last >= seconds ? nothing : toDo(seconds)), work)
    })

/**
 * Does the work at the times of a cron expression, each time in one replica, without end.
 *
 * **Details**
 *
 * - The API server's clock says what time it is.
 * - At its first start ever it records that nothing is due yet. A later start finds what was missed while no replica was up, and does
 *   the latest of the missed runs at once. (`Run.due` tells how late that is.)
 * - If the work fails, the failure is logged, and another replica that waits does the run at once. This replica tries again as
 *   `retry` says.
 *
 * Fails with what no repetition mends, such as `LockForbidden`.
 */
export const schedule =
  (id: string, cron: Cron.Cron, options: ScheduleOptions = {}) =>
  <A, E, R>(work: Work<A, E, R>): Effect.Effect<never, Failure, R | Lock.Lock> =>
    Effect.gen(function* () {
      const lock = yield* Lock.Lock
      const latest = (last: number | undefined, now: number): Decision => {
        const due = Cron.prev(cron, now + 1).getTime() / 1000
        if (last === undefined) return { _tag: "Begin", due }
        return due > last ? toDo(due) : nothing
      }
      const runLatest = attempt(id, options, latest, failing(work)).pipe(
        Effect.tapError((error) =>
          isPassing(error) ? Effect.logWarning(sentence(id, error), causeOf(error)) : Effect.void
        ),
        Effect.retry({ schedule: options.retry ?? defaultRetry, while: isPassing }),
        Effect.catch((error): Effect.Effect<void, Failure> =>
          isPassing(error)
            ? Effect.logError(`Gave up on ${JSON.stringify(id)} until it is due again.`)
            : Effect.fail(error)
        )
      )
      for (;;) {
        yield* runLatest
        const now = yield* timeOf(yield* lock.now)
        yield* Effect.sleep(Duration.millis(Math.max(shortestSleep, Cron.next(cron, now).getTime() - now)))
      }
    })

/** What to do under the lock. Times are in seconds since 1970. */
type Decision = { readonly _tag: "Run" | "Begin"; readonly due: number } | { readonly _tag: "Nothing" }

const nothing: Decision = { _tag: "Nothing" }

const toDo = (due: number): Decision => ({ _tag: "Run", due })

// A replica that may not watch the object looks at these intervals. Our choice.
const forEver = Schedule.spaced("5 seconds")

/** The default of `retry`. Our choice. */
const defaultRetry = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

// The end of a sleep and the API server's clock may differ by a little. In milliseconds.
const shortestSleep = 50

const attempt = <A, E, R>(
  id: string,
  options: Lock.AcquireOptions | undefined,
  decide: (last: number | undefined, now: number) => Decision,
  work: Work<A, E, R>
): Effect.Effect<Option.Option<A>, E | Failure, R | Lock.Lock> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function* () {
      const lock = yield* Lock.Lock
      const held = yield* Scope.provide(
        lock.scoped(id, {
          ...options,
          waitSchedule: options?.waitSchedule ?? forEver,
          countedAs: options?.countedAs ?? "once"
        }),
        scope
      )
      const key = lastRunKey(lock.annotation)
      const keys = [key, ...LockKind.exclusive(lock.annotation).otherKeys.map(lastRunKey)]
      const found = yield* Effect.forEach(keys, (key) => readLastRun(id, key, held.snapshot.annotations[key]))
      const [last] = found.filter((run) => run !== undefined).toSorted((a, b) => b - a)
      const decision = decide(last, yield* timeOf(yield* lock.now))
      if (decision._tag === "Nothing") return yield* Effect.as(count("Skipped"), Option.none())
      const record = held.commitAndRelease([], { [key]: rfc3339.format(decision.due) })
      if (decision._tag === "Begin") return yield* Effect.as(record, Option.none())
      const run = {
        due: utc(decision.due),
        previous: Option.map(Option.fromUndefinedOr(last), utc),
        holderId: held.holderId,
        fencingToken: held.fencingToken,
        isValid: held.isValid
      }
      const working = Effect.raceFirst(Effect.isEffect(work) ? work : Effect.suspend(() => work(run)), held.lost)
      // Work that is done is recorded, whatever comes.
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Effect.onError(timed(restore(working)), () => count("Failed")),
          (result) =>
            record.pipe(
              Effect.onExit((exit) => count(Exit.isSuccess(exit) ? "Completed" : "NotRecorded")),
              Effect.as(Option.some(result))
            )
        )
      )
    })
  )

const count = (outcome: "Completed" | "Skipped" | "Failed" | "NotRecorded"): Effect.Effect<void> =>
  quiet(Metric.update(Metric.withAttributes(OnceMetrics.runs, { outcome }), 1))

const timed = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(ClockReading.now, (startedAt) =>
    Effect.ensuring(
      work,
      Effect.flatMap(ClockReading.now, (now) =>
        quiet(Metric.update(OnceMetrics.runSeconds, ClockReading.elapsed(startedAt, now).max / 1000))
      )
    )
  )

const readLastRun = (
  id: string,
  annotation: string,
  value: string | undefined
): Effect.Effect<number | undefined, Unreadable> => {
  if (value === undefined) return Effect.undefined
  const instant = rfc3339.parse(value)
  return instant === undefined
    ? Effect.fail(new Unreadable({ id, annotation, value }))
    : Effect.succeed(instant.seconds)
}

const utc = (seconds: number): DateTime.Utc => DateTime.makeUnsafe(seconds * 1000)

// Before the first answer of the API server, the clock of this machine has to do.
const timeOf = ({ earliest }: ServerTime): Effect.Effect<number> =>
  Number.isFinite(earliest) ? Effect.succeed(earliest) : Clock.currentTimeMillis

/** The failure of the work itself, apart from those of the lock. */
class WorkFailure<E> {
  readonly _tag = "WorkFailure"
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

const failing = <A, E, R>(work: Work<A, E, R>): Work<A, WorkFailure<E>, R> => {
  const failure = Effect.mapError((error: E) => new WorkFailure(error))
  return Effect.isEffect(work) ? failure(work) : (run) => failure(work(run))
}

type Passing =
  | WorkFailure<unknown>
  | LockError.Unavailable
  | LockError.Unauthorized
  | LockError.Timeout
  | LockError.Lost

const passing: ReadonlySet<string> = new Set<Passing["_tag"]>([
  "WorkFailure",
  "LockUnavailable",
  "LockUnauthorized",
  "LockTimeout",
  "LockLost"
])

const isPassing = <E>(
  error: WorkFailure<E> | Failure
): error is WorkFailure<E> | Exclude<Passing, WorkFailure<unknown>> => passing.has(error._tag)

const causeOf = (error: Passing): unknown => (error._tag === "WorkFailure" ? error.error : error.message)

const sentence = (id: string, { _tag }: Passing): string =>
  _tag === "WorkFailure"
    ? `The work of ${JSON.stringify(id)} failed. Another replica that waits does it, or this one tries again.`
    : `The run of ${JSON.stringify(id)} could not be done. It is tried again.`

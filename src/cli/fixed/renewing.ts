/** What `kubelock renew HANDLE -- COMMAND` does: runs a command under a lock that an earlier step acquired, and renews it meanwhile. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as ClockReading from "../../internal/time/clockReading.ts"
import type * as Lock from "../../Lock.ts"
import { Ended, exitCodes, misused, silently } from "../exitCodes.ts"
import type { CommandLine } from "../run/child.ts"
import * as underLock from "../run/underLock.ts"
import type { RenewGiven } from "./command.ts"

/**
 * Runs a command, and ends as it does. The lock is left on the object, as it was found. `renewal` renews it once.
 *
 * A quarter of the TTL after each renewal comes the next one, which may take as long. Then the command is ended, and has another quarter for
 * that: it is dead before the lease ends. (Our choice.)
 */
export const run = (
  line: CommandLine,
  { foreground, grace: wanted, handle, ttl }: RenewGiven,
  renewal: Effect.Effect<void, Lock.HandleError>
): Effect.Effect<void, Lock.HandleError | Ended> =>
  Effect.gen(function* () {
    const quarter = Duration.divideUnsafe(ttl, 4)
    const grace = Option.getOrElse(wanted, () => Duration.min(usualGrace, quarter))
    if (Duration.isGreaterThan(grace, quarter)) {
      return yield* misused(`--grace must be at most a quarter of --ttl, which is ${Duration.format(ttl)}`)
    }
    const clock = yield* Clock.Clock
    let renewedAt = ClockReading.read(clock)
    const isValid = Effect.sync(
      () => ClockReading.elapsed(renewedAt, ClockReading.read(clock)).max < Duration.toMillis(ttl)
    )
    const renew = Effect.suspend(() => {
      const begun = ClockReading.read(clock)
      return Effect.map(renewal, () => {
        renewedAt = begun
      })
    })
    const lost = new Ended({ code: exitCodes.lost, message: `${handle.name} could not be renewed in time.` })
    const keep = Effect.gen(function* () {
      yield* Effect.sleep(quarter)
      // A process that was suspended finds its lease over.
      if (!(yield* isValid)) return yield* lost
      yield* Effect.retry(renew, {
        while: ({ _tag }) => _tag !== "LockStale",
        schedule: Schedule.spaced("1 second")
      }).pipe(Effect.timeoutOrElse({ duration: quarter, orElse: () => Effect.fail(lost) }))
    }).pipe(Effect.forever)

    yield* renew
    const { fencingToken, holderId, name } = handle
    const subject = { holderId, fencingToken, isValid }
    const command = underLock.run(line, name, subject, { foreground, grace, environment: {} })
    const code = yield* Effect.raceFirst(command, keep)
    if (code !== 0) return yield* silently(code)
  })

/** The grace that conventions ask for. */
const usualGrace = Duration.seconds(5)

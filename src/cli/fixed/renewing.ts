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
 * A quarter of the TTL after each renewal comes the next one, which may take as long. Then the command is ended, no later than the grace
 * before the lease ends: it is dead by then. (Our choice.)
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
    const { fencingToken, holderId, name } = handle
    const clock = yield* Clock.Clock
    const reliedOn = Duration.toMillis(ttl) * (1 - ClockReading.safetyMargin) - Duration.toMillis(grace)
    let renewedAt = ClockReading.read(clock)
    const left = () => reliedOn - ClockReading.elapsed(renewedAt, ClockReading.read(clock)).max
    const aQuarterAtMost = () => Math.min(Duration.toMillis(quarter), left())

    const lost = new Ended({ code: exitCodes.lost, message: `${name} could not be renewed in time.` })
    // An answer may come when its lease is over. A process that was suspended may find it over, too.
    const check = Effect.suspend(() => (left() > 0 ? Effect.void : Effect.fail(lost)))
    const renew = Effect.gen(function* () {
      const begun = ClockReading.read(clock)
      yield* renewal
      renewedAt = begun
      yield* check
    })
    const keep = Effect.gen(function* () {
      yield* Effect.sleep(aQuarterAtMost())
      yield* check
      yield* Effect.retry(renew, {
        while: ({ _tag }) => _tag !== "LockStale" && _tag !== "Ended",
        schedule: Schedule.spaced("1 second")
      }).pipe(Effect.timeoutOrElse({ duration: aQuarterAtMost(), orElse: () => Effect.fail(lost) }))
    }).pipe(Effect.forever)

    yield* renew
    const subject = { holderId, fencingToken, isValid: Effect.sync(() => left() > 0) }
    const command = underLock.run(line, name, subject, { foreground, grace, environment: {} })
    const code = yield* Effect.raceFirst(command, keep)
    if (code !== 0) return yield* silently(code)
  })

/** The grace that conventions ask for. */
const usualGrace = Duration.seconds(5)

/**
 * The three times of an election, as in client-go: with the same names, the same defaults, and the same rules.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as settings from "./internal/settings.ts"
import { leaseRange } from "./internal/time/leaseRange.ts"

/** The times of an election. */
export interface ElectionTiming {
  /** For how long a leader that was heard of keeps all others away. It is written in whole seconds, rounded up. */
  readonly leaseDuration: Duration.Duration
  /**
   * How long after its last renewal a leader that cannot renew stops leading. What is left of the lease then is the
   * time to end what it was doing.
   */
  readonly renewDeadline: Duration.Duration
  /**
   * The interval of renewals, and of the looks of a candidate that may not watch. A leader renews at least twice in
   * each `leaseDuration`.
   */
  readonly retryPeriod: Duration.Duration
}

/** The times to set. The defaults are client-go's. */
export interface Options {
  /** See `ElectionTiming`: 15 seconds by default, from 1 second to 1 day, and longer than `renewDeadline`. */
  readonly leaseDuration?: Duration.Input | undefined
  /** See `ElectionTiming`: 10 seconds by default, and longer than 1.2 times `retryPeriod`. */
  readonly renewDeadline?: Duration.Input | undefined
  /** See `ElectionTiming`: 2 seconds by default, and more than nothing. */
  readonly retryPeriod?: Duration.Input | undefined
}

const assemble = (options: Options): ElectionTiming => ({
  leaseDuration: Duration.fromInputUnsafe(options.leaseDuration ?? "15 seconds"),
  renewDeadline: Duration.fromInputUnsafe(options.renewDeadline ?? "10 seconds"),
  retryPeriod: Duration.fromInputUnsafe(options.retryPeriod ?? "2 seconds")
})

/** By how much the deadline must be longer than the retry period: client-go's jitter. */
const jitterFactor = 1.2

const names = { leaseDuration: "leaseDuration", renewDeadline: "renewDeadline", retryPeriod: "retryPeriod" }

const problemOf = (
  { leaseDuration, renewDeadline, retryPeriod }: ElectionTiming,
  called: typeof names = names
): string | undefined => {
  const text = Duration.format
  if (!Duration.between(leaseDuration, leaseRange)) {
    return `${called.leaseDuration} must be from 1 second to 1 day, but is ${text(leaseDuration)}`
  }
  if (!Duration.isGreaterThan(leaseDuration, renewDeadline)) {
    return `${called.leaseDuration} (${text(leaseDuration)}) must be longer than ${called.renewDeadline} (${text(renewDeadline)})`
  }
  if (!Duration.isGreaterThan(retryPeriod, Duration.zero)) {
    return `${called.retryPeriod} must be more than nothing, but is ${text(retryPeriod)}`
  }
  return Duration.isGreaterThan(renewDeadline, Duration.times(retryPeriod, jitterFactor))
    ? undefined
    : `${called.renewDeadline} (${text(renewDeadline)}) must be longer than ${jitterFactor} times ${called.retryPeriod} (${text(retryPeriod)})`
}

/**
 * Makes the times of an election. Throws a `RangeError` unless `leaseDuration > renewDeadline > 1.2 x retryPeriod > 0`, and
 * `leaseDuration` is from 1 second to 1 day.
 */
export const make = (options: Options = {}): ElectionTiming => {
  const timing = assemble(options)
  const problem = problemOf(timing)
  if (problem !== undefined) throw new RangeError(`ElectionTiming: ${problem}`)
  return timing
}

/**
 * The times from the configuration, all optional: `KUBELOCK_LEASE_DURATION`, `KUBELOCK_RENEW_DEADLINE`, `KUBELOCK_RETRY_PERIOD`,
 * written as `15s` or `15 seconds`.
 */
export const config: Config.Config<ElectionTiming> = Config.all({
  leaseDuration: settings.duration("LEASE_DURATION"),
  renewDeadline: settings.duration("RENEW_DEADLINE"),
  retryPeriod: settings.duration("RETRY_PERIOD")
}).pipe(
  Config.mapEffect(({ leaseDuration, renewDeadline, retryPeriod }) => {
    const timing = assemble({
      leaseDuration: Option.getOrUndefined(leaseDuration),
      renewDeadline: Option.getOrUndefined(renewDeadline),
      retryPeriod: Option.getOrUndefined(retryPeriod)
    })
    const problem = problemOf(timing, {
      leaseDuration: "KUBELOCK_LEASE_DURATION",
      renewDeadline: "KUBELOCK_RENEW_DEADLINE",
      retryPeriod: "KUBELOCK_RETRY_PERIOD"
    })
    return problem === undefined ? Effect.succeed(timing) : Effect.fail(settings.problem(problem))
  })
)

/**
 * How a lock is waited for and how long it lasts: annotation key, TTL, polling, renewal, and whether Dex is about.
 *
 * **Details**
 *
 * The defaults are Dex's constants (key `dexidp.com/resource-lock`, TTL 10 seconds, a poll every 100 milliseconds, 200
 * polls after the first attempt), with one difference: a lock is renewed while it is held. `renew: false` gives Dex's
 * fixed lease.
 *
 * Every timing rule is checked at construction: `make` throws a `RangeError`, `config` fails with a `ConfigError`.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

/** What drives the waiting: any schedule that itself cannot fail. Its input is what the last attempt saw. */
export type WaitSchedule = Schedule.Schedule<unknown, unknown>

/**
 * How a lock is waited for and how long it lasts.
 *
 * `polling` bounds the wait. A contender that can watch the object makes no request for it; one that cannot tries again
 * at each of its steps. `renew` is the interval of renewals, or `false` for none. `besideDex` says whether Dex contends
 * for the same objects: then a lock that is in demand is left free now and then, for long enough that Dex sees it.
 * Undefined, it is as the resource says.
 */
export interface LockPolicy {
  readonly annotation: string
  readonly ttl: Duration.Duration
  readonly waitSchedule: WaitSchedule
  readonly renewEvery: Duration.Duration | false
  readonly sharedWithDex: boolean | undefined
}

/** What one acquisition may set otherwise than the policy of its layer. The key is the layer's. */
export interface Overrides {
  readonly ttl?: Duration.Input | undefined
  readonly waitSchedule?: WaitSchedule | undefined
  readonly renewEvery?: Duration.Input | false | undefined
}

/** Everything that makes up a policy; what is left out is Dex's. */
export interface Options extends Overrides {
  readonly annotation?: string | undefined
  readonly sharedWithDex?: boolean | undefined
}

/** The annotation that Dex locks with. */
export const dexAnnotation = "dexidp.com/resource-lock"

/** A poll every `interval`, `times` of them after the first attempt. */
export const fixedPolls = (interval: Duration.Input, times: number): WaitSchedule =>
  Schedule.spaced(interval).pipe(Schedule.upTo({ times }))

/** Dex's waiting: 200 polls, 100 milliseconds apart, about 20 seconds in all. */
export const dexWaitSchedule: WaitSchedule = fixedPolls("100 millis", 200)

const assemble = (options: Options): LockPolicy => {
  const ttl = Duration.fromInputUnsafe(options.ttl ?? "10 seconds")
  return {
    annotation: options.annotation ?? dexAnnotation,
    ttl,
    waitSchedule: options.waitSchedule ?? dexWaitSchedule,
    renewEvery:
      options.renewEvery === false
        ? false
        : Duration.fromInputUnsafe(options.renewEvery ?? Duration.divideUnsafe(ttl, 3)),
    sharedWithDex: options.sharedWithDex
  }
}

const checked = (policy: LockPolicy): LockPolicy => {
  const problem = problemOf(policy)
  if (problem !== undefined) throw new RangeError(`LockPolicy: ${problem}`)
  return policy
}

const problemOf = ({ annotation: key, renewEvery: renew, ttl }: LockPolicy): string | undefined => {
  if (!annotationKey.test(key)) {
    return `key must be an annotation key like "example.com/lock" whose name has at most 44 characters, got ${JSON.stringify(key)}`
  }
  if (!Duration.between(ttl, { minimum: Duration.seconds(1), maximum: Duration.days(1) })) {
    return `ttl must be 1 second to 1 day, got ${Duration.format(ttl)}`
  }
  if (
    renew !== false &&
    !Duration.between(renew, { minimum: Duration.millis(1), maximum: Duration.divideUnsafe(ttl, 2) })
  ) {
    return `renew must be more than zero and at most half the ttl of ${Duration.format(ttl)}, got ${Duration.format(renew)}`
  }
  return undefined
}

// Kubernetes allows 63 characters after the slash: "-queue-" and the name of a process take 19 of them.
const annotationKey =
  /^(?=.{1,253}\/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]([-A-Za-z0-9_.]{0,42}[A-Za-z0-9])?$/

/**
 * Makes a policy.
 *
 * - `key`: the annotation, a Kubernetes annotation key with room for the suffixes of `LockQueue`.
 * - `ttl`: how long a lease lasts, 1 second to 1 day (expiries are written in whole seconds).
 * - `polling`: when to try again.
 * - `renew`: how often a held lock is renewed, at most half the TTL; a third of the TTL by default.
 * - `besideDex`: whether Dex contends for the same objects; by default as the resource says.
 *
 * Throws a `RangeError` where they do not fit together.
 */
export const make = (options: Options = {}): LockPolicy => checked(assemble(options))

/** The policy with some of its parts set otherwise, checked as `make` checks it. */
export const withOverrides = (self: LockPolicy, overrides: Overrides): LockPolicy =>
  checked(
    assemble({
      annotation: self.annotation,
      sharedWithDex: self.sharedWithDex,
      ttl: overrides.ttl ?? self.ttl,
      waitSchedule: overrides.waitSchedule ?? self.waitSchedule,
      renewEvery:
        overrides.renewEvery ?? (overrides.ttl === undefined || self.renewEvery === false ? self.renewEvery : undefined)
    })
  )

/** Dex's constants throughout, with renewal: the default of every layer. */
export const dex: LockPolicy = make()

/**
 * The policy from configuration, every part optional: `KUBELOCK_ANNOTATION`, `KUBELOCK_TTL`, `KUBELOCK_POLL_INTERVAL`,
 * `KUBELOCK_POLL_TIMES`, `KUBELOCK_RENEW_EVERY`, `KUBELOCK_SHARED_WITH_DEX`. Durations are written as `10 seconds`;
 * `KUBELOCK_RENEW_EVERY=false` turns renewal off.
 */
export const config: Config.Config<LockPolicy> = Config.all({
  key: Config.String("ANNOTATION").pipe(Config.option),
  ttl: Config.Duration("TTL").pipe(Config.option),
  interval: Config.Duration("POLL_INTERVAL").pipe(Config.withDefault(Duration.millis(100))),
  times: Config.schema(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0)),
    "POLL_TIMES"
  ).pipe(Config.withDefault(200)),
  renew: Config.schema(Schema.Union([Schema.Literal("false"), Schema.DurationFromString]), "RENEW_EVERY").pipe(
    Config.option
  ),
  besideDex: Config.Boolean("SHARED_WITH_DEX").pipe(Config.option)
}).pipe(
  Config.nested("KUBELOCK"),
  Config.mapEffect((given) => {
    const renew = Option.getOrUndefined(given.renew)
    const policy = assemble({
      annotation: Option.getOrUndefined(given.key),
      ttl: Option.getOrUndefined(given.ttl),
      waitSchedule: fixedPolls(given.interval, given.times),
      renewEvery: renew === "false" ? false : renew,
      sharedWithDex: Option.getOrUndefined(given.besideDex)
    })
    const problem = problemOf(policy)
    return problem === undefined
      ? Effect.succeed(policy)
      : Effect.fail(new Config.ConfigError(new ConfigProvider.SourceError({ message: problem })))
  })
)

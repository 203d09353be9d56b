/**
 * How long a lock lasts and how long a contender waits for it.
 *
 * **Details**
 *
 * The defaults are the constants of Dex: a TTL of 10 seconds, and 200 polls at intervals of 100 ms after the first attempt.
 * There is one difference: a lock is renewed while it is held. `renewEvery: false` gives Dex's fixed lease.
 *
 * Every timing rule is checked when a policy is made: `make` throws a `RangeError`, `config` fails with a
 * `ConfigError`.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as settings from "./internal/settings.ts"
import * as durationText from "./internal/time/durationText.ts"
import { leaseRange } from "./internal/time/leaseRange.ts"

/**
 * When a contender polls and when it gives up: any schedule that cannot fail. Its input is the outcome of the last
 * attempt.
 */
export type WaitSchedule = Schedule.Schedule<unknown, unknown>

/** How long a lock lasts and how long a contender waits for it. */
export interface LockPolicy {
  /**
   * The annotation that is the lock. `undefined` means: as the resource says. `dexAnnotation` and `neutralAnnotation`
   * are two names of one lock, any other annotation is a lock of its own (`LockKind.exclusive`).
   */
  readonly annotation: string | undefined
  /** How long a lease lasts. */
  readonly ttl: Duration.Duration
  /**
   * Its end is the end of the wait. It runs by the clock, also while a request is under way: steps that a slow
   * request outlasts are over. A contender that can watch the object makes no request at its steps. A contender that
   * cannot watch tries again at each step.
   */
  readonly waitSchedule: WaitSchedule
  /** The interval of renewals, or `false` for no renewal. */
  readonly renewEvery: Duration.Duration | false
  /**
   * How long after its last renewal a holder that could not renew gives the lock up, at most the TTL. The rest of the
   * TTL is left for what the holder has to end before another process may have the lock. (client-go's term.)
   */
  readonly renewDeadline: Duration.Duration
  /**
   * Whether Dex contends for the same objects. If so, a lock in demand is left free from time to time, for long
   * enough that Dex sees it. `undefined` means: as the resource says.
   */
  readonly sharedWithDex: boolean | undefined
  /**
   * How long a holder means to hold the lock. One that holds it for longer goes on; a line of log says so, and
   * `LockMetrics.overdue` counts it until it ends. `undefined` means: for any time.
   */
  readonly expectedHold: Duration.Duration | undefined
  /** Whether the process holds its locks under one session, which is renewed in their place. */
  readonly session: boolean
}

/**
 * What one acquisition can change in the policy of its layer. The annotation is always that of the layer.
 *
 * What is left out stays as the layer has it (`withOverrides`). The defaults named here are those of a new policy (`make`).
 */
export interface Overrides {
  /** How long a lease lasts: 10 seconds by default, from 1 second to 1 day. Expiries are written in whole seconds. */
  readonly ttl?: Duration.Input | undefined
  /** When a contender gives up: see `LockPolicy`. `dexWaitSchedule` by default, about 20 seconds. */
  readonly waitSchedule?: WaitSchedule | undefined
  /**
   * The interval of renewals, or `false` for a lease that nothing renews: at least 1 ms and at most half the TTL. The
   * default is a third of the TTL.
   */
  readonly renewEvery?: Duration.Input | false | undefined
  /**
   * How long after its last renewal a holder gives the lock up: at least `renewEvery`, and at most the TTL, which is
   * the default.
   */
  readonly renewDeadline?: Duration.Input | undefined
  /** How long a holder means to hold the lock, from 1 ms to 365 days: see `LockPolicy`. By default for any time. */
  readonly expectedHold?: Duration.Input | undefined
}

/** The options of a policy. The defaults are Dex's, and the annotation of the resource. */
export interface Options extends Overrides {
  /**
   * The annotation that is the lock: a Kubernetes annotation key with room for the suffixes of `LockQueue`, at most
   * 44 characters after the slash. The default is the key that the resource carries.
   */
  readonly annotation?: string | undefined
  /** Whether Dex contends for the same objects. The default is what the resource says. */
  readonly sharedWithDex?: boolean | undefined
  /**
   * Whether locks are held under a session, off by default. The session lasts for the TTL, and has no effect on locks
   * that Dex shares, on semaphores and on shared locks.
   */
  readonly session?: boolean | undefined
}

/** The annotation that Dex uses as its lock: the default on objects that Dex locks too. */
export const dexAnnotation = "dexidp.com/resource-lock"

/** The default annotation on all other objects. */
export const neutralAnnotation = "kubelock.dev/lock"

/** A schedule of `times` polls at intervals of `interval`, after the first attempt. */
export const fixedPolls = (interval: Duration.Input, times: number): WaitSchedule =>
  Schedule.spaced(interval).pipe(Schedule.upTo({ times }))

const dexPollInterval = Duration.millis(100)
const dexPolls = 200

/** The wait schedule of Dex: 200 polls at intervals of 100 ms, about 20 seconds in all. */
export const dexWaitSchedule: WaitSchedule = fixedPolls(dexPollInterval, dexPolls)

const assemble = (options: Options): LockPolicy => {
  const ttl = Duration.fromInputUnsafe(options.ttl ?? "10 seconds")
  return {
    annotation: options.annotation,
    ttl,
    waitSchedule: options.waitSchedule ?? dexWaitSchedule,
    renewEvery:
      options.renewEvery === false
        ? false
        : Duration.fromInputUnsafe(options.renewEvery ?? Duration.divideUnsafe(ttl, 3)),
    renewDeadline: Duration.fromInputUnsafe(options.renewDeadline ?? ttl),
    sharedWithDex: options.sharedWithDex,
    expectedHold: options.expectedHold === undefined ? undefined : Duration.fromInputUnsafe(options.expectedHold),
    session: options.session ?? false
  }
}

const checked = (policy: LockPolicy): LockPolicy => {
  const problem = problemOf(policy)
  if (problem !== undefined) throw new RangeError(`LockPolicy: ${problem}`)
  return policy
}

const problemOf = (
  { annotation, expectedHold, renewDeadline, renewEvery, ttl }: LockPolicy,
  names = { annotation: "annotation", ttl: "ttl", renewEvery: "renewEvery", expectedHold: "expectedHold" }
): string | undefined => {
  if (annotation !== undefined && !annotationKey.test(annotation)) {
    return `${names.annotation} must be an annotation key like "example.com/lock", with at most 44 characters after the slash, but is ${JSON.stringify(annotation)}`
  }
  if (!Duration.between(ttl, leaseRange)) {
    return `${names.ttl} must be from 1 second to 1 day, but is ${Duration.format(ttl)}`
  }
  if (
    renewEvery !== false &&
    !Duration.between(renewEvery, { minimum: Duration.millis(1), maximum: Duration.divideUnsafe(ttl, 2) })
  ) {
    return `${names.renewEvery} must be at least 1 ms and at most half the TTL of ${Duration.format(ttl)}, but is ${Duration.format(renewEvery)}`
  }
  const shortestDeadline = renewEvery === false ? Duration.millis(1) : renewEvery
  if (!Duration.between(renewDeadline, { minimum: shortestDeadline, maximum: ttl })) {
    return `renewDeadline must be at most the TTL of ${Duration.format(ttl)} and at least ${Duration.format(shortestDeadline)}, but is ${Duration.format(renewDeadline)}`
  }
  if (
    expectedHold !== undefined &&
    !Duration.between(expectedHold, { minimum: Duration.millis(1), maximum: longest })
  ) {
    return `${names.expectedHold} must be from 1 ms to 365 days, but is ${Duration.format(expectedHold)}`
  }
  return undefined
}

const longest = Duration.days(365)

// Kubernetes allows 63 characters after the slash. "-queue-" and a process ID take 19 of them.
const annotationKey =
  /^(?=.{1,253}\/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]([-A-Za-z0-9_.]{0,42}[A-Za-z0-9])?$/

/** Makes a policy. Throws a `RangeError` if a value is outside the limits that its field names. */
export const make = (options: Options = {}): LockPolicy => checked(assemble(options))

/**
 * The policy with some values replaced. Checks them as `make` does.
 *
 * A new `ttl` without a new `renewEvery` sets `renewEvery` to a third of the TTL, unless renewal is off. Without a new
 * `renewDeadline` it sets that to the TTL.
 */
export const withOverrides = (self: LockPolicy, overrides: Overrides): LockPolicy => {
  const { expectedHold, renewDeadline, renewEvery, ttl, waitSchedule } = overrides
  // Each acquisition asks, and most replace nothing.
  if ((expectedHold ?? renewDeadline ?? renewEvery ?? ttl ?? waitSchedule) === undefined) return self
  return checked(
    assemble({
      annotation: self.annotation,
      sharedWithDex: self.sharedWithDex,
      expectedHold: expectedHold ?? self.expectedHold,
      session: self.session,
      ttl: ttl ?? self.ttl,
      waitSchedule: waitSchedule ?? self.waitSchedule,
      renewEvery: renewEvery ?? (ttl === undefined || self.renewEvery === false ? self.renewEvery : undefined),
      renewDeadline: renewDeadline ?? (ttl === undefined ? self.renewDeadline : undefined)
    })
  )
}

/** The TTL of a lease that nothing renews. Throws a `RangeError` if it is not from 1 second to 1 day. */
export const fixedTtl = (ttl: Duration.Input): Duration.Duration => make({ ttl, renewEvery: false }).ttl

/** The constants of Dex, with renewal, and the annotation of the resource. This is the default of every layer. */
export const standard: LockPolicy = make()

/** The same with Dex's annotation on any resource, as in versions that had no other default. */
export const dex: LockPolicy = make({ annotation: dexAnnotation })

/**
 * The policy from the configuration. All variables are optional: `KUBELOCK_ANNOTATION`, `KUBELOCK_TTL`,
 * `KUBELOCK_POLL_INTERVAL`, `KUBELOCK_POLL_TIMES`, `KUBELOCK_RENEW_EVERY`, `KUBELOCK_SHARED_WITH_DEX`, `KUBELOCK_EXPECTED_HOLD`,
 * `KUBELOCK_SESSION`.
 *
 * Durations are written as `500ms`, `10s`, `1m30s` or `10 seconds`. `KUBELOCK_RENEW_EVERY=false` turns renewal off.
 */
export const config: Config.Config<LockPolicy> = Config.all({
  annotation: settings.text("ANNOTATION"),
  ttl: settings.duration("TTL"),
  pollInterval: settings.duration("POLL_INTERVAL"),
  pollTimes: settings.setting("POLL_TIMES", "a whole number such as 200", (text) =>
    /^\d{1,9}$/.test(text.trim()) ? Option.some(Number(text)) : Option.none()
  ),
  renewEvery: settings.setting<Duration.Duration | false>("RENEW_EVERY", `false, or ${durationText.expected}`, (text) =>
    text.trim() === "false" ? Option.some(false) : durationText.parse(text)
  ),
  sharedWithDex: settings.toggle("SHARED_WITH_DEX"),
  expectedHold: settings.duration("EXPECTED_HOLD"),
  session: settings.toggle("SESSION")
}).pipe(
  Config.mapEffect((given) => {
    const policy = assemble({
      annotation: Option.getOrUndefined(given.annotation),
      ttl: Option.getOrUndefined(given.ttl),
      waitSchedule: fixedPolls(
        Option.getOrElse(given.pollInterval, () => dexPollInterval),
        Option.getOrElse(given.pollTimes, () => dexPolls)
      ),
      renewEvery: Option.getOrUndefined(given.renewEvery),
      sharedWithDex: Option.getOrUndefined(given.sharedWithDex),
      expectedHold: Option.getOrUndefined(given.expectedHold),
      session: Option.getOrUndefined(given.session)
    })
    const wrong = problemOf(policy, variables)
    return wrong === undefined ? Effect.succeed(policy) : Effect.fail(settings.problem(wrong))
  })
)

const variables = {
  annotation: "KUBELOCK_ANNOTATION",
  ttl: "KUBELOCK_TTL",
  renewEvery: "KUBELOCK_RENEW_EVERY",
  expectedHold: "KUBELOCK_EXPECTED_HOLD"
}

/**
 * The leader election of Kubernetes' Go client as `k8s.io/client-go/tools/leaderelection` 0.36.4 has it, with its defects. Tests
 * run kubelock beside it.
 *
 * **Details**
 *
 * - A candidate looks at the Lease, waits for the retry period, lengthened at random by up to 120 percent, and looks again. It
 *   never watches.
 * - A Lease is free if its holder's name is empty, or if the record was seen unchanged for its own duration on the candidate's
 *   monotonic clock. Times in the record are not trusted, and count with whole seconds as to whether it changed.
 * - A leader renews every retry period with one PUT under the version that it knows. If that fails it looks, and then writes.
 * - A leader leads on for the renew deadline while it cannot renew, even if it sees that somebody else holds the Lease.
 * - A leader whose name was removed from the Lease takes it again. Its application is not told.
 * - A release looks at the Lease and empties it. It trusts what the elector saw before it looked, so that a late release empties
 *   the Lease of a successor. Until it has ended the application leads on, unless it was asked to stop.
 * - A candidate that is asked to stop while its write is under way does not release what the write took.
 * - A PUT replaces the whole spec, and keeps metadata.
 *
 * It runs on the clock in context. Interruption is the end of the Go context. Left out: the rate limit of the Go client (5 requests
 * a second), and coordinated leader election.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as ClockReading from "../../internal/time/clockReading.ts"
import * as rfc3339 from "../../internal/time/rfc3339.ts"

/** The spec of a Lease (`coordination.k8s.io/v1`). Times have six decimals (MicroTime). */
export interface LeaseSpec {
  readonly holderIdentity?: string | undefined
  readonly leaseDurationSeconds?: number | undefined
  readonly acquireTime?: string | undefined
  readonly renewTime?: string | undefined
  readonly leaseTransitions?: number | undefined
  readonly strategy?: string | undefined
  readonly preferredHolder?: string | undefined
}

/** A Lease as the API server answers it. */
export interface Lease {
  readonly resourceVersion: string
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly spec: LeaseSpec
}

/**
 * The requests of an elector, all for one Lease. As in Go, the client bounds their time (`requestTimeout`), and the elector only
 * ends what is under way at its deadlines.
 *
 * - `get`: `None` if there is no such Lease.
 * - `create`: makes it, with no metadata of its own. Fails if it is there.
 * - `update`: replaces annotations, labels and the whole spec. Fails if the Lease has another resourceVersion.
 */
export interface LeaseApi {
  readonly get: Effect.Effect<Option.Option<Lease>, LeaseError>
  readonly create: (spec: LeaseSpec) => Effect.Effect<Lease, LeaseError>
  readonly update: (lease: Lease) => Effect.Effect<Lease, LeaseError>
}

/** A request that failed, for whatever reason: the elector does not distinguish. */
export class LeaseError extends Schema.Error<LeaseError>("kubelock/testing/clientGo/LeaseError")({
  _tag: Schema.tag("LeaseError"),
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** The settings of an elector, called as in Go. */
export interface Options {
  readonly identity: string
  readonly leaseDuration: Duration.Duration
  readonly renewDeadline: Duration.Duration
  readonly retryPeriod: Duration.Duration
  readonly releaseOnCancel: boolean
}

/** The timings of Kubernetes' own components. */
export const defaults = {
  leaseDuration: Duration.seconds(15),
  renewDeadline: Duration.seconds(10),
  retryPeriod: Duration.seconds(2)
} as const

/** The time-out of the requests of the client that Go's `resourcelock.NewFromKubeconfig` makes. */
export const requestTimeout = (renewDeadline: Duration.Duration): Duration.Duration =>
  Duration.max(Duration.seconds(1), Duration.divideUnsafe(renewDeadline, 2))

/**
 * What an elector calls.
 *
 * - `onStartedLeading`: runs beside the elector, and is interrupted when the leading context ends.
 * - `onStoppedLeading`: when the elector ends, even if it never led.
 * - `onNewLeader`: when it saw another leader than before.
 */
export interface Callbacks {
  readonly onStartedLeading: Effect.Effect<void>
  readonly onStoppedLeading?: Effect.Effect<void>
  readonly onNewLeader?: (identity: string) => Effect.Effect<void>
}

const jitterFactor = 1.2

/** Campaigns until it leads, and leads until it cannot renew. An elector runs once. */
export const run = (api: LeaseApi, options: Options, callbacks: Callbacks): Effect.Effect<void> =>
  Effect.suspend(() => {
    const elector = make(api, options, callbacks.onNewLeader ?? (() => Effect.void))
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        yield* restore(elector.acquire)
        const leading = yield* Effect.forkDetach(restore(callbacks.onStartedLeading), { startImmediately: true })
        const endContext = Effect.sync(() => leading.interruptUnsafe())
        yield* restore(elector.renew).pipe(
          Effect.onInterrupt(() => endContext),
          Effect.ensuring(options.releaseOnCancel ? elector.release : Effect.void),
          Effect.ensuring(endContext)
        )
      })
    ).pipe(Effect.ensuring(callbacks.onStoppedLeading ?? Effect.void))
  })

/** The record with the fields that the elector writes. */
interface ElectionRecord {
  readonly holderIdentity: string
  readonly leaseDurationSeconds: number
  readonly acquireTime: string | undefined
  readonly renewTime: string | undefined
  readonly leaseTransitions: number
}

const make = (api: LeaseApi, options: Options, onNewLeader: (identity: string) => Effect.Effect<void>) => {
  const renewDeadline = Duration.toMillis(options.renewDeadline)
  const retryPeriod = Duration.toMillis(options.retryPeriod)
  const leaseDurationSeconds = Math.floor(Duration.toSeconds(options.leaseDuration))

  // What the elector and its lock remember.
  let lease: Lease | undefined
  let observed: ElectionRecord = recordOf({})
  let observedRaw: string | undefined
  let observedAt = Number.NEGATIVE_INFINITY
  let reported = ""

  const observe = (record: ElectionRecord) =>
    Effect.map(ClockReading.now, ({ monotonic }) => {
      observed = record
      observedAt = monotonic
    })
  const isLeader = () => observed.holderIdentity === options.identity
  const isLeaseValid = ({ monotonic }: ClockReading.ClockReading) =>
    observedAt + observed.leaseDurationSeconds * 1000 > monotonic

  const get = Effect.tap(api.get, (found) => {
    if (Option.isSome(found)) lease = found.value
    return Effect.void
  })
  const write = (request: Effect.Effect<Lease, LeaseError>, record: ElectionRecord) =>
    request.pipe(
      Effect.tap((written) => {
        lease = written
        return observe(record)
      }),
      Effect.as(true),
      Effect.orElseSucceed(() => false)
    )
  const update = (record: ElectionRecord) =>
    Effect.suspend(() =>
      lease === undefined ? Effect.succeed(false) : write(api.update({ ...lease, spec: record }), record)
    )

  const tryAcquireOrRenew: Effect.Effect<boolean> = Effect.gen(function* () {
    const now = yield* ClockReading.now
    const time = rfc3339.formatMicros(now.wall)
    let record: ElectionRecord = {
      holderIdentity: options.identity,
      leaseDurationSeconds,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: 0
    }
    if (isLeader() && isLeaseValid(now)) {
      const { acquireTime, leaseTransitions } = observed
      record = { ...record, acquireTime, leaseTransitions }
      if (yield* update(record)) return true
    }
    const found = yield* Effect.option(get)
    if (Option.isNone(found)) return false
    if (Option.isNone(found.value)) return yield* write(api.create(record), record)
    const old = recordOf(found.value.value.spec)
    const raw = rawOf(found.value.value.spec)
    if (raw !== observedRaw) {
      yield* observe(old)
      observedRaw = raw
    }
    if (old.holderIdentity !== "" && isLeaseValid(now) && !isLeader()) return false
    return yield* update(
      isLeader()
        ? { ...record, acquireTime: old.acquireTime, leaseTransitions: old.leaseTransitions }
        : { ...record, leaseTransitions: old.leaseTransitions + 1 }
    )
  })

  const reportTransition = Effect.suspend(() => {
    if (observed.holderIdentity === reported) return Effect.void
    reported = observed.holderIdentity
    return onNewLeader(reported)
  })

  const acquire = Effect.gen(function* () {
    while (true) {
      const succeeded = yield* tryAcquireOrRenew
      yield* reportTransition
      if (succeeded) return
      yield* Effect.sleep(Duration.millis(retryPeriod * (1 + jitterFactor * (yield* Random.next))))
    }
  })

  // Attempts at each tick until one succeeds. A tick that passes during an attempt is due at its end.
  const renewUntil = (began: number) =>
    Effect.gen(function* () {
      for (let tick = began + retryPeriod; !(yield* tryAcquireOrRenew);) {
        yield* Effect.sleep(Duration.millis(Math.max(0, tick - (yield* ClockReading.now).monotonic)))
        const { monotonic } = yield* ClockReading.now
        if (monotonic - began >= renewDeadline) return yield* Effect.never
        tick = began + (Math.floor((monotonic - began) / retryPeriod) + 1) * retryPeriod
      }
    })

  const renew = Effect.gen(function* () {
    while (true) {
      const began = yield* ClockReading.now
      const renewed = yield* Effect.timeoutOption(renewUntil(began.monotonic), options.renewDeadline)
      yield* reportTransition
      if (Option.isNone(renewed)) return
      yield* Effect.sleep(options.retryPeriod)
    }
  })

  const release = Effect.gen(function* () {
    const found = yield* get
    if (Option.isNone(found) || !isLeader()) return
    const time = rfc3339.formatMicros((yield* ClockReading.now).wall)
    yield* update({
      holderIdentity: "",
      leaseDurationSeconds: 1,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: recordOf(found.value.spec).leaseTransitions
    })
  }).pipe(Effect.timeoutOption(options.renewDeadline), Effect.ignore)

  return { acquire, renew, release }
}

// What is absent counts as empty or zero.
const recordOf = (spec: LeaseSpec): ElectionRecord => ({
  holderIdentity: spec.holderIdentity ?? "",
  leaseDurationSeconds: spec.leaseDurationSeconds ?? 0,
  acquireTime: spec.acquireTime,
  renewTime: spec.renewTime,
  leaseTransitions: spec.leaseTransitions ?? 0
})

/** What a change is judged by: the record with whole seconds. */
const rawOf = (spec: LeaseSpec): string => {
  const { acquireTime, holderIdentity, leaseDurationSeconds, leaseTransitions, renewTime } = recordOf(spec)
  return JSON.stringify([
    holderIdentity,
    leaseDurationSeconds,
    wholeSeconds(acquireTime),
    wholeSeconds(renewTime),
    leaseTransitions,
    spec.strategy ?? "",
    spec.preferredHolder ?? ""
  ])
}

const wholeSeconds = (time: string | undefined): string | undefined => time?.replace(/\.\d+/, "")

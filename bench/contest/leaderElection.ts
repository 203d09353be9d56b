/**
 * A lock as the leader election of Kubernetes' Go client takes one, written from its documented algorithm.
 *
 * **Details**
 *
 * - A candidate reads the Lease. If another process holds it, and has changed it within the lease's duration by the
 *   candidate's own clock, the candidate waits. Otherwise it writes itself as the holder: a PUT of the whole Lease under
 *   the version that it read.
 * - It tries again after the retry period, lengthened at random by up to 120 percent.
 * - A leader renews every retry period, and gives up once that failed for the renew deadline.
 * - A leader that ends voluntarily reads the Lease and empties the holder's name (`ReleaseOnCancel`): a GET and a PUT.
 *
 * Two things favor the peer. The first renewal waits for a retry period instead of following the acquisition at once.
 * Candidates have no rate limit; the Go client has one by default (5 requests a second).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as rfc3339 from "../../src/internal/time/rfc3339.ts"
import { KubernetesClient } from "../../src/KubernetesClient.ts"
import type { Refusal } from "../../src/cli/bench/contest/contest.ts"

/** How long a lease lasts, how long a leader tries to renew it, and the pause between attempts. */
export interface Timings {
  readonly leaseDuration: Duration.Duration
  readonly renewDeadline: Duration.Duration
  readonly retryPeriod: Duration.Duration
}

/** The shortest timings. A Lease counts whole seconds. A shorter retry period would only cost the server more. */
export const fastest: Timings = {
  leaseDuration: Duration.seconds(1),
  renewDeadline: Duration.millis(500),
  retryPeriod: Duration.millis(10)
}

const jitter = 1.2

const Lease = Schema.StructWithRest(
  Schema.Struct({
    metadata: Schema.Record(Schema.String, Schema.Unknown),
    spec: Schema.StructWithRest(
      Schema.Struct({
        holderIdentity: Schema.optional(Schema.String),
        leaseDurationSeconds: Schema.optional(Schema.Finite),
        leaseTransitions: Schema.optional(Schema.Finite)
      }),
      [Schema.Record(Schema.String, Schema.Unknown)]
    )
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

const decode = Schema.decodeEffect(Schema.fromJsonString(Lease))

/** The Lease, which must exist, and the timings. */
export interface Options {
  readonly namespace: string
  readonly name: string
  readonly timings: Timings
}

/** Makes a candidate. The answer becomes the leader, and stays the leader until the scope closes. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const client = yield* KubernetesClient
  const { timings } = options
  const path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases/${options.name}`
  const leaseMillis = Duration.toMillis(timings.leaseDuration)
  const limits = { timeoutMillis: Duration.toMillis(timings.renewDeadline), maxBytes: 1 << 20 }

  /** The Lease in the server's answer: `undefined` if the condition of a write did not hold. */
  const ask = Effect.fnUntraced(function* (method: "GET" | "PUT", body?: string) {
    const headers = { "content-type": "application/json" }
    const answer = yield* client.request(
      body === undefined ? { method, path, headers } : { method, path, headers, body },
      limits
    )
    if (answer.status === 409) return undefined
    if (answer.status !== 200) return yield* Effect.fail(new Error(`${method} ${path}: ${answer.status}`))
    return { lease: yield* decode(answer.body), text: answer.body }
  })

  const put = (lease: typeof Lease.Type) => ask("PUT", JSON.stringify(lease))

  return Effect.gen(function* () {
    const identity = crypto.randomUUID()
    const observed = { text: "", at: 0 }

    const attempt = Effect.gen(function* () {
      const found = yield* ask("GET")
      if (found === undefined) return undefined
      const now = yield* Clock.currentTimeMillis
      if (found.text !== observed.text) Object.assign(observed, { text: found.text, at: now })
      const { spec } = found.lease
      const held = (spec.holderIdentity ?? "") !== ""
      if (held && observed.at + (spec.leaseDurationSeconds ?? 0) * 1000 > now) return undefined
      return yield* put({
        ...found.lease,
        spec: {
          ...spec,
          holderIdentity: identity,
          leaseDurationSeconds: Math.floor(leaseMillis / 1000),
          leaseTransitions: (spec.leaseTransitions ?? 0) + 1,
          acquireTime: rfc3339.formatMicros(now),
          renewTime: rfc3339.formatMicros(now)
        }
      })
    }).pipe(Effect.orElseSucceed(() => undefined))

    const pause = Effect.flatMap(Random.next, (random) =>
      Effect.sleep(Duration.times(timings.retryPeriod, 1 + jitter * random))
    )

    let leader: typeof Lease.Type | undefined
    const campaign = Effect.gen(function* () {
      while (leader === undefined) {
        leader = (yield* Effect.uninterruptible(attempt))?.lease
        if (leader === undefined) yield* pause
      }
    })

    const renew = Effect.gen(function* () {
      if (leader === undefined) return
      const now = yield* Clock.currentTimeMillis
      const renewed = yield* put({ ...leader, spec: { ...leader.spec, renewTime: rfc3339.formatMicros(now) } })
      if (renewed !== undefined) leader = renewed.lease
    }).pipe(Effect.ignore, Effect.uninterruptible, Effect.repeat(Schedule.spaced(timings.retryPeriod)))

    const release = Effect.gen(function* () {
      if (leader === undefined) return
      const found = yield* ask("GET")
      if (found === undefined) return
      const now = yield* Clock.currentTimeMillis
      yield* put({
        ...found.lease,
        spec: {
          leaseTransitions: found.lease.spec.leaseTransitions,
          leaseDurationSeconds: 1,
          acquireTime: rfc3339.formatMicros(now),
          renewTime: rfc3339.formatMicros(now)
        }
      })
    }).pipe(Effect.ignore)

    yield* Effect.acquireRelease(campaign, () => release, { interruptible: true })
    yield* Effect.forkScoped(Effect.delay(renew, timings.retryPeriod))
  }) satisfies Effect.Effect<void, Refusal, Scope.Scope>
})

/** Kubernetes' MicroTime: exactly six decimals. */

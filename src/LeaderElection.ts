/**
 * Leader election on a Lease, beside controllers in Go: one of several replicas leads, the others stand by.
 *
 * The record is that of client-go (`coordination.k8s.io/v1`), so processes of both kinds can be candidates for one Lease. What
 * elects is the engine of `Lock`: candidates that are kubelocks form a queue, and a leader that ends or steps down hands the
 * Lease over to the first of them, which leads within milliseconds.
 *
 * **Details**
 *
 * - `lead` runs an effect while this process leads, and campaigns again after a loss. `scoped` is one term. `observe` tells who
 *   leads.
 * - A candidate watches the Lease, and makes no request while somebody leads.
 * - A Lease that client-go holds is never written to. It counts as expired by client-go's own rule: if it was seen unchanged for
 *   as long as it says, by the clock of this machine. Times that client-go wrote are not trusted.
 * - A Lease that a kubelock holds expires by the API server's clock, so that a candidate that has just started need not wait.
 * - A leader is sure of its term up to the renew deadline. `Term.fencingToken` grows from term to term, also if a controller in Go
 *   led between them.
 * - Each term has a holder identity of its own: the identity of the process, and what makes it unique. Fibers of one process that
 *   follow each other at once share it; only the fencing token tells their terms apart.
 *
 * **Gotchas**
 *
 * - As with client-go, two leaders can overlap: a process that is suspended does not know that its term is over, and a client-go that
 *   lost its Lease leads on up to its renew deadline. Send the fencing token with each write where that matters.
 * - A client-go that releases late can empty the Lease of its successor (a defect of client-go). A leader of this library then fails
 *   with `LockLost`, reason `Removed`, and `lead` campaigns again.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ElectionMetrics from "./ElectionMetrics.ts"
import * as ElectionTiming from "./ElectionTiming.ts"
import type { Held } from "./Held.ts"
import * as settings from "./internal/settings.ts"
import * as ClockReading from "./internal/time/clockReading.ts"
import { quiet } from "./internal/tracing.ts"
import type { KubernetesClient } from "./KubernetesClient.ts"
import * as Lock from "./Lock.ts"
import * as LockError from "./LockError.ts"
import * as LockPolicy from "./LockPolicy.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as ObjectStoreKubernetes from "./ObjectStoreKubernetes.ts"
import * as ObjectStoreMemory from "./ObjectStoreMemory.ts"
import * as Resource from "./Resource.ts"

/** One term of this process as leader. */
export interface Term {
  /** Of the Lease. */
  readonly name: string
  /** The holder identity on the Lease. */
  readonly identity: string
  /** Greater than that of every earlier term, whoever led. */
  readonly fencingToken: bigint
  /** Whether this process leads, by its clocks and what it knows. Makes no request. */
  readonly isValid: Effect.Effect<boolean>
  /** Fails with `LockLost` when the term is over; never succeeds. After a step-down its reason is `Released`. */
  readonly lost: Effect.Effect<never, LockError.Lost>
  /**
   * Runs an effect. If the term is over, it interrupts the effect and fails with `LockLost`. It also fails if the
   * term was over before the effect finished, as in a process that was suspended.
   */
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LockError.Lost, R>
  /** Ends the term, and leaves the election to others for a moment. */
  readonly stepDown: Effect.Effect<void>
}

/**
 * The leader as the Lease names it.
 *
 * A leader that crashed is named until somebody follows it.
 */
export interface Leader {
  /** Its holder identity. */
  readonly identity: string
  /** When it began to lead, if the Lease says so. */
  readonly since: Option.Option<DateTime.Utc>
  /** How often the Lease has changed hands. It begins again at 0 if the Lease is deleted. */
  readonly transitions: number
}

/** Service tag of elections. Its operations are also functions of this module. */
export class LeaderElection extends Context.Service<
  LeaderElection,
  {
    readonly scoped: (name: string) => Effect.Effect<Term, LockError.StoreError, Scope.Scope>
    readonly observe: (name: string) => Stream.Stream<Option.Option<Leader>, LockError.StoreError>
  }
>()("kubelock/LeaderElection") {}

/** Options of elections. */
export interface Options {
  /** Client-go's defaults by default. */
  readonly timing?: ElectionTiming.ElectionTiming | undefined
  /**
   * How this process is called on the Lease; `HOSTNAME` or `kubelock` by default. The library adds what makes it
   * unique.
   */
  readonly identity?: string | undefined
  /**
   * Whether an Event tells of each beginning and end of a term (`kubectl describe lease`), as client-go does. On by
   * default. It needs the RBAC verb `create` on events; a refusal is logged once.
   */
  readonly announces?: boolean | undefined
}

/**
 * Waits until this process leads, and leads until the scope closes. Then the Lease goes to the next candidate.
 *
 * It waits for as long as it takes. Fails with what no repetition mends, such as `LockForbidden`.
 */
export const scoped = (name: string): Effect.Effect<Term, LockError.StoreError, LeaderElection | Scope.Scope> =>
  Effect.flatMap(LeaderElection, (elections) => elections.scoped(name))

/** What a leader does: an effect, or a function that makes it from the term. */
export type Work<A, E, R> = Effect.Effect<A, E, R> | ((term: Term) => Effect.Effect<A, E, R>)

/**
 * Runs an effect while this process leads.
 *
 * If the term is over, by a loss or a step-down, it interrupts the effect and campaigns again, for as long as it takes. It ends
 * when the effect ends by itself, with its result, and hands the Lease over. Within the effect, `Term.stepDown` returns at once,
 * and the effect is interrupted.
 *
 * Fails with the error of the effect, and with what no repetition mends, such as `LockForbidden`.
 */
export const lead =
  (name: string) =>
  <A, E, R>(work: Work<A, E, R>): Effect.Effect<A, E | LockError.StoreError, R | LeaderElection> =>
    Effect.flatMap(LeaderElection, (elections) => {
      const term = Effect.scopedWith((scope) =>
        Effect.gen(function* () {
          const term = yield* Scope.provide(elections.scoped(name), scope)
          const stop = yield* Deferred.make<void>()
          const own = { ...term, stepDown: Effect.asVoid(Deferred.succeed(stop, undefined)) }
          const over = Effect.catch(term.lost, () => Effect.succeedNone)
          const stopped = Effect.as(Deferred.await(stop), Option.none<A>())
          const done = Effect.asSome(Effect.isEffect(work) ? work : Effect.suspend(() => work(own)))
          const result = yield* Effect.raceFirst(done, Effect.raceFirst(over, stopped))
          if (Deferred.isDoneUnsafe(stop)) yield* term.stepDown
          return result
        })
      )
      return Effect.map(Effect.repeat(term, { while: Option.isNone }), (result) => (result as Option.Some<A>).value)
    })

/** Tells who leads: now, and whenever that changes. It only reads, and does not take part. */
export const observe = (name: string): Stream.Stream<Option.Option<Leader>, LockError.StoreError, LeaderElection> =>
  Stream.unwrap(Effect.map(LeaderElection, (elections) => elections.observe(name)))

/** The annotation from which the names of the annotations and of the label of an election's queue derive. */
const key = "kubelock.dev/leader"

/** By how much client-go stretches its retry period at random, at most. */
const longestRetry = 2.2

/**
 * Makes elections over the store in context, which must be one of Leases that includes their content. When the scope closes,
 * hand-overs that are under way end first.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<LeaderElection["Service"], never, ObjectStore | Scope.Scope> {
  // What only elections need is loaded with the first one.
  const { electionStore, leader } = yield* Effect.promise(() => import("./internal/election/operations.ts"))
  const leases = yield* ObjectStore
  const { leaseDuration, renewDeadline, retryPeriod } = options.timing ?? ElectionTiming.make()
  const announcements = yield* FiberSet.make<void>()
  yield* Effect.addFinalizer(() => FiberSet.awaitEmpty(announcements))
  const store = electionStore.make(leases, {
    key,
    leaseDuration: Math.ceil(Duration.toSeconds(leaseDuration)),
    onSlowPath: (name) => Metric.update(named(ElectionMetrics.slowPath, name), 1),
    onLongLease: (name, holder, seconds) =>
      quiet(
        Effect.logWarning(
          `${leases.describe(name)} is held by ${holder} for ${seconds} s after each renewal. If ${holder} is gone, empty spec.holderIdentity: nobody else can lead before.`
        )
      )
  })
  const policy = LockPolicy.make({
    annotation: key,
    ttl: leaseDuration,
    renewEvery: Duration.min(retryPeriod, Duration.divideUnsafe(leaseDuration, 2)),
    renewDeadline,
    waitSchedule: Schedule.spaced(retryPeriod)
  })
  const lock = yield* Lock.makeOf(electionStore.kind(key), { policy, identity: options.identity }).pipe(
    Effect.provideService(ObjectStore, store)
  )
  let hasRefused = options.announces === false

  // When this process stepped down, on its monotonic clock in milliseconds.
  const steppedDown = new Map<string, number>()

  const announce = ({ holderId, id, snapshot }: Held, message: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (hasRefused) return Effect.void
      const news = { reason: "LeaderElection", message: `${holderId} ${message}`, reporter: holderId.split("/")[0]! }
      const told = Effect.catch(leases.announce(id, snapshot, news), (error) =>
        Effect.suspend(() => {
          if (error._tag === "LockUnavailable" || hasRefused) return Effect.void
          hasRefused = true
          return quiet(Effect.logInfo(`Who leads is not announced as an Event. ${error.message}`))
        })
      )
      return Effect.asVoid(FiberSet.run(announcements, told))
    })

  // A client-go with the same times has looked by then.
  const leaveToOthers = (name: string) =>
    Effect.flatMap(ClockReading.now, ({ monotonic }) => {
      const until = (steppedDown.get(name) ?? Number.NEGATIVE_INFINITY) + longestRetry * Duration.toMillis(retryPeriod)
      return until <= monotonic ? Effect.void : Effect.sleep(Duration.millis(until - monotonic))
    })

  const begin = (name: string, held: Held, scope: Scope.Closeable): Effect.Effect<Term> =>
    Effect.gen(function* () {
      const over = yield* Deferred.make<never, LockError.Lost>()
      const status = named(ElectionMetrics.masterStatus, name)
      const startedAt = yield* ClockReading.now
      let isOver = false
      const end = Effect.suspend(() => {
        if (isOver) return Effect.void
        isOver = true
        return Effect.andThen(Metric.update(status, 0), announce(held, "stopped leading"))
      })
      const released = Effect.map(
        ClockReading.now,
        (now) =>
          new LockError.Lost({
            id: name,
            object: leases.describe(name),
            reason: "Released",
            what: "leadership",
            heldFor: Duration.millis(Math.round(ClockReading.elapsed(startedAt, now).max))
          })
      )
      yield* Metric.update(status, 1)
      yield* announce(held, "became leader")
      yield* Scope.addFinalizer(scope, end)
      yield* Effect.forkIn(
        Effect.catch(held.lost, () => end),
        scope
      )
      return {
        name,
        identity: held.holderId,
        fencingToken: held.fencingToken,
        isValid: held.isValid,
        lost: Effect.raceFirst(held.lost, Deferred.await(over)),
        guard: (effect) => held.guard(Effect.raceFirst(effect, Deferred.await(over))),
        stepDown: Effect.gen(function* () {
          if (isOver) return
          steppedDown.set(name, (yield* ClockReading.now).monotonic)
          yield* Deferred.fail(over, yield* released)
          yield* Scope.close(scope, Exit.void)
        }).pipe(Effect.uninterruptible)
      }
    })

  return LeaderElection.of({
    scoped: (name) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const scope = yield* Scope.fork(yield* Effect.scope)
          // A candidate has a status as well. It may be that another fiber leads.
          yield* Metric.modify(named(ElectionMetrics.masterStatus, name), 0)
          yield* restore(leaveToOthers(name))
          const held = yield* restore(Scope.provide(lock.scoped(name), scope)).pipe(
            Effect.catchTags({ LockTimeout: Effect.die, LockMalformed: Effect.die, LockMismatch: Effect.die }),
            Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
          )
          return yield* begin(name, held, scope)
        })
      ),
    observe: (name) =>
      Stream.fromEffect(
        Effect.matchEffect(leases.read(name), {
          onSuccess: (lease) => Effect.succeed(leader.of(lease)),
          onFailure: (error) =>
            error._tag === "LockNotFound" && error.missing === "object" ? Effect.succeedNone : Effect.fail(error)
        })
      ).pipe(
        Stream.concat(
          Stream.map(leases.watch(name, { content: true }), (event) =>
            event._tag === "Deleted" ? Option.none() : leader.of(event.snapshot)
          )
        ),
        Stream.changesWith(leader.isSame)
      )
  })
})

const named = <Input, State>(metric: Metric.Metric<Input, State>, name: string): Metric.Metric<Input, State> =>
  Metric.withAttributes(metric, { name })

/** Options of elections on a cluster. */
export interface KubernetesOptions extends Options {
  /** The namespace of the Leases. By default it is that of the kubeconfig's context, or of the pod. */
  readonly namespace?: string | undefined
}

/**
 * Elections on the cluster of the client. RBAC verbs on `leases` of `coordination.k8s.io`: `get`, `create`, `patch` and `watch`; on
 * events `create`, if they are wanted.
 *
 * Fails with `LockInvalidName` if the namespace is not a valid name.
 */
export const layer = (
  options: KubernetesOptions = {}
): Layer.Layer<LeaderElection, LockError.InvalidName, KubernetesClient> =>
  Layer.effect(
    LeaderElection,
    Effect.flatMap(
      ObjectStoreKubernetes.make({
        resource: Resource.lease,
        namespace: options.namespace,
        content: true,
        requestTimeout: requestTimeout(options.timing ?? ElectionTiming.make())
      }),
      (store) => Effect.provideService(make(options), ObjectStore, store)
    )
  )

// client-go's.
const requestTimeout = ({ renewDeadline }: ElectionTiming.ElectionTiming): Duration.Duration =>
  Duration.max(Duration.seconds(1), Duration.divideUnsafe(renewDeadline, 2))

/**
 * Elections on the cluster of the client, from configuration: the times (`ElectionTiming.config`), `KUBELOCK_IDENTITY` and
 * `KUBELOCK_NAMESPACE`. The defaults are the options.
 */
export const layerConfig = (
  options: Omit<KubernetesOptions, "timing"> = {}
): Layer.Layer<LeaderElection, LockError.InvalidName | Config.ConfigError, KubernetesClient> =>
  Layer.unwrap(
    Effect.map(
      Effect.all([ElectionTiming.config, settings.text("IDENTITY"), settings.text("NAMESPACE")]),
      ([timing, identity, namespace]) =>
        layer({
          ...options,
          timing,
          identity: Option.getOrUndefined(identity) ?? options.identity,
          namespace: Option.getOrUndefined(namespace) ?? options.namespace
        })
    )
  )

/** Elections within this process: for tests. */
export const layerMemory = (options: Options = {}): Layer.Layer<LeaderElection> =>
  Layer.effect(LeaderElection, make(options)).pipe(Layer.provide(ObjectStoreMemory.layer()))

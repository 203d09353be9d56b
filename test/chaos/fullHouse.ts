/**
 * Servers that are full: etcd without space, a disk that is slow, an API server with too many requests. Locks are lost in
 * time and told, nothing is granted twice, and everything recovers by itself.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Scope from "effect/Scope"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Client from "../../src/testing/envtest/Client.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import type { Request } from "../../src/testing/envtest/Site.ts"
import * as Cluster from "./cluster.ts"
import * as Crew from "./crew.ts"
import * as settings from "./settings.ts"

/**
 * What a fault did. `ttl` is that of the locks. `losesAll`: no lock can be renewed while it lasts. `isFelt`: the fault did what it is
 * for.
 */
export interface Outcome extends Crew.Survival {
  readonly kind: string
  readonly ttl: number
  readonly losesAll: boolean
  readonly isFelt: boolean
}

/** The broken promises, one sentence each. */
export const problems = (outcome: Outcome): ReadonlyArray<string> => {
  const { broken, isFelt, losesAll, recovered, resumed, reuses, rotated, ttl, validFor } = outcome
  return [
    ...broken,
    ...reuses.map(({ generation }) => `value ${generation} of the token was spent twice`),
    ...(losesAll && validFor > ttl + longerOnObject
      ? [`a lock was called valid ${Math.round(validFor)} ms after the fault began`]
      : []),
    ...(resumed > settings.resumptionOf(ttl)
      ? [`nobody wrote under a lock of some kind for ${Math.round(resumed)} ms`]
      : []),
    ...Object.entries(recovered).flatMap(([kind, millis]) =>
      Number.isFinite(millis) ? [] : [`not everybody had the ${kind} again`]
    ),
    ...(rotated === undefined ? ["the token was not rotated again"] : []),
    ...(isFelt ? [] : ["nothing was felt of the fault"])
  ].map((sentence) => `${outcome.kind}: ${sentence}`)
}

/**
 * By how much a lease lasts longer on the object than its TTL, at most: a waiter that was handed the lock relies on it up to that end, and
 * claims it without a write. Whole seconds round up, those of an election twice.
 */
const longerOnObject = 2000

const contenders = 2
/** Longer than every lease of the contenders, shorter than that of the token. */
const outage = settings.ttl + 3000
/** For faults in which locks are renewed. */
const strain = 4000

const survive = <E, E2>(crew: Crew.Crew, fault: Crew.Fault<E, E2>, ttl: number) =>
  Crew.survive(crew, fault, settings.turnOf(contenders, ttl))

/** A seed decides what the contenders do. `atOnce`: both API servers are at their limits at once, instead of one after the other. */
export interface Options {
  readonly seed: number
  readonly atOnce?: boolean | undefined
}

type Phase = (
  cluster: Cluster.Cluster,
  options: Options
) => Effect.Effect<ReadonlyArray<Outcome>, EnvtestError, Scope.Scope>

/** An etcd without space, a suspended etcd, and a slow disk, one after the other. */
const failingEtcd: Phase = Effect.fnUntraced(function* ({ balancer, members, servers, site }, { seed }) {
  const [etcd] = members as [Cluster.Member]
  const [api] = servers as [Cluster.Server]
  const { ttl } = settings
  yield* balancer.choose(() => 0)
  const crew = yield* Crew.make({ kubeConfig: site.kubeConfig, seed, contenders })
  const alarm = (action: "ACTIVATE" | "DEACTIVATE") => etcd.ask("/v3/maintenance/alarm", { action, alarm: "NOSPACE" })
  const play = <E, E2>(
    kind: string,
    losesAll: boolean,
    begin: Effect.Effect<unknown, E>,
    end: Effect.Effect<unknown, E2>
  ) =>
    Effect.map(survive(crew, { begin, end, millis: losesAll ? outage : strain }, ttl), (survival): Outcome => ({
      kind,
      ttl,
      losesAll,
      isFelt: true,
      ...survival
    }))
  return [
    yield* play("etcd out of space (its quota alarm)", true, alarm("ACTIVATE"), alarm("DEACTIVATE")),
    yield* play("etcd suspended", true, etcd.process.pause, etcd.process.resume),
    // Each request of the API server to etcd takes a second, so a write of a client takes two or three.
    yield* play(
      "each answer of etcd a second late",
      false,
      api.toEtcd.set({ _tag: "Slow", millis: 500 }),
      api.toEtcd.set({ _tag: "Open" })
    )
  ]
})

/** The servers at their limits. The first one refuses requests, and the other one, with priority and fairness, queues them. */
const limits = (place: number): ReadonlyArray<string> => [
  ...(place === 0 ? Cluster.lean : []),
  "--max-requests-inflight=4",
  "--max-mutating-requests-inflight=2"
]

/** An API server with too many requests, and then the other one, or both at once. */
const tooManyRequests: Phase = Effect.fnUntraced(function* ({ balancer, site }, { atOnce = false, seed }) {
  // Where requests queue, everybody is soon at work: nobody is asked to come back a second later.
  yield* balancer.choose(() => 1)
  const kubeConfig = yield* site.kubeConfigFor({ name: "worker", groups: ["lockers"] })
  const ttl = Duration.toMillis(LockPolicy.standard.ttl)
  const requestTimeout = Duration.toMillis(ObjectStoreKubernetes.defaultRequestTimeout)
  const crew = yield* Crew.make({ kubeConfig, seed, contenders, ttl, requestTimeout })
  const flood = yield* makeFlood(yield* site.clientFor({ name: "flood", groups: ["lockers"] }))
  // Without a place connections go to both servers in turn.
  const play = Effect.fnUntraced(function* (place?: 0 | 1) {
    yield* Effect.andThen(
      balancer.choose(() => place),
      balancer.cut
    )
    const before = flood.counts()
    const survival = yield* survive(crew, { begin: flood.begin, end: flood.end, millis: strain }, ttl)
    const { queued, refused } = flood.counts()
    return {
      kind:
        place === undefined
          ? "both API servers at their limits"
          : `API server at its limits, ${place === 0 ? "refusing" : "queueing"}`,
      ttl,
      losesAll: false,
      isFelt: (place === 1 || refused > before.refused) && (place === 0 || queued > before.queued),
      ...survival
    } satisfies Outcome
  })
  return atOnce ? [yield* play()] : [yield* play(0), yield* play(1)]
})

/** Starts one etcd, and two API servers that can be brought to their limits. */
export const start = Cluster.start({ members: 1, serverFlags: limits })

/** Plays all of it on them. */
export const play = Effect.fnUntraced(function* (cluster: Cluster.Cluster, options: Options) {
  yield* admit(cluster.site.request)
  const outcomes = yield* Effect.forEach([failingEtcd, tooManyRequests], (phase) =>
    Effect.scoped(phase(cluster, options))
  )
  return outcomes.flat()
}, Effect.scoped)

/** Lets the group `lockers` do everything. Members of it are not exempt from limits, as administrators are. */
const admit = (request: Request) =>
  Effect.orDie(
    request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      metadata: { name: "lockers" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "lockers" }],
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" }
    })
  )

/** In each answer of a server with priority and fairness. */
const flowSchema = "x-kubernetes-pf-flowschema-uid"

/** Many clients that write to one object at once, each again as soon as it has an answer. */
const makeFlood = Effect.fnUntraced(function* (client: HttpClient.HttpClient) {
  const path = "/api/v1/namespaces/dex/configmaps"
  let refused = 0
  let queued = 0
  const fibers = yield* FiberSet.make<void>()
  yield* Effect.ignore(Client.send(client, "POST", path, { metadata: { name: "flood" } }))
  const one = Effect.suspend(() =>
    Client.send(client, "PATCH", `${path}/flood`, { data: { at: String(performance.now()) } })
  ).pipe(
    Effect.map(({ headers, status }) => {
      if (flowSchema in headers) queued++
      if (status === 429) refused++
    }),
    Effect.ignore,
    Effect.forever
  )
  return {
    begin: Effect.replicateEffect(FiberSet.run(fibers, one), 40, { discard: true }),
    end: FiberSet.clear(fibers),
    counts: () => ({ queued, refused })
  }
})

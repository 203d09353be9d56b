/**
 * Servers that are full: etcd without space, a disk that is slow, an API server with too many requests. Locks are lost in
 * time and told, nothing is granted twice, and everything recovers by itself.
 */
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as HttpClient from "effect/http/HttpClient"
import { describeServers } from "../cluster/describeServers.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Client from "../../src/testing/envtest/Client.ts"
import type { Request } from "../../src/testing/envtest/Site.ts"
import * as Cluster from "./cluster.ts"
import * as Crew from "./crew.ts"
import { record } from "./options.ts"
import * as settings from "./settings.ts"

const contenders = 4
/** Longer than every lease of the contenders, shorter than that of the token. */
const outage = settings.ttl + 3000

const all = {
  ttl: Duration.toMillis(LockPolicy.standard.ttl),
  requestTimeout: Duration.toMillis(ObjectStoreKubernetes.defaultRequestTimeout)
}

/** Everything has recovered, and nothing was granted twice. */
const sound = ({ broken, recovered, reuses, rotated }: Crew.Survival) => {
  assert.deepStrictEqual([broken, reuses], [[], []])
  assert.isDefined(recovered, "not everybody had the lock again")
  assert.isDefined(rotated, "the token was not rotated again")
}

/** All that may be lost was lost in time. */
const lostInTime = (survival: Crew.Survival) => {
  sound(survival)
  assert.isAtMost(survival.validFor, settings.ttl)
}

const survive = <E, E2>(kind: string, crew: Crew.Crew, fault: Crew.Fault<E, E2>, ttl = settings.ttl) =>
  Effect.tap(Crew.survive(crew, fault, settings.turnOf(contenders, ttl)), (survival) => record({ kind, ...survival }))

/** A crew that is at work. */
const atWork = Effect.fnUntraced(function* (options: Omit<Crew.Options, "seed" | "contenders">) {
  const crew = yield* Crew.make({ ...options, contenders, seed: 5 })
  assert.isTrue(yield* crew.entered(0, 60_000))
  return crew
})

describeServers(
  "a full house",
  () => {
    it.live("an etcd without space, a suspended etcd and a slow disk grant nothing twice, and all recover", () =>
      Effect.gen(function* () {
        const { members, servers, site } = yield* Cluster.start({ members: 1, servers: 1 })
        const [etcd] = members as [Cluster.Member]
        const [api] = servers as [Cluster.Server]
        const quick = yield* atWork({ kubeConfig: site.kubeConfig })

        const alarm = (action: "ACTIVATE" | "DEACTIVATE") =>
          etcd.ask("/v3/maintenance/alarm", { action, alarm: "NOSPACE" })
        const noSpace = { begin: alarm("ACTIVATE"), end: alarm("DEACTIVATE"), millis: outage }
        lostInTime(yield* survive("etcd out of space (its quota alarm)", quick, noSpace))

        const suspended = { begin: etcd.process.pause, end: etcd.process.resume, millis: outage }
        lostInTime(yield* survive("etcd suspended", quick, suspended))

        // Each request of the API server to etcd takes a second, so a write of a client takes two or three.
        const slow = {
          begin: api.toEtcd.set({ _tag: "Slow", millis: 500 }),
          end: api.toEtcd.set({ _tag: "Open" }),
          millis: outage
        }
        sound(yield* survive("each answer of etcd a second late", quick, slow))
      })
    )

    it.live(
      "an API server with too many requests, which it refuses or queues, grants nothing twice, and recovers",
      () =>
        Effect.forEach(
          [["--enable-priority-and-fairness=false"], []],
          Effect.fnUntraced(function* (flags) {
            const { site } = yield* Cluster.start({
              members: 1,
              servers: 1,
              serverFlags: [...flags, "--max-requests-inflight=4", "--max-mutating-requests-inflight=2"]
            })
            yield* admit(site.request)
            const kubeConfig = yield* site.kubeConfigFor({ name: "worker", groups: ["lockers"] })
            const crew = yield* atWork({ kubeConfig, ...all })
            const flood = yield* makeFlood(yield* site.clientFor({ name: "flood", groups: ["lockers"] }))
            const tooMany = { begin: flood.begin, end: flood.end, millis: 6000 }
            sound(
              yield* survive(
                `API server at its limits, ${flags.length === 0 ? "queueing" : "refusing"}`,
                crew,
                tooMany,
                all.ttl
              )
            )
            const { answers, refused } = flood.counts()
            if (flags.length === 0) assert.isAbove(answers, 0)
            else assert.isAbove(refused, 0)
          }, Effect.scoped),
          { discard: true }
        )
    )
  },
  (server) => server === "kube-apiserver"
)

/** Lets the group `lockers` do everything. Members of it are not exempt from limits, as administrators are. */
const admit = (request: Request) =>
  Effect.orDie(
    request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      metadata: { name: "lockers" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "lockers" }],
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" }
    })
  )

/** Many clients that write to one object at once, each again as soon as it has an answer. */
const makeFlood = Effect.fnUntraced(function* (client: HttpClient.HttpClient) {
  const path = "/api/v1/namespaces/dex/configmaps"
  let refused = 0
  let answers = 0
  const fibers = yield* FiberSet.make<void>()
  yield* Effect.ignore(Client.send(client, "POST", path, { metadata: { name: "flood" } }))
  const one = Effect.suspend(() =>
    Client.send(client, "PATCH", `${path}/flood`, { data: { at: String(performance.now()) } })
  ).pipe(
    Effect.map(({ status }) => {
      answers++
      if (status === 429) refused++
    }),
    Effect.ignore,
    Effect.forever
  )
  return {
    begin: Effect.replicateEffect(FiberSet.run(fibers, one), 40, { discard: true }),
    end: FiberSet.clear(fibers),
    counts: () => ({ answers, refused })
  }
})

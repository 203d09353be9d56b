/** Elections on an API server: the Events that tell of them, the roles that they need, and the requests that they cost. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import * as ElectionTiming from "../src/ElectionTiming.ts"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as LeaderElection from "../src/LeaderElection.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import { logged } from "./utils/logged.ts"

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, (server) => KubernetesClient.layerKubeConfigYaml(server.kubeConfig))
)

const timing = ElectionTiming.make({
  leaseDuration: "4 seconds",
  renewDeadline: "3 seconds",
  retryPeriod: "200 millis"
})

const elections = (options?: LeaderElection.KubernetesOptions) =>
  LeaderElection.layer({ identity: "us", namespace: "jobs", timing, ...options })

interface Event {
  readonly reason: string
  readonly message: string
  readonly involvedObject: Readonly<Record<string, string>>
}

const eventsOf = (name: string) =>
  Effect.gen(function* () {
    const client = yield* KubernetesClient.KubernetesClient
    const request = { method: "GET", path: "/api/v1/namespaces/jobs/events", headers: {} } as const
    const { body } = yield* client.request(request, { timeoutMillis: 5000, maxBytes: 1 << 20 })
    const { items } = JSON.parse(body) as { readonly items: ReadonlyArray<Event> }
    return items.filter(({ involvedObject }) => involvedObject["name"] === name)
  })

layer(client.pipe(Layer.provideMerge(ApiServer.layer({ namespaces: ["jobs"] }))), { excludeTestServices: true })(
  "an election on an API server",
  (it) => {
    it.effect("is told by Events of the Lease, as client-go tells it", () =>
      Effect.gen(function* () {
        const identity = yield* Effect.provide(
          LeaderElection.lead("told")(({ identity }) => Effect.succeed(identity)),
          elections(),
          { local: true }
        )
        const events = yield* eventsOf("told")
        assert.sameMembers(
          events.map(({ message, reason }) => `${reason}: ${message}`),
          [`LeaderElection: ${identity} became leader`, `LeaderElection: ${identity} stopped leading`]
        )
        for (const { involvedObject } of events) {
          assert.deepInclude(involvedObject, {
            apiVersion: "coordination.k8s.io/v1",
            kind: "Lease",
            namespace: "jobs"
          })
          assert.isNotEmpty(involvedObject["uid"])
        }
      })
    )

    it.effect("goes on without Events that a role forbids, and says so once", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        yield* server.inject(ApiServer.Fault.Forbid({ user: "us" }), { when: ({ path }) => path.includes("/events") })
        const lines = yield* Effect.repeat(LeaderElection.lead("untold")(Effect.void), Schedule.recurs(2)).pipe(
          Effect.provide(elections(), { local: true }),
          logged
        )
        const told = lines.filter((line) => line.includes("Event"))
        assert.lengthOf(told, 1)
        assert.match(
          told[0]!,
          /^Info Who leads is not announced as an Event\. Not allowed to create events in namespace/
        )
      })
    )

    it.effect("makes no Events if none are wanted", () =>
      Effect.gen(function* () {
        yield* Effect.provide(LeaderElection.lead("silent")(Effect.void), elections({ announces: false }), {
          local: true
        })
        assert.deepStrictEqual(yield* eventsOf("silent"), [])
      })
    )

    it.effect("costs the leader one write for each renewal, and a follower nothing", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        const context = yield* Layer.build(elections({ announces: false }))
        const others = yield* Layer.build(elections({ announces: false, identity: "them" }))
        const scope = yield* Scope.make()
        yield* Effect.provide(LeaderElection.scoped("costs"), context).pipe(Scope.provide(scope))
        yield* Effect.forkScoped(Effect.provide(Effect.scoped(LeaderElection.scoped("costs")), others), {
          startImmediately: true
        })
        yield* Effect.sleep("2 seconds")
        yield* server.clearRequests
        yield* Effect.sleep("2 seconds")
        const verbs = (yield* server.requests).map(({ method }) => method)
        assert.isAtLeast(verbs.length, 5)
        assert.deepStrictEqual([...new Set(verbs)], ["PATCH"])
        yield* Scope.close(scope, Exit.void)
      })
    )
  }
)

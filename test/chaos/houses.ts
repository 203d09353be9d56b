/** The API servers that a run takes place on, and the faults that can be injected into them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Server } from "../../src/testing/envtest/Assets.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import type { Request } from "../../src/testing/envtest/Site.ts"
import * as Cluster from "./cluster.ts"
import type * as Proxy from "./proxy.ts"

/** A fault of the servers, for a time between the shortest and the longest. It ends when they are healthy again. */
export interface ServerInjection {
  readonly kind: string
  readonly millis: readonly [number, number]
  readonly run: (millis: number) => Effect.Effect<void, EnvtestError>
}

/** `url` is what clients connect to. `title` is for people. */
export interface House {
  readonly title: string
  readonly url: string
  readonly kubeConfig: string
  readonly request: Request
  readonly faults: ReadonlyArray<ServerInjection>
}

/** The kinds of houses. */
export const kinds = ["kube-apiserver", "apiextensions-apiserver", "cluster"] as const
export type Kind = (typeof kinds)[number]

/** Starts a house. */
export const open = (kind: Kind): Effect.Effect<House, EnvtestError, Scope.Scope> =>
  kind === "cluster" ? cluster : alone(kind)

/** One etcd and one API server. */
const alone = Effect.fnUntraced(function* (server: Server) {
  const api = yield* Envtest.start({ server, fsync: false })
  const frozen = (part: Envtest.Part) => during(api.pause(part), api.resume(part))
  return {
    title: `${server} ${api.version}`,
    url: api.url,
    kubeConfig: api.kubeConfig,
    request: api.request,
    faults: [
      {
        kind: "API server killed (SIGKILL) and started again",
        millis: [0, 0],
        run: () => api.restart("SIGKILL")
      },
      {
        kind: "API server ended (SIGTERM) and started again",
        millis: [0, 0],
        run: () => api.restart("SIGTERM")
      },
      { kind: "API server frozen", millis: [500, 3000], run: frozen("server") },
      { kind: "etcd frozen", millis: [500, 3000], run: frozen("etcd") }
    ]
  } satisfies House
})

/** Three etcd members and two API servers. At each fault but the last another server can serve. */
const cluster = Effect.gen(function* () {
  const running = yield* Cluster.start()
  return {
    title: `two kube-apiservers ${running.version} on three etcd members`,
    url: running.site.url,
    kubeConfig: running.site.kubeConfig,
    request: running.site.request,
    faults: clusterFaults(running)
  } satisfies House
})

/** The faults of a cluster. Those of one server or one member hit each in turn. */
export const clusterFaults = ({
  balancer,
  leader,
  members,
  servers
}: Cluster.Cluster): ReadonlyArray<ServerInjection> => {
  const nextServer = inTurn(servers)
  const nextMember = inTurn(members.slice(0, servers.length))
  const again = (server: Cluster.Server) => Effect.andThen(server.process.start, server.ready)
  const memberAgain = (member: Cluster.Member) => Effect.andThen(member.process.start, member.ready)
  return [
    {
      kind: "one API server killed (SIGKILL) and started again",
      millis: [500, 3000],
      run: (millis) =>
        Effect.suspend(() => {
          const server = nextServer()
          return Effect.andThen(killed(server.process, millis), again(server))
        })
    },
    {
      kind: "one API server frozen",
      millis: [1000, 5000],
      run: (millis) =>
        Effect.suspend(() => {
          const { process } = nextServer()
          return during(process.pause, process.resume)(millis)
        })
    },
    {
      kind: "etcd leader killed (SIGKILL) and started again",
      millis: [500, 3000],
      run: (millis) =>
        Effect.flatMap(leader, (member) => Effect.andThen(killed(member.process, millis), memberAgain(member)))
    },
    {
      kind: "etcd leader frozen",
      millis: [2000, 5000],
      run: (millis) =>
        Effect.flatMap(leader, ({ process, ready }) =>
          Effect.andThen(during(process.pause, process.resume)(millis), ready)
        )
    },
    {
      kind: "etcd member of an API server cut off from the others",
      millis: [2000, 6000],
      run: (millis) =>
        Effect.suspend(() => {
          const { cutOff, ready, rejoin } = nextMember()
          return Effect.andThen(during(cutOff, rejoin)(millis), ready)
        })
    },
    {
      kind: "watches and requests on different API servers, one of them 400 ms behind",
      millis: [3000, 6000],
      run: (millis) =>
        Effect.suspend(() => {
          const behind = nextServer()
          const place = servers.indexOf(behind)
          const set = (mode: Proxy.Mode) => behind.toEtcd.set(mode)
          return during(
            balancer
              .choose(({ isWatch }) => (isWatch ? place : place + 1))
              .pipe(Effect.andThen(balancer.cut), Effect.andThen(set({ _tag: "Slow", millis: 200 }))),
            Effect.andThen(
              set({ _tag: "Open" }),
              balancer.choose(() => undefined)
            )
          )(millis)
        })
    },
    {
      kind: "all connections reset by the balancer",
      millis: [0, 0],
      run: () => balancer.cut
    },
    {
      kind: "rolling restart of all etcd members and API servers (SIGTERM)",
      millis: [200, 500],
      run: (millis) =>
        Effect.gen(function* () {
          for (const member of members) {
            yield* member.process.stop("SIGTERM")
            yield* memberAgain(member)
            yield* Effect.sleep(millis)
          }
          for (const server of servers) {
            yield* server.process.stop("SIGTERM")
            yield* again(server)
            yield* Effect.sleep(millis)
          }
        })
    },
    {
      kind: "no quorum: two of three etcd members frozen",
      millis: [1000, 3000],
      run: (millis) =>
        Effect.suspend(() => {
          const [one, other] = members.slice(1) as [Cluster.Member, Cluster.Member]
          return during(
            Effect.andThen(one.process.pause, other.process.pause),
            Effect.andThen(one.process.resume, other.process.resume)
          )(millis).pipe(Effect.andThen(one.ready))
        })
    }
  ]
}

const killed = (process: Cluster.Server["process"], millis: number) =>
  Effect.andThen(process.stop("SIGKILL"), Effect.sleep(millis))

const during =
  <E, E2>(begin: Effect.Effect<void, E>, end: Effect.Effect<void, E2>) =>
  (millis: number): Effect.Effect<void, E | E2> =>
    Effect.ensuring(Effect.andThen(begin, Effect.sleep(millis)), Effect.ignore(end))

const inTurn = <A>(all: ReadonlyArray<A>): (() => A) => {
  let next = 0
  return () => all[next++ % all.length]!
}

/** The API servers that a run takes place on, and the faults that can be injected into them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Server } from "../../src/testing/envtest/Assets.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import type { Request } from "../../src/testing/envtest/Site.ts"
import * as Cluster from "./cluster.ts"
import * as Host from "./host.ts"
import type * as Proxy from "./proxy.ts"
import * as settings from "./settings.ts"

/** A fault of the servers, for a time between the shortest and the longest. It ends when they are healthy again. */
export interface ServerInjection {
  readonly kind: string
  readonly millis: readonly [number, number]
  readonly run: (millis: number) => Effect.Effect<void, EnvtestError>
}

/**
 * `url` is what clients connect to. `title` is for people. `hosts`: where the holders run, in turn; without any they run on
 * this machine.
 */
export interface House {
  readonly title: string
  readonly url: string
  readonly kubeConfig: string
  readonly request: Request
  readonly hosts: ReadonlyArray<Host.Host>
  readonly faults: ReadonlyArray<ServerInjection>
}

/** The kinds of houses. */
export const kinds = ["kube-apiserver", "apiextensions-apiserver", "cluster", "hosts"] as const
export type Kind = (typeof kinds)[number]

/** What processes can contend for there. Only kube-apiserver has Leases and ConfigMaps. */
export const possibleOn = (house: Kind): ReadonlyArray<settings.Kind> =>
  house === "apiextensions-apiserver" ? ["lock", "semaphore", "shared"] : settings.kinds

/** What they contend for at once. */
export const atOnceOn = (house: Kind): ReadonlyArray<settings.Kind> =>
  possibleOn(house).filter((kind) => settings.kindsAtOnce.some((one) => one === kind))

/** Starts a house. */
export const open = (kind: Kind, seed: number): Effect.Effect<House, EnvtestError, Scope.Scope> => {
  switch (kind) {
    case "cluster":
      return Effect.map(Cluster.start(), onCluster)
    case "hosts":
      return twoHosts(seed)
    default:
      return alone(kind)
  }
}

/** One etcd and one API server. */
const alone = Effect.fnUntraced(function* (server: Server) {
  const api = yield* Envtest.start({ server, fsync: false })
  const frozen = (part: Envtest.Part) => during(api.pause(part), api.resume(part))
  return {
    title: `${server} ${api.version}`,
    url: api.url,
    kubeConfig: api.kubeConfig,
    request: api.request,
    hosts: [],
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

/**
 * Three etcd members and two API servers. At each fault of theirs but the last another server can serve. With hosts, the holders run
 * there, and their cables have faults, too.
 */
export const onCluster = (running: Cluster.Cluster, hosts: ReadonlyArray<Host.Host> = []): House => ({
  title: `${hosts.length === 0 ? "" : "two hosts and "}two kube-apiservers ${running.version} on three etcd members`,
  url: running.site.url,
  kubeConfig: running.site.kubeConfig,
  request: running.site.request,
  hosts,
  faults: [...clusterFaults(running), ...(hosts.length === 0 ? [] : cableFaults(hosts))]
})

/** One API server, and holders on two hosts, each with a cable of its own. */
const twoHosts = Effect.fnUntraced(function* (seed: number) {
  const problem = Host.problem()
  if (problem !== undefined) return yield* new EnvtestError({ step: "two hosts", detail: problem })
  const api = yield* Envtest.start({ server: "kube-apiserver", fsync: false })
  const hosts = yield* makeHosts(seed)
  return {
    title: `two hosts and a kube-apiserver ${api.version}`,
    url: api.url,
    kubeConfig: api.kubeConfig,
    request: api.request,
    hosts,
    faults: cableFaults(hosts)
  } satisfies House
})

/** Two hosts. Those of other processes on this machine have other numbers, most likely. */
export const makeHosts = (seed: number) =>
  Effect.forEach([0, 1], (place) => Host.make(2 * (process.pid % 50) + place, seed))

/** The faults of cables. They hit each host in turn. */
const cableFaults = (hosts: ReadonlyArray<Host.Host>): ReadonlyArray<ServerInjection> => {
  const nextHost = inTurn(hosts)
  const cable = (kind: string, millis: readonly [number, number], fault: Host.Fault): ServerInjection => ({
    kind,
    millis,
    run: (millis) =>
      Effect.suspend(() => {
        const { set } = nextHost()
        return during(set(fault), set({}))(millis)
      })
  })
  const pastTtl = [settings.takeOver - 1000, settings.takeOver + 1000] as const
  return [
    cable("cable of a host pulled, past the TTL", pastTtl, { cut: [0, 1] }),
    cable("cable of a host cut in the direction to the servers, past the TTL", pastTtl, { cut: [0] }),
    cable("cable of a host cut in the direction from the servers, past the TTL", pastTtl, { cut: [1] }),
    cable("cable of a host: 300 ms of delay each way", [4000, 8000], { delay: 0.3 }),
    cable("cable of a host: 5 % of all packets lost", [6000, 10_000], { loss: 0.05 }),
    cable("cable of a host: an MTU hole, packets over 600 bytes vanish", pastTtl, { mtu: 600 })
  ]
}

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

/**
 * A control plane: etcd members and kube-apiservers behind one balancer.
 *
 * Each API server has one etcd member, as kubeadm stacks them. So what its member does not know, the server does not know
 * either. With more members than servers the last ones only vote. All servers have the same certificates and keys.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as Assets from "../../src/testing/envtest/Assets.ts"
import * as Client from "../../src/testing/envtest/Client.ts"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as Flags from "../../src/testing/envtest/Flags.ts"
import * as Ports from "../../src/testing/envtest/Ports.ts"
import * as Serving from "../../src/testing/envtest/Serving.ts"
import * as Site from "../../src/testing/envtest/Site.ts"
import * as Balancer from "./balancer.ts"
import * as Proxy from "./proxy.ts"

/** How many, and with which further flags for the server in each place. By default three members and two servers, which are `lean`. */
export interface Options {
  readonly members?: number | undefined
  readonly servers?: number | undefined
  readonly serverFlags?: ((place: number) => ReadonlyArray<string>) | undefined
}

/**
 * A member of etcd.
 *
 * - `ask`: a request to its JSON gateway, such as `/v3/maintenance/status`.
 * - `cutOff`: neither hears nor reaches the other members. Its API server still reaches it. `rejoin` ends that.
 * - `ready`: waits until it knows a leader and answers a linearizable read.
 */
export interface Member {
  readonly name: string
  readonly directory: string
  readonly clientUrl: string
  readonly peerUrl: string
  readonly process: Daemon.Daemon
  readonly ask: (path: string, body: object) => Effect.Effect<unknown, EnvtestError>
  readonly isLeader: Effect.Effect<boolean>
  readonly cutOff: Effect.Effect<void>
  readonly rejoin: Effect.Effect<void>
  readonly ready: Effect.Effect<void, EnvtestError>
}

/** An API server, and the wire between it and its member. */
export interface Server {
  readonly name: string
  readonly port: number
  readonly process: Daemon.Daemon
  readonly toEtcd: Proxy.Proxy
  readonly ready: Effect.Effect<void, EnvtestError>
}

/** A running control plane. `site` has the URL of the balancer. */
export interface Cluster {
  readonly site: Site.Site
  readonly version: string
  readonly balancer: Balancer.Balancer
  readonly members: ReadonlyArray<Member>
  readonly servers: ReadonlyArray<Server>
  readonly leader: Effect.Effect<Member, EnvtestError>
}

/** Starts all of them. Fails if one ends, or is not ready within three minutes. */
export const start = (options: Options = {}): Effect.Effect<Cluster, EnvtestError, Scope.Scope> =>
  launch(options).pipe(
    Effect.catchTag("PlatformError", (error) => new EnvtestError({ step: "cluster", detail: error.message })),
    Effect.provide(NodeServices.layer)
  )

const kind = "kube-apiserver"

const without = (...groups: ReadonlyArray<string>) =>
  `--runtime-config=${groups.map((group) => `${group}=false`).join(",")}`

// What nobody locks. Without it a server is ready sooner.
const leftOut = without("apps/v1", "autoscaling/v1", "batch/v1", "certificates.k8s.io/v1", "events.k8s.io/v1")

/**
 * Flags of a server that starts with little more than half the CPU time: without what only workloads need, and without the plugins that read
 * it. No request queues there.
 */
export const lean: ReadonlyArray<string> = [
  without("api/beta", "networking.k8s.io/v1", "node.k8s.io/v1", "scheduling.k8s.io/v1", "storage.k8s.io/v1"),
  "--disable-admission-plugins=DefaultIngressClass,DefaultStorageClass,PersistentVolumeClaimResize,Priority,RuntimeClass",
  "--enable-priority-and-fairness=false"
]

const launch = Effect.fnUntraced(function* ({
  members: size = 3,
  serverFlags = () => lean,
  servers: count = 2
}: Options) {
  const found = yield* Assets.find
  const binary = found.servers.find(({ server }) => server === kind)
  if (binary === undefined) {
    return yield* new EnvtestError({ step: kind, detail: "is not in the folder that KUBEBUILDER_ASSETS names" })
  }
  const serverPorts = yield* Effect.all(Array.from({ length: count }, () => Ports.free))
  const balancer = yield* Balancer.make(serverPorts)
  const site = yield* Site.make(`https://127.0.0.1:${balancer.port}`)
  const members = yield* makeMembers(found.etcd, site, size)
  yield* Effect.forEach(members, ({ process }) => process.start, { discard: true })
  yield* Effect.forEach(members, ({ member: { ready } }) => ready, { discard: true })

  const made = yield* Effect.forEach(
    serverPorts,
    Effect.fnUntraced(function* (port, index) {
      const { clientPort, process: etcd } = members[index % size]!
      const toEtcd = yield* Proxy.make(clientPort)
      const name = `${kind}-${index}`
      const process = yield* Daemon.make({
        name,
        command: binary.path,
        args: [
          ...Flags.apiServer(kind, { directory: site.directory, etcdPort: toEtcd.port, port }),
          leftOut,
          ...serverFlags(index)
        ],
        guard: site.guard
      })
      const client = yield* site.clientAt(`https://127.0.0.1:${port}`)
      const serving = Serving.make(
        kind,
        (...args) => Client.send(client, ...args),
        Effect.raceFirst(process.died, etcd.died)
      )
      return { name, port, process, toEtcd, serving }
    })
  )
  yield* Effect.forEach(made, ({ process }) => process.start, { discard: true })
  // The first one creates what all of them need.
  const version = yield* made[0]!.serving.install
  yield* Effect.forEach(made, ({ serving }) => serving.ready, { discard: true })
  return {
    site,
    version,
    balancer,
    members: members.map(({ member }) => member),
    servers: made.map(({ name, port, process, serving, toEtcd }) => ({
      name,
      port,
      process,
      toEtcd,
      ready: serving.ready
    })),
    leader: Effect.findFirst(
      members.map(({ member }) => member),
      ({ isLeader }) => isLeader
    ).pipe(
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.fail(new EnvtestError({ step: "etcd", detail: "has no leader" })),
          onSome: Effect.succeed
        })
      ),
      Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 100 })
    )
  } satisfies Cluster
})

const makeMembers = Effect.fnUntraced(function* (command: string, site: Site.Site, size: number) {
  const fs = yield* FileSystem.FileSystem
  const places = yield* Effect.forEach(
    Array.from({ length: size }, (_, index) => index),
    Effect.fnUntraced(function* (index) {
      const directory = Path.join(site.directory, `member-${index}`)
      yield* fs.makeDirectory(directory)
      const clientPort = yield* Ports.free
      const peerPort = yield* Ports.free
      // The other members know it by its proxy, and say in each request who they are.
      const peers = yield* Proxy.make(peerPort, {
        sourceOf: (first) => fromHeader.exec(Buffer.from(first).toString("latin1"))?.[1]
      })
      return { name: `etcd-${index}`, directory, clientPort, peerPort, peers }
    })
  )
  const url = ({ peers }: (typeof places)[number]) => `http://127.0.0.1:${peers.port}`
  const everybody = places.map((place) => `${place.name}=${url(place)}`).join(",")
  return yield* Effect.forEach(
    places,
    Effect.fnUntraced(function* (place) {
      const { clientPort, directory, name, peerPort, peers } = place
      const process = yield* Daemon.make({
        name,
        command,
        args: [
          ...Flags.etcd({ directory, clientPort, peerPort, fsync: false }),
          `--name=${name}`,
          `--initial-advertise-peer-urls=${url(place)}`,
          `--initial-cluster=${everybody}`
        ],
        guard: site.guard
      })
      const ask = asking(name, clientPort)
      const status = Effect.map(ask("/v3/maintenance/status", {}), (reply) => reply as Status)
      const isLeader = status.pipe(
        Effect.map(({ header, leader }) => leader === header.member_id),
        Effect.orElseSucceed(() => false)
      )
      let id = ""
      const others = places.filter((other) => other !== place)
      const set = (mode: Proxy.Mode) =>
        Effect.andThen(
          peers.set(mode),
          Effect.forEach(others, (other) => other.peers.set(mode, id), { discard: true })
        )
      const ready = ask("/v3/kv/range", { key: "AA==" }).pipe(
        Effect.andThen(status),
        Effect.tap(({ header }) =>
          Effect.sync(() => {
            id = BigInt(header.member_id).toString(16)
          })
        ),
        Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 600 }),
        Effect.asVoid,
        Effect.raceFirst(process.died)
      )
      const member: Member = {
        name,
        directory,
        clientUrl: `http://127.0.0.1:${clientPort}`,
        peerUrl: url(place),
        process,
        ask,
        isLeader,
        cutOff: set({ _tag: "Blackhole" }),
        rejoin: set({ _tag: "Open" }),
        ready
      }
      return { clientPort, process, member }
    })
  )
})

const fromHeader = /X-Server-From: ([0-9a-f]+)/i

interface Status {
  readonly header: { readonly member_id: string }
  readonly leader: string
}

/** Requests to the JSON gateway of a member. */
const asking = (name: string, port: number) => (path: string, body: object) =>
  Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(2000)])
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`${response.status} ${text}`)
      return JSON.parse(text) as unknown
    },
    catch: (cause) => new EnvtestError({ step: name, detail: `${path}: ${String(cause)}` })
  })

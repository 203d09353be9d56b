/**
 * The processes of a chaos run: API servers with an object for each kind of lock, each with a witness of its own; holders, each behind
 * its own proxy; and processes that share a rotating token.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as Guard from "../../src/testing/envtest/Guard.ts"
import * as Faketime from "./faketime.ts"
import type { Host } from "./host.ts"
import type * as Houses from "./houses.ts"
import type { Provider } from "./provider.ts"
import * as Proxy from "./proxy.ts"
import * as settings from "./settings.ts"
import { bookOf } from "./shardLedger.ts"
import { now } from "./testimony.ts"
import * as Witness from "./witness.ts"

export interface Options {
  readonly house: Houses.House
  readonly seed: number
  readonly holders: ReadonlyArray<HolderOptions>
  /** How many processes share a rotating token. No fault hits them but those of the servers. */
  readonly refreshers?: number | undefined
  /** What each process contends for. */
  readonly kinds: ReadonlyArray<settings.Kind>
}

/**
 * A holder to start. `clock`: by how many seconds its wall clock is ahead. `conduct`: what it leaves out (`holder.ts`).
 * `checkout`: the folder of another version of this repository, which runs the `holder.ts` of that version.
 */
export interface HolderOptions {
  readonly name: string
  readonly clock?: number | undefined
  readonly conduct?: "unguarded" | "careless" | undefined
  readonly checkout?: string | undefined
}

/** A running holder. `clock` is the file that sets its wall clock. `thread`: a thread of its own renews its session. */
export interface Holder {
  readonly name: string
  readonly thread: boolean
  readonly proxy: Proxy.Proxy
  readonly process: Daemon.Daemon
  readonly clock: string | undefined
  /** Kills the process, and records that in the ledgers. */
  readonly crash: Effect.Effect<void>
  /** Starts it again after that. */
  readonly again: Effect.Effect<void, EnvtestError>
  /** Whether it has been served since it was started. Before, it may still load, and a signal that it should handle would end it. */
  readonly isAtWork: () => boolean
}

/** What holders contend for. `path` is the URL path of the object. */
export interface Contested {
  readonly kind: settings.Kind
  readonly id: string
  readonly path: string
  readonly witness: Witness.Witness
}

/** `provider` is that of the rotating token. */
export interface Arena {
  readonly house: Houses.House
  readonly contested: ReadonlyArray<Contested>
  readonly provider: Provider
  readonly holders: ReadonlyArray<Holder>
  readonly refreshers: ReadonlyArray<Daemon.Daemon>
}

const root = Path.join(import.meta.dirname, "../..")

/** The locked object of a kind, or that of the shards, and the URL path of its collection. */
const objectOf = (kind: settings.Kind, id: string) => {
  const metadata = { name: kind === "shards" ? `${id}-shards-${settings.shardGroup}` : id }
  switch (kind) {
    case "election":
      return {
        collection: "/apis/coordination.k8s.io/v1/namespaces/dex/leases",
        object: { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata }
      }
    case "session":
    case "once":
    case "shards":
      return {
        collection: "/api/v1/namespaces/dex/configmaps",
        object: { apiVersion: "v1", kind: "ConfigMap", metadata }
      }
    default:
      return {
        collection: "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens",
        object: { apiVersion: "dex.coreos.com/v1", kind: "RefreshToken", metadata, claims: { userID: "1" } }
      }
  }
}

/** The Secret of the rotating token. */
const tokenId = "tok-rotating"

/** Starts everything, the holders last. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Arena, EnvtestError, Scope.Scope> {
  const { house } = options
  const address = house.hosts.length > 0 ? "0.0.0.0" : undefined
  const contested = yield* Effect.forEach(
    options.kinds,
    Effect.fnUntraced(function* (kind): Effect.fn.Return<Contested, EnvtestError, Scope.Scope> {
      const id = `tok-chaos-${kind}`
      const { collection, object } = objectOf(kind, id)
      const made = yield* Effect.orDie(house.request("POST", collection, object))
      if (made.status !== 201) {
        return yield* new EnvtestError({ step: "chaos", detail: `cannot create the object: ${JSON.stringify(made)}` })
      }
      return {
        kind,
        id,
        path: `${collection}/${object.metadata.name}`,
        witness: yield* Witness.make(address, bookOf(kind))
      }
    })
  )
  const tokens = yield* Witness.make(address)
  const { holders, refreshers } = yield* makeProcesses(house, contested, tokens, options).pipe(
    Effect.provide(NodeServices.layer)
  )
  const processes = [...refreshers, ...holders.map((holder) => holder.process)]
  yield* Effect.forEach(processes, (process) => process.start, { concurrency: "unbounded", discard: true })
  return { house, contested, provider: tokens.provider, holders, refreshers }
})

/** The kubeconfig of a process on a host, or on this machine, for which a proxy listens on this port. */
const from = (host: Host | undefined, { kubeConfig, url }: Houses.House, port: number): string =>
  kubeConfig.replace(
    url,
    host === undefined
      ? `https://127.0.0.1:${port}`
      : `https://${host.server}:${port}\n      tls-server-name: localhost`
  )

const witnessFor = (host: Host | undefined, witness: Witness.Witness): string => {
  const url = new URL(witness.url)
  if (host !== undefined) url.hostname = host.witness
  return url.href.replace(/\/$/, "")
}

const makeProcesses = Effect.fnUntraced(function* (
  house: Houses.House,
  contested: ReadonlyArray<Contested>,
  tokens: Witness.Witness,
  options: Options
) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "kubelock-chaos-" }))
  const guard = yield* Guard.make(directory)
  const direct = Path.join(directory, "kubeconfig")
  yield* Effect.orDie(fs.writeFileString(direct, house.kubeConfig, { mode: 0o600 }))
  const refreshers = yield* Effect.forEach(
    Array.from({ length: options.refreshers ?? 0 }).keys(),
    Effect.fnUntraced(function* (index) {
      const name = `refresher-${index}`
      const host = house.hosts[index % house.hosts.length]
      const kubeconfig = host === undefined ? direct : Path.join(directory, `${name}.kubeconfig`)
      if (host !== undefined) {
        const { port } = yield* Proxy.make(Number(new URL(house.url).port), { listenOn: host.server })
        yield* Effect.orDie(fs.writeFileString(kubeconfig, from(host, house, port), { mode: 0o600 }))
      }
      const [command = "env", ...prefix] = [...(host?.command ?? []), "env"]
      const program = Path.join(root, "test/chaos/refresher.ts")
      return yield* Daemon.make({
        name,
        command,
        args: [...prefix, process.execPath, program, name, kubeconfig, witnessFor(host, tokens), tokenId],
        guard
      })
    })
  )
  const holders = yield* Effect.forEach(
    options.holders,
    Effect.fnUntraced(function* ({ checkout = root, clock, conduct, name }, index) {
      const host = house.hosts[index % house.hosts.length]
      const proxy = yield* Proxy.make(Number(new URL(house.url).port), { listenOn: host?.server })
      const kubeconfig = Path.join(directory, `${name}.kubeconfig`)
      yield* Effect.orDie(fs.writeFileString(kubeconfig, from(host, house, proxy.port), { mode: 0o600 }))
      const [command = "env", ...prefix] = [...(host?.command ?? []), "env"]
      const clockFile =
        clock === undefined || Faketime.library === undefined ? undefined : Path.join(directory, `${name}.clock`)
      if (clock !== undefined && clockFile !== undefined) Faketime.set(clockFile, clock)
      const thread = options.kinds.some((kind) => settings.hasThread(kind, index))
      const daemon = yield* Daemon.make({
        name,
        command,
        args: [
          ...prefix,
          ...(clockFile === undefined ? [] : Faketime.environment(Faketime.library!, clockFile)),
          process.execPath,
          Path.join(checkout, "test/chaos/holder.ts"),
          "--name",
          name,
          "--seed",
          String(options.seed),
          "--kubeconfig",
          kubeconfig,
          ...contested.flatMap(({ id, kind, witness }) => [
            "--id",
            id,
            "--witness",
            witnessFor(host, witness),
            ...(contested.length === 1 && kind === "lock" ? [] : ["--kind", kind])
          ]),
          // Other versions may not know these flags, and that of the kind above.
          ...(options.holders.length > 4
            ? ["--long-stays", String(settings.longStaysAmong(options.holders.length))]
            : []),
          ...(thread ? ["--thread"] : []),
          ...(conduct === undefined ? [] : [`--${conduct}`])
        ],
        guard
      })
      const crash = Effect.gen(function* () {
        const at = now()
        yield* daemon.stop("SIGKILL")
        // Waits for what the process has already sent.
        yield* Effect.sleep("50 millis")
        for (const { witness } of contested) witness.ledger.crashed(name, at)
      })
      let started = 0
      const again = Effect.suspend(() => {
        started = now()
        return daemon.start
      })
      const isAtWork = () => contested.some(({ witness }) => (witness.ledger.lastServed.get(name) ?? 0) > started)
      return { name, thread, proxy, process: daemon, clock: clockFile, crash, again, isAtWork } satisfies Holder
    })
  )
  return { holders, refreshers }
})

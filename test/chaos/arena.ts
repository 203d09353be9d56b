/** The processes of a chaos run: an API server with one object, a witness, and holders, each behind its own proxy. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import type { Server } from "../../src/testing/envtest/Assets.ts"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as Guard from "../../src/testing/envtest/Guard.ts"
import * as Faketime from "./faketime.ts"
import * as Proxy from "./proxy.ts"
import { now } from "./testimony.ts"
import * as Witness from "./witness.ts"

export interface Options {
  readonly server: Server
  readonly seed: number
  readonly holders: ReadonlyArray<HolderOptions>
  /** Whether the lock is the leadership of a Lease. */
  readonly election?: boolean | undefined
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

/** A running holder. `clock` is the file that sets its wall clock. */
export interface Holder {
  readonly name: string
  readonly proxy: Proxy.Proxy
  readonly process: Daemon.Daemon
  readonly clock: string | undefined
  /** Kills the process, and records that in the ledger. */
  readonly crash: Effect.Effect<void>
}

export interface Arena {
  readonly api: Envtest.ApiServerProcess
  readonly witness: Witness.Witness
  readonly holders: ReadonlyArray<Holder>
}

const root = Path.join(import.meta.dirname, "../..")

/** The locked object, and the URL path of its kind. */
export const id = "tok-chaos"
export const objectsOf = ({ election = false }: Pick<Options, "election">): string =>
  election
    ? "/apis/coordination.k8s.io/v1/namespaces/dex/leases"
    : "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens"

const object = ({ election = false }: Options) =>
  election
    ? { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: id } }
    : { apiVersion: "dex.coreos.com/v1", kind: "RefreshToken", metadata: { name: id }, claims: { userID: "1" } }

/** Starts everything, the holders last. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Arena, EnvtestError, Scope.Scope> {
  const api = yield* Envtest.start({ server: options.server, fsync: false })
  const witness = yield* Witness.make
  const made = yield* Effect.orDie(api.request("POST", objectsOf(options), object(options)))
  if (made.status !== 201) {
    return yield* new EnvtestError({ step: "chaos", detail: `cannot create the object: ${JSON.stringify(made)}` })
  }
  const holders = yield* makeHolders(api, witness, options).pipe(Effect.provide(NodeServices.layer))
  yield* Effect.forEach(holders, (holder) => holder.process.start, { concurrency: "unbounded", discard: true })
  return { api, witness, holders }
})

const makeHolders = Effect.fnUntraced(function* (
  api: Envtest.ApiServerProcess,
  witness: Witness.Witness,
  options: Options
) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "kubelock-chaos-" }))
  const guard = yield* Guard.make(directory)
  return yield* Effect.forEach(
    options.holders,
    Effect.fnUntraced(function* ({ checkout = root, clock, conduct, name }) {
      const proxy = yield* Proxy.make(Number(new URL(api.url).port))
      const kubeconfig = Path.join(directory, `${name}.kubeconfig`)
      const throughProxy = api.kubeConfig.replace(api.url, `https://127.0.0.1:${proxy.port}`)
      yield* Effect.orDie(fs.writeFileString(kubeconfig, throughProxy, { mode: 0o600 }))
      const clockFile =
        clock === undefined || Faketime.library === undefined ? undefined : Path.join(directory, `${name}.clock`)
      if (clock !== undefined && clockFile !== undefined) Faketime.set(clockFile, clock)
      const daemon = yield* Daemon.make({
        name,
        command: "env",
        args: [
          ...(clockFile === undefined ? [] : Faketime.environment(Faketime.library!, clockFile)),
          process.execPath,
          Path.join(checkout, "test/chaos/holder.ts"),
          "--name",
          name,
          "--id",
          id,
          "--seed",
          String(options.seed),
          "--kubeconfig",
          kubeconfig,
          "--witness",
          witness.url,
          ...(options.election === true ? ["--election"] : []),
          ...(conduct === undefined ? [] : [`--${conduct}`])
        ],
        guard
      })
      const crash = Effect.gen(function* () {
        const at = now()
        yield* daemon.stop("SIGKILL")
        // Waits for what the process has already sent.
        yield* Effect.sleep("50 millis")
        witness.ledger.crashed(name, at)
      })
      return { name, proxy, process: daemon, clock: clockFile, crash } satisfies Holder
    })
  )
})

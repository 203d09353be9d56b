/**
 * The Kubernetes binaries, by the convention of Kubernetes' envtest: the environment variable `KUBEBUILDER_ASSETS` names a
 * folder with `etcd` and `kube-apiserver` (`setup-envtest use -p env` downloads them).
 *
 * An `apiextensions-apiserver` in the same folder is found as well. It serves CRDs only.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "node:path"
import { EnvtestError } from "./EnvtestError.ts"

/** A kind of API server that can be started. */
export type Server = "kube-apiserver" | "apiextensions-apiserver"

/** Full paths of the binaries. There is at least one server. */
export interface Assets {
  readonly etcd: string
  readonly servers: ReadonlyArray<{ readonly server: Server; readonly path: string }>
}

/** Looks for the binaries. The error says in one line what is missing. */
export const find: Effect.Effect<Assets, EnvtestError> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* Config.String("KUBEBUILDER_ASSETS").pipe(
    Config.withDefault(""),
    Effect.mapError((error) => missing(error.message))
  )
  if (folder === "") return yield* missing("KUBEBUILDER_ASSETS is not set")
  const has = (name: string) => Effect.orElseSucceed(fs.exists(Path.join(folder, name)), () => false)
  const servers: Array<Assets["servers"][number]> = []
  for (const server of ["kube-apiserver", "apiextensions-apiserver"] as const) {
    if (yield* has(server)) servers.push({ server, path: Path.join(folder, server) })
  }
  if (!(yield* has("etcd"))) return yield* missing("KUBEBUILDER_ASSETS names a folder without etcd")
  if (servers.length === 0) return yield* missing("KUBEBUILDER_ASSETS names a folder without kube-apiserver")
  return { etcd: Path.join(folder, "etcd"), servers }
}).pipe(Effect.provide(NodeFileSystem.layer))

const missing = (detail: string) => new EnvtestError({ step: "Kubernetes binaries", detail })

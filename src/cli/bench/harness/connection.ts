/** How to reach the cluster, in a form that can be sent to workers. */
import type * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import * as KubernetesClient from "../../../KubernetesClient.ts"

/** A kubeconfig as YAML, or the one that `kubectl` would find, with the file and context if given. */
export type Connection =
  | { readonly _tag: "Yaml"; readonly yaml: string }
  | { readonly _tag: "KubeConfig"; readonly file?: string | undefined; readonly context?: string | undefined }

/** The client for it. */
export const layer = (
  connection: Connection
): Layer.Layer<KubernetesClient.KubernetesClient, KubernetesClient.KubeConfigError> =>
  connection._tag === "Yaml"
    ? KubernetesClient.layerKubeConfigYaml(connection.yaml)
    : KubernetesClient.layerKubeConfig(connection)

/** The kubeconfig of a connection that names its file, as YAML. */
export const yamlOf = (connection: Connection): string =>
  connection._tag === "Yaml" ? connection.yaml : readFileSync(connection.file ?? "", "utf8")

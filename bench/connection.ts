/** How to reach the cluster, in a form that can be handed to threads. */
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as KubernetesClient from "../src/KubernetesClient.ts"

/** A kubeconfig as YAML, or the one that `kubectl` would find, with the file and context if given. */
export const Connection = Schema.Union([
  Schema.TaggedStruct("Yaml", { yaml: Schema.String }),
  Schema.TaggedStruct("KubeConfig", {
    file: Schema.UndefinedOr(Schema.String),
    context: Schema.UndefinedOr(Schema.String)
  })
])

/** A kubeconfig as YAML, or the one that `kubectl` would find, with the file and context if given. */
export type Connection = typeof Connection.Type

/** The client for it. */
export const layer = (
  connection: Connection
): Layer.Layer<KubernetesClient.KubernetesClient, KubernetesClient.KubeConfigError> =>
  connection._tag === "Yaml"
    ? KubernetesClient.layerKubeConfigYaml(connection.yaml)
    : KubernetesClient.layerKubeConfig(connection)

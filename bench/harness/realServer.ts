/** A client of a real kube-apiserver, for benchmarks that need nothing else. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { layerKubeConfigYaml } from "../../src/KubernetesClient.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"

/** Starts the server of `KUBEBUILDER_ASSETS`, whose etcd syncs every write to disk. It ends with the layer. */
export const layer = Layer.unwrap(
  Effect.map(Envtest.start({ server: "kube-apiserver" }), ({ kubeConfig }) => layerKubeConfigYaml(kubeConfig))
)

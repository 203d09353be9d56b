/** Why a kubeconfig, or the credentials that it means, cannot be used. */
import * as Schema from "effect/Schema"

/** The kubeconfig cannot be read, or names no usable cluster or credentials. `detail` is the reason. */
export class KubeConfigError extends Schema.Error<KubeConfigError>("kubelock/KubernetesClient/KubeConfigError")({
  _tag: Schema.tag("KubeConfigError"),
  detail: Schema.String
}) {
  override get message(): string {
    return `Cannot use the kubeconfig: ${this.detail}.`
  }
}

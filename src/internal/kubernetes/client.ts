/** What sends requests to one API server, and what it can fail with. */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Http from "./http.ts"

/** The kubeconfig cannot be read, or names no usable cluster or credentials. `detail` is the reason. */
export class KubeConfigError extends Schema.Error<KubeConfigError>("kubelock/KubernetesClient/KubeConfigError")({
  _tag: Schema.tag("KubeConfigError"),
  detail: Schema.String
}) {
  override get message(): string {
    return `Cannot use the kubeconfig: ${this.detail}.`
  }
}

/** The operations of the service `KubernetesClient`, which documents them. */
export interface Client {
  readonly server: string
  readonly namespace: string
  readonly request: (
    request: Http.Request,
    limits: Http.Limits
  ) => Effect.Effect<Http.Response, Http.TransportError | KubeConfigError>
  readonly watch: (
    request: Http.Request,
    limits: Http.Limits
  ) => Effect.Effect<Http.Response | Http.LineStream, Http.TransportError | KubeConfigError, Scope.Scope>
}

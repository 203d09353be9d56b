/** What sends requests to one API server. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Http from "./http.ts"
import type { KubeConfigError } from "./kubeConfigError.ts"

/** The operations of the service `KubernetesClient`, which documents them. */
export interface Client {
  readonly server: string
  readonly namespace: string
  readonly request: (
    request: Http.Request,
    limits: Http.Limits
  ) => Effect.Effect<Http.Response, Http.RequestError | KubeConfigError>
  readonly watch: (
    request: Http.Request,
    limits: Http.Limits
  ) => Effect.Effect<Http.Response | Http.LineStream, Http.RequestError | KubeConfigError, Scope.Scope>
}

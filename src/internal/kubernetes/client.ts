/** What sends requests to one API server. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Http from "./http.ts"
import type { KubeConfigError } from "./kubeConfigError.ts"

/** What another thread makes the same client from. It may be secret. */
export type ClientDescription =
  | { readonly yaml: string }
  | { readonly file?: string | undefined; readonly context?: string | undefined }

/** The descriptions of the clients that have one. A client that wraps another has none: what it adds would be missing elsewhere. */
export const descriptions = new WeakMap<Client, ClientDescription>()

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

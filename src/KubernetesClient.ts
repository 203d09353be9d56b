/**
 * The connection to an API server: its address, the credentials, and one set of pooled connections.
 *
 * Kubeconfigs are read as `kubectl` reads them (`docs/kubeconfig.md`). Credentials are read again every minute and after a
 * 401, so that rotated tokens and certificates are used. Connections are replaced only if the certificates change.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Client } from "./internal/kubernetes/client.ts"
import type * as ClientNode from "./internal/kubernetes/clientNode.ts"
import type * as Connect from "./internal/kubernetes/connect.ts"
import type { KubeConfigError } from "./internal/kubernetes/kubeConfigError.ts"

export { KubeConfigError } from "./internal/kubernetes/kubeConfigError.ts"

/**
 * The service that sends requests to one API server.
 *
 * **Details**
 *
 * - `server`: the URL of the server.
 * - `namespace`: the namespace of the kubeconfig's context, or `default`.
 * - `request`: sends a request. Succeeds with the whole response, whatever its status.
 * - `watch`: sends a request whose response arrives line by line until the scope closes. If the status is not 200, it
 *   succeeds with the whole response, as `request` does.
 *
 * After a 401, or if the certificate of the server does not verify, the credentials are read again, and the request is sent
 * once more. Both operations fail with `TransportError` if there is no response within the limits, with `UntrustedServer` if
 * the certificate does not verify then either, and with `KubeConfigError` if the credentials cannot be read.
 */
export class KubernetesClient extends Context.Service<KubernetesClient, Client>()("kubelock/KubernetesClient") {}

/** The kubeconfig to read, and the context to use. */
export interface KubeConfigOptions {
  /**
   * The path of the kubeconfig. By default these are the files that `kubectl` uses: those that `KUBECONFIG` names, or
   * `~/.kube/config`, or else the service account of the pod.
   */
  readonly file?: string | undefined
  /** The name of the context. By default it is the current one of the kubeconfig. */
  readonly context?: string | undefined
}

/**
 * A `KubeConfig` of `@kubernetes/client-node`.
 *
 * Only what it exports is used, in the way of this module; and what it makes of an `auth-provider`.
 */
export interface ClientNodeKubeConfig extends ClientNode.ClientNodeKubeConfig {}

/**
 * The client for a `KubeConfig` of `@kubernetes/client-node`, or for an effect that loads one.
 *
 * The effect runs again after a 401. An object is looked at again then: its token files, certificate files and plugins are
 * read anew, but what it once loaded from a kubeconfig stays as it is.
 */
export const layer = (
  kubeConfig: ClientNodeKubeConfig | Effect.Effect<ClientNodeKubeConfig, KubeConfigError>
): Layer.Layer<KubernetesClient, KubeConfigError> =>
  connected(({ toClientNode }) => toClientNode(Effect.isEffect(kubeConfig) ? kubeConfig : Effect.succeed(kubeConfig)))

/** The client for a kubeconfig from a file, by default as `kubectl` finds it. */
export const layerKubeConfig = (options: KubeConfigOptions = {}): Layer.Layer<KubernetesClient, KubeConfigError> =>
  connected(({ toFiles }) => toFiles(options))

/** The client for a kubeconfig as YAML, such as that of `ApiServer` in `kubelock/testing`. */
export const layerKubeConfigYaml = (yaml: string): Layer.Layer<KubernetesClient, KubeConfigError> =>
  connected(({ toYaml }) => toYaml(yaml))

// What only a client needs is loaded with the first one.
const connected = (connect: (module: typeof Connect) => Effect.Effect<Client, KubeConfigError, Scope.Scope>) =>
  Layer.effect(
    KubernetesClient,
    Effect.flatMap(
      Effect.promise(() => import("./internal/kubernetes/connect.ts")),
      connect
    )
  )

/** A `KubeConfig` of `@kubernetes/client-node`, as a user of that package has it. */
import * as Effect from "effect/Effect"
import { KubeConfigError } from "./kubeConfigError.ts"
import type { Target } from "./kubeConfig.ts"

/** The part of client-node's `KubeConfig` that is used. */
export interface ClientNodeKubeConfig {
  exportConfig(): string
  applyToHTTPSOptions(options: { headers: Record<string, string> }): Promise<void>
}

/** The kubeconfig in a `KubeConfig` of client-node. It writes the names of contexts twice, and token files in a way of its own. */
export const documentOf = (kubeConfig: ClientNodeKubeConfig): unknown => {
  const { contexts, users, ...rest } = JSON.parse(kubeConfig.exportConfig()) as {
    readonly contexts: ReadonlyArray<{ readonly name: string; readonly context: Record<string, unknown> }>
    readonly users: ReadonlyArray<{ readonly name: string; readonly user: Record<string, unknown> }>
  }
  return {
    ...rest,
    contexts: contexts.map(({ context: { cluster, namespace, user }, name }) => ({
      name,
      context: { cluster, namespace, user }
    })),
    users: users.map(({ name, user: { "auth-provider": provider, ...user } }) => ({
      name,
      user: { ...user, ...credentialsOf(provider as AuthProvider | undefined) }
    }))
  }
}

interface AuthProvider {
  readonly name: string
  readonly config?: { readonly tokenFile?: string }
}

const credentialsOf = (provider: AuthProvider | undefined | null): object => {
  if (provider === undefined || provider === null) return {}
  return provider.name === "tokenFile"
    ? { tokenFile: provider.config?.tokenFile }
    : { "auth-provider": { name: provider.name } }
}

/** The `Authorization` header that a `KubeConfig` of client-node makes. */
export const authorizationOf = (
  kubeConfig: ClientNodeKubeConfig,
  target: Target
): Effect.Effect<string, KubeConfigError> =>
  Effect.tryPromise({
    try: async () => {
      const options = { headers: {} as Record<string, string> }
      await kubeConfig.applyToHTTPSOptions(options)
      return options.headers["Authorization"]
    },
    catch: () => new KubeConfigError({ detail: `the auth-provider of ${target.names.user} failed` })
  }).pipe(
    Effect.flatMap((header) =>
      header === undefined
        ? Effect.fail(new KubeConfigError({ detail: `the auth-provider of ${target.names.user} gave no token` }))
        : Effect.succeed(header)
    )
  )

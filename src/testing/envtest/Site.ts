/** What the processes of one launch share: a temporary folder with certificates, a guard, and clients for their one address. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type { HttpMethod } from "effect/http/HttpMethod"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as Certificates from "./Certificates.ts"
import * as Client from "./Client.ts"
import * as Guard from "./Guard.ts"
import * as KubeConfig from "./KubeConfig.ts"

/** One request of the administrator, and its whole reply. */
export type Request = (
  method: HttpMethod,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>
) => Effect.Effect<Client.Reply, HttpClientError.HttpClientError>

/** The files in `directory` are those that `Flags.apiServer` names. `kubeConfig` is the administrator's. */
export interface Site {
  readonly url: string
  readonly ca: string
  readonly directory: string
  readonly guard: Guard.Guard
  readonly kubeConfig: string
  readonly kubeConfigPath: string
  readonly kubeConfigFor: (user: Certificates.User) => Effect.Effect<string>
  readonly client: HttpClient.HttpClient
  readonly clientFor: (user: Certificates.User) => Effect.Effect<HttpClient.HttpClient, never, Scope.Scope>
  readonly clientAt: (url: string) => Effect.Effect<HttpClient.HttpClient, never, Scope.Scope>
  readonly request: Request
}

/** Writes the files of servers that clients reach under one URL. The folder is removed when the scope closes. */
export const make = Effect.fnUntraced(function* (url: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-envtest-" })
  const guard = yield* Guard.make(directory)
  const authority = yield* Certificates.makeAuthority
  const { ca } = authority
  const serving = yield* authority.serving
  const serviceAccounts = yield* Certificates.signing
  const admin = yield* authority.client({ name: "admin", groups: ["system:masters"] })
  const kubeConfig = KubeConfig.make({ url, ca: ca.cert, user: "admin", credentials: admin })
  const files = {
    "ca.crt": ca.cert,
    "tls.crt": serving.cert,
    "tls.key": serving.key,
    "sa.pub": serviceAccounts.cert,
    "sa.key": serviceAccounts.key,
    kubeconfig: kubeConfig
  }
  yield* Effect.forEach(Object.entries(files), ([file, text]) =>
    fs.writeFileString(Path.join(directory, file), text, { mode: 0o600 })
  )
  const clientAt = (url: string) => Client.make(url, ca.cert, admin)
  const client = yield* clientAt(url)
  return {
    url,
    ca: ca.cert,
    directory,
    guard,
    kubeConfig,
    kubeConfigPath: Path.join(directory, "kubeconfig"),
    kubeConfigFor: (user) =>
      Effect.map(authority.client(user), (own) =>
        KubeConfig.make({ url, ca: ca.cert, user: user.name, credentials: own })
      ),
    client,
    clientFor: (user) => Effect.flatMap(authority.client(user), (own) => Client.make(url, ca.cert, own)),
    clientAt,
    request: (...args) => Client.send(client, ...args)
  } satisfies Site
})

/** Which conversation is held with which real server, and where its answers are written down. */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpMethod } from "effect/http/HttpMethod"
import * as Result from "effect/Result"
import { fileURLToPath } from "node:url"
import type * as Envtest from "../../../src/testing/envtest/Envtest.ts"
import type { Send } from "./converse.ts"
import { applyAfterClientSide, applyToConfigMap, applyToToken } from "./applyRequests.ts"
import { builtIns } from "./builtInRequests.ts"
import { customs } from "./customRequests.ts"
import { schemas } from "./schemaRequests.ts"
import type { Step } from "./step.ts"

/** A conversation with a real server. */
export interface Talk {
  readonly server: Envtest.Server
  readonly steps: ReadonlyArray<Step>
}

export const talks: ReadonlyArray<Talk> = [
  {
    server: "kube-apiserver",
    steps: [...builtIns.slice(0, -1), ...applyToConfigMap, ...applyAfterClientSide, ...builtIns.slice(-1)]
  },
  { server: "apiextensions-apiserver", steps: [...customs, ...schemas, ...applyToToken] }
]

/** The file with the answers of a server. */
export const file = (server: Envtest.Server): string =>
  fileURLToPath(new URL(`../../fixtures/conversations/${server}.json`, import.meta.url))

/** Sends requests to a real server. */
export const sendTo =
  ({ client }: Envtest.ApiServerProcess): Send =>
  ({ method, path, headers, body }) => {
    const { "content-type": contentType, ...others } = headers
    const request = HttpClientRequest.make(method as HttpMethod)(path).pipe(
      (self) => (body === undefined ? self : HttpClientRequest.bodyText(self, body, contentType)),
      HttpClientRequest.setHeaders(others)
    )
    return Effect.flatMap(client.execute(request), (response) =>
      Effect.map(response.text, (text) => ({ status: response.status, body: parse(text) }))
    )
  }

/** JSON, or text. */
export const parse = (text: string): unknown =>
  Result.getOrElse(
    Result.try((): unknown => JSON.parse(text)),
    () => text
  )

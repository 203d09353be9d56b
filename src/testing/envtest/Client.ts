/** Plain requests to an API server: pooled HTTP/1.1 with a client certificate. A reply of any status is a success. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpMethod } from "effect/http/HttpMethod"
import type * as Scope from "effect/Scope"
import type { KeyPair } from "./Certificates.ts"

/** A Kubernetes object, list or Status: the fields that tests look at. `text` is set if the body is not JSON. */
export interface Body {
  readonly [field: string]: unknown
  readonly kind?: string
  readonly reason?: string
  readonly message?: string
  readonly text?: string
  readonly metadata?: {
    readonly [field: string]: unknown
    readonly name?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly annotations?: Readonly<Record<string, string>>
    readonly labels?: Readonly<Record<string, string>>
  }
}

/** An answer of the API server. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Body
}

/** A client that takes paths (`/apis/...`). Sequential requests share one connection. */
export const make = (
  url: string,
  ca: string,
  credentials: KeyPair
): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const dispatcher = yield* NodeHttpClient.makeDispatcherOptions({
      allowH2: false,
      connect: { ca, cert: credentials.cert, key: credentials.key }
    })
    const client = yield* Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
    return HttpClient.mapRequest(client, HttpClientRequest.prependUrl(url))
  })

/** One request. A body is sent as JSON, or as a merge patch if the method is PATCH. `headers` override that. */
export const send = (
  client: HttpClient.HttpClient,
  method: HttpMethod,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>
): Effect.Effect<Reply, HttpClientError.HttpClientError> => {
  const request = HttpClientRequest.make(method)(path, { acceptJson: true }).pipe(
    (self) =>
      body === undefined
        ? self
        : HttpClientRequest.bodyText(
            self,
            JSON.stringify(body),
            method === "PATCH" ? "application/merge-patch+json" : "application/json"
          ),
    HttpClientRequest.setHeaders(headers ?? {})
  )
  return Effect.flatMap(client.execute(request), (response) =>
    Effect.map(response.text, (text) => ({ status: response.status, headers: response.headers, body: parse(text) }))
  )
}

const parse = (text: string): Body => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? (value as Body) : { text }
  } catch {
    return { text }
  }
}

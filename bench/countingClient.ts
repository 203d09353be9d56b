/** A Kubernetes client that counts what it is asked for, and which writes were refused. */
import * as Effect from "effect/Effect"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { KubernetesClient } from "../src/KubernetesClient.ts"
import * as Tally from "./tally.ts"

/** The client in context, counted. */
export const layer = (tally: Tally.Tally): Layer.Layer<KubernetesClient, never, KubernetesClient> =>
  Layer.effect(
    KubernetesClient,
    Effect.map(KubernetesClient, (client) => {
      const counted = <A extends { readonly status: number }, E>(
        request: HttpClientRequest.HttpClientRequest,
        sent: Effect.Effect<A, E>
      ) =>
        Effect.suspend(() => {
          Tally.count(tally, verbOf(request))
          return Effect.tap(sent, ({ status }) =>
            Effect.sync(() => {
              if (status === 409 || (status === 422 && request.method === "PATCH")) Tally.count(tally, "conflicts")
            })
          )
        })
      return KubernetesClient.of({
        ...client,
        execute: (request) => counted(request, client.execute(request)),
        ask: (request, bounds) => counted(request, client.ask(request, bounds))
      })
    })
  )

const verbOf = (request: HttpClientRequest.HttpClientRequest): Tally.Counter => {
  switch (request.method) {
    case "GET":
      return Option.isSome(UrlParams.getFirst(request.urlParams, "watch")) ? "watch" : "get"
    case "PUT":
      return "put"
    case "PATCH":
      return "patch"
    default:
      return "other"
  }
}

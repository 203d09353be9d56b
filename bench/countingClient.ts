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
    Effect.map(KubernetesClient, (client) =>
      KubernetesClient.of({
        ...client,
        execute: (request) =>
          Effect.suspend(() => {
            Tally.count(tally, verbOf(request))
            return client.execute(request)
          }).pipe(
            Effect.tap(({ status }) =>
              Effect.sync(() => {
                if (status === 409 || (status === 422 && request.method === "PATCH")) Tally.count(tally, "conflicts")
              })
            )
          )
      })
    )
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

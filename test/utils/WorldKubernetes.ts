/** The world of an API server, embedded or real. Plain requests create and delete objects with content. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as requests from "../../src/internal/kubernetes/encode.ts"
import type { Request } from "../../src/internal/kubernetes/http.ts"
import { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { data, World } from "./World.ts"

/** The content of the objects. It must not get lost. */
export const content = (resource: Resource.Resource, bytes: number): object =>
  resource.plural === "refreshtokens"
    ? { token: "s".repeat(bytes), claims: { userID: "1" } }
    : resource.plural === "leases"
      ? { spec: {} }
      : { data: { key: "dmFs".repeat(Math.ceil(bytes / 4)) } }

/** The world and the store of one resource in one namespace. */
export const layer = (
  options: Pick<ObjectStoreKubernetes.Options, "content" | "resource"> & { readonly namespace: string }
) => {
  const { namespace, resource } = options
  const world = Layer.effect(
    World,
    Effect.gen(function* () {
      const client = yield* KubernetesClient
      const left = new Set<string>()
      const send = (request: Request, ...statuses: ReadonlyArray<number>) =>
        Effect.gen(function* () {
          const { body, status } = yield* client.request(request, { timeoutMillis: 15_000, maxBytes: 1 << 22 })
          assert.include(statuses, status, body)
        }).pipe(Effect.orDie)
      const remove = (id: string, ...statuses: ReadonlyArray<number>) =>
        send({ method: "DELETE", path: Resource.objectPath(resource, namespace, id), headers: {} }, ...statuses)

      yield* Effect.addFinalizer(() => Effect.forEach(left, (id) => remove(id, 200, 404), { concurrency: 8 }))
      return World.of({
        make: (id, annotations = {}, bytes = 8) =>
          Effect.andThen(
            Effect.sync(() => left.add(id)),
            send(
              requests.post(Resource.collectionPath(resource, namespace), {
                apiVersion: Resource.apiVersion(resource),
                kind: resource.kind,
                metadata: { name: id, annotations },
                ...content(resource, bytes)
              }),
              201
            )
          ),
        delete: (id) => remove(id, 200),
        field: resource.plural === "leases" ? { path: ["spec"], value: { holderIdentity: "x" } } : data
      })
    })
  )
  return Layer.merge(world, ObjectStoreKubernetes.layer({ ...options, createIfMissing: false }))
}

/**
 * The limit: compare-and-swap writes by the plainest client there is, one after the other.
 *
 * They are what a lock writes as well: a merge patch under a resourceVersion, which sets an annotation and removes it
 * in turn, and asks for no more than the metadata. Two of them are the least that an acquisition and its release cost
 * without contention, one of them the least that a hand-over costs.
 */
import * as Undici from "@effect/platform-node/Undici"
import { KubeConfig } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Resource from "../../src/Resource.ts"

const annotation = "kubelock.bench/raw"

/** Opens one connection; what it answers writes once. Fails where the object has another writer. */
export const make = (
  kubeConfigYaml: string,
  { id, namespace }: { readonly id: string; readonly namespace: string }
): Effect.Effect<() => Promise<void>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromString(kubeConfigYaml)
    const cluster = kubeConfig.getCurrentCluster()!
    const user = kubeConfig.getCurrentUser()!
    const client = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Undici.Client(cluster.server, {
            allowH2: false,
            connect: { ca: decode(cluster.caData), cert: decode(user.certData), key: decode(user.keyData) }
          })
      ),
      (client) => Effect.promise(() => client.destroy())
    )
    const path = Resource.objectPath(Resource.refreshToken, namespace, id)
    const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

    const send = async (request: { readonly method: "GET" | "PATCH"; readonly body?: string }): Promise<string> => {
      const { body, statusCode } = await client.request({
        ...request,
        path,
        headers: { accept, "content-type": "application/merge-patch+json" }
      })
      const text = await body.text()
      if (statusCode !== 200) throw new Error(`${request.method} ${path}: ${statusCode} ${text}`)
      return (JSON.parse(text) as { readonly metadata: { readonly resourceVersion: string } }).metadata.resourceVersion
    }

    let writes = 0
    let resourceVersion = yield* Effect.promise(() => send({ method: "GET" }))
    return async () => {
      writes++
      const annotations = { [annotation]: writes % 2 === 1 ? `write ${writes}` : null }
      resourceVersion = await send({
        method: "PATCH",
        body: JSON.stringify({ metadata: { resourceVersion, annotations } })
      })
    }
  })

const decode = (base64: string | undefined): string => Buffer.from(base64 ?? "", "base64").toString()

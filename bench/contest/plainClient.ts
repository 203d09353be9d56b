/** The plainest client: undici, one object, no Kubernetes library. All other clients are slower. */
import * as Undici from "undici/index.js"
import { KubeConfig } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Resource from "../../src/Resource.ts"

/** A client of one object. Each promise is of the object's resourceVersion. */
export interface PlainClient {
  readonly read: () => Promise<string>
  /** A merge patch of the metadata, which includes the expected resourceVersion. */
  readonly write: (metadata: object) => Promise<string>
  /**
   * Calls with the resourceVersion of the object as it is, and of each change, while it has a label. A watch that the
   * server closes is opened again and starts with the object as it is. `broken` is called if that fails.
   */
  readonly watch: (
    label: string,
    call: (resourceVersion: string) => void,
    broken: (error: unknown) => void
  ) => Promise<void>
}

interface Decoded {
  readonly metadata: { readonly resourceVersion: string }
}

/** Makes the client. Each request has a connection of its own while it lasts. Watches share one. */
export const make = (
  kubeConfigYaml: string,
  { id, namespace }: { readonly id: string; readonly namespace: string }
): Effect.Effect<PlainClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromString(kubeConfigYaml)
    const { caData, server: origin } = kubeConfig.getCurrentCluster()!
    const { certData, keyData } = kubeConfig.getCurrentUser()!
    const connect = { ca: decode(caData), cert: decode(certData), key: decode(keyData) }
    const connection = (allowH2: boolean) =>
      Effect.acquireRelease(
        Effect.sync(() => new Undici.Agent({ allowH2, connect })),
        (agent) => Effect.promise(() => agent.destroy())
      )
    const requests = yield* connection(false)
    const watches = yield* connection(true)
    const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    const path = Resource.objectPath(Resource.refreshToken, namespace, id)

    const send = async (request: { readonly method: "GET" | "PATCH"; readonly body?: string }): Promise<string> => {
      const { body, statusCode } = await requests.request({
        ...request,
        origin,
        path,
        headers: { accept, "content-type": "application/merge-patch+json" }
      })
      const text = await body.text()
      if (statusCode !== 200) throw new Error(`${request.method} ${path}: ${statusCode} ${text}`)
      return (JSON.parse(text) as Decoded).metadata.resourceVersion
    }

    return {
      read: () => send({ method: "GET" }),
      write: (metadata) => send({ method: "PATCH", body: JSON.stringify({ metadata }) }),
      watch: async (label, call, broken) => {
        const query = new URLSearchParams({
          watch: "1",
          fieldSelector: `metadata.name=${id}`,
          labelSelector: label
        })
        const open = async (): Promise<void> => {
          const { body, statusCode } = await watches.request({
            origin,
            path: `${Resource.collectionPath(Resource.refreshToken, namespace)}?${query}`,
            method: "GET",
            headers: { accept },
            headersTimeout: 0,
            bodyTimeout: 0
          })
          if (statusCode !== 200) throw new Error(`watch ${path}: ${statusCode} ${await body.text()}`)
          let unread = ""
          body.on("error", () => {})
          body.on("end", () => void open().catch(broken))
          body.on("data", (chunk: Uint8Array) => {
            const lines = (unread + Buffer.from(chunk).toString()).split("\n")
            unread = lines.pop()!
            for (const line of lines) {
              const { object, type } = JSON.parse(line) as { readonly type: string; readonly object: Decoded }
              if (type === "ADDED" || type === "MODIFIED") call(object.metadata.resourceVersion)
            }
          })
        }
        await open()
      }
    }
  })

const decode = (base64: string | undefined): string => Buffer.from(base64 ?? "", "base64").toString()

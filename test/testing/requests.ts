/** Requests for RefreshTokens and ConfigMaps, and tests with a server of their own. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { type Sent, send } from "./http.ts"

export const maps = Resource.collectionPath(Resource.configMap, "default")
export const tokens = Resource.collectionPath(Resource.refreshToken, "dex")
export const json = { "content-type": "application/json" }
export const mergePatch = { "content-type": "application/merge-patch+json" }
export const jsonPatch = { "content-type": "application/json-patch+json" }
export const metadataOnly = { accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" }

export const ask = (sent: Sent) => Effect.flatMap(ApiServer.ApiServer, ({ url }) => send(url, sent))
export const token = (name: string, more: object = {}) =>
  JSON.stringify({ apiVersion: "dex.coreos.com/v1", kind: "RefreshToken", metadata: { name }, ...more })
export const post = (body: string, headers: Readonly<Record<string, string>> = {}) =>
  ask({ method: "POST", path: tokens, headers: { ...json, ...headers }, body })
export const patch = (name: string, body: unknown, headers: Readonly<Record<string, string>> = mergePatch) =>
  ask({ method: "PATCH", path: `${tokens}/${name}`, headers, body: JSON.stringify(body) })
export const test = (
  name: string,
  effect: Effect.Effect<unknown, unknown, ApiServer.ApiServer | Scope.Scope>,
  options?: ApiServer.Options
) => it.effect(name, () => effect.pipe(Effect.provide(ApiServer.layer({ namespaces: ["dex"], ...options }))))

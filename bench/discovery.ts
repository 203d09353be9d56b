/** Which resource `--resource` means: a preset, or any that the API server knows. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as LockError from "../src/LockError.ts"
import type { ApiClient } from "../src/internal/kubernetes/apiClient.ts"
import * as requests from "../src/internal/kubernetes/encode.ts"
import * as status from "../src/internal/kubernetes/responseError.ts"
import * as Resource from "../src/Resource.ts"
import { LoadError } from "./loadError.ts"

const presets: Readonly<Record<string, Resource.Resource>> = {
  refreshtokens: Resource.refreshToken,
  configmaps: Resource.configMap,
  secrets: Resource.secret
}

const ResourceList = Schema.fromJsonString(
  Schema.Struct({
    resources: Schema.Array(Schema.Struct({ name: Schema.String, kind: Schema.String, namespaced: Schema.Boolean }))
  })
)

/** Finds a resource by a preset's name or as `PLURAL.VERSION.GROUP`, whose kind and scope the API server tells. */
export const find = Effect.fnUntraced(function* (
  exchange: ApiClient,
  wanted: string
): Effect.fn.Return<Resource.Resource, LoadError | LockError.StoreError> {
  const preset = presets[wanted]
  if (preset !== undefined) return preset
  const [, plural, version, group] = /^([a-z0-9]+)\.(v[a-z0-9]+)\.([a-z0-9.-]*)$/.exec(wanted) ?? []
  if (plural === undefined || version === undefined || group === undefined) {
    return yield* new LoadError({
      message: `--resource ${JSON.stringify(wanted)} is neither ${Object.keys(presets).join(", ")} nor of the form PLURAL.VERSION.GROUP, such as leases.v1.coordination.k8s.io`
    })
  }
  const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`
  const about = { id: wanted, verb: "discover", object: path }
  const answer = yield* exchange.request(requests.get(path), about)
  if (answer.status === 404) {
    return yield* new LoadError({ message: `--resource ${wanted}: the API server does not serve ${path}` })
  }
  if (answer.status !== 200) return yield* status.toError(answer, about)
  const { resources } = yield* Effect.mapError(
    Schema.decodeEffect(ResourceList)(answer.body),
    () => new LoadError({ message: `--resource ${wanted}: ${path} did not answer with a list of resources` })
  )
  const found = resources.find(({ name }) => name === plural)
  if (found === undefined) {
    return yield* new LoadError({
      message: `--resource ${wanted}: ${path} has no ${plural}, but ${resources
        .map(({ name }) => name)
        .filter((name) => !name.includes("/"))
        .join(", ")}`
    })
  }
  return Resource.make({ group, version, plural, kind: found.kind, namespaced: found.namespaced })
})

/** The resource that `--resource` names: a preset, or any that the API server serves. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as LockError from "../../src/LockError.ts"
import * as Resource from "../../src/Resource.ts"
import type { Api } from "../../src/cli/bench/harness/api.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"

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

/** Finds a resource by the name of a preset, or as `PLURAL.VERSION.GROUP`: the API server knows its kind and scope. */
export const find = Effect.fnUntraced(function* (
  api: Api,
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
  const failed = (detail: string) => new LoadError({ message: `--resource ${wanted}: ${detail}` })
  const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`
  const { resources } = yield* api({ method: "GET", path, id: wanted, verb: "discover", object: path }).pipe(
    Effect.flatMap(Schema.decodeEffect(ResourceList)),
    Effect.catchTag("LockNotFound", () => failed(`the API server does not serve ${path}`)),
    Effect.catchTag("SchemaError", () => failed(`${path} did not answer with a list of resources`))
  )
  const found = resources.find(({ name }) => name === plural)
  if (found === undefined) {
    const names = resources.map(({ name }) => name).filter((name) => !name.includes("/"))
    return yield* failed(`${path} has no ${plural}, but ${names.join(", ")}`)
  }
  return Resource.make({ group, version, plural, kind: found.kind, namespaced: found.namespaced })
})

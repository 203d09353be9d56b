/** The resources that the server serves. */
import * as Resource from "../../Resource.ts"
import { resourceKey } from "./objectTable.ts"
import type { Target } from "./requestPath.ts"

/** The resource of namespaces, which is always served. */
export const namespaces = Resource.make({
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  namespaced: false
})

/** What the server knows about a resource. */
export interface Entry {
  readonly key: string
  readonly kind: string | undefined
  readonly namespaced: boolean | undefined
}

/** The resources that the server serves: the given ones, or any. */
export class Catalog {
  readonly #resources = new Map<string, Resource.Resource>()
  readonly #kinds = new Map<string, string>()
  readonly #isClosed: boolean

  constructor(resources: ReadonlyArray<Resource.Resource> | undefined) {
    this.#isClosed = resources !== undefined
    for (const resource of [
      namespaces,
      ...(resources ?? [Resource.configMap, Resource.secret, Resource.refreshToken])
    ]) {
      this.#resources.set(resourceKey(resource), resource)
    }
  }

  find(target: Target): Entry | undefined {
    const key = resourceKey(target)
    const resource = this.#resources.get(key)
    if (resource !== undefined) return { key, kind: resource.kind, namespaced: resource.namespaced }
    return this.#isClosed ? undefined : { key, kind: this.#kinds.get(key), namespaced: undefined }
  }

  /** Sets the kind of a resource that was not configured. */
  setKind(key: string, kind: string): void {
    if (!this.#resources.has(key)) this.#kinds.set(key, kind)
  }

  /** The `APIResourceList` of a group and version, as JSON. `undefined` if it has no resources. */
  discover(group: string, version: string): string | undefined {
    const resources = [...this.#resources.values()].filter(
      (resource) => resource.group === group && resource.version === version
    )
    if (resources.length === 0) return undefined
    return JSON.stringify({
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: group === "" ? version : `${group}/${version}`,
      resources: resources.map((resource) => ({
        name: resource.plural,
        singularName: resource.kind.toLowerCase(),
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: ["delete", "get", "list", "patch", "create", "update", "watch"]
      }))
    })
  }
}

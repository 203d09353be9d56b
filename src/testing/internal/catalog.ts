/** Which resources the server serves, and what it knows of them. */
import * as Resource from "../../Resource.ts"
import { resourceKey } from "./objectTable.ts"
import type { Target } from "./requestPath.ts"

/** The resource of namespaces, always served. */
export const namespaces = Resource.make({
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  namespaced: false
})

/** What is known of the resource that a path names. */
export interface Entry {
  readonly key: string
  readonly kind: string | undefined
  readonly namespaced: boolean | undefined
}

/** The resources served: those given, or any. */
export class Catalog {
  readonly #known = new Map<string, Resource.Resource>()
  readonly #learned = new Map<string, string>()
  readonly #closed: boolean

  constructor(resources: ReadonlyArray<Resource.Resource> | undefined) {
    this.#closed = resources !== undefined
    for (const resource of [
      namespaces,
      ...(resources ?? [Resource.configMap, Resource.secret, Resource.refreshToken])
    ]) {
      this.#known.set(resourceKey(resource), resource)
    }
  }

  find(target: Target): Entry | undefined {
    const key = resourceKey(target)
    const known = this.#known.get(key)
    if (known !== undefined) return { key, kind: known.kind, namespaced: known.namespaced }
    return this.#closed ? undefined : { key, kind: this.#learned.get(key), namespaced: undefined }
  }

  /** Remembers the kind of objects of a resource that nobody described. */
  learn(key: string, kind: string): void {
    if (!this.#known.has(key)) this.#learned.set(key, kind)
  }

  /** The `APIResourceList` of a group's version, where it has resources. */
  discover(group: string, version: string): string | undefined {
    const resources = [...this.#known.values()].filter((it) => it.group === group && it.version === version)
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

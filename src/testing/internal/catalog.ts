/** The kinds that the server serves. It follows the CustomResourceDefinitions that clients make and delete. */
import * as Resource from "../../Resource.ts"
import { isBuiltInGroup } from "./kinds/builtInGroups.ts"
import { kindsOf } from "./kinds/customResource.ts"
import { definition, type Definition } from "./kinds/definition.ts"
import { builtInKinds, namespace } from "./kinds/index.ts"
import { type Kind, opaque } from "./kinds/kind.ts"
import { type ObjectTable, resourceKey, type TableEvent, type Version } from "./objectTable.ts"
import type { Target } from "./requestPath.ts"

/** What the catalog says about a resource. `NotModelled` is a resource of Kubernetes itself that this server lacks. */
export type Found =
  | { readonly _tag: "Served"; readonly kind: Kind }
  | { readonly _tag: "Unlisted"; readonly kind: Kind }
  | { readonly _tag: "NotModelled" }
  | { readonly _tag: "Unknown" }

/** The kinds: the given ones, or the built-in ones and any custom resource. */
export class Catalog {
  readonly #kinds = new Map<string, Kind>()
  /** The kinds of resources that nobody listed, as the first object has them. */
  readonly #seen = new Map<string, string>()
  readonly #isClosed: boolean

  constructor(resources: ReadonlyArray<Resource.Resource> | undefined, table: ObjectTable) {
    this.#isClosed = resources !== undefined
    const listed = resources?.map(
      (resource) =>
        builtInKinds.find((kind) => resourceKey(kind) === resourceKey(resource)) ??
        opaque(resource, isBuiltInGroup(resource.group))
    )
    for (const kind of [namespace, ...(listed ?? [...builtInKinds, opaque(Resource.refreshToken, false)])])
      this.#kinds.set(resourceKey(kind), kind)
    const notify = (event: TableEvent) => {
      for (const kind of kindsIn(event.before)) this.#kinds.delete(resourceKey(kind))
      for (const kind of kindsIn(event.after)) this.#kinds.set(resourceKey(kind), kind)
    }
    table.watch(resourceKey(definition), { namespace: "", name: undefined, notify }, 0)
  }

  /** All kinds that are listed. */
  get kinds(): ReadonlyArray<Kind> {
    return [...this.#kinds.values()]
  }

  find(target: Target): Found {
    const key = resourceKey(target)
    const kind = this.#kinds.get(key)
    if (kind !== undefined) return { _tag: "Served", kind }
    if (this.#isClosed) return { _tag: "Unknown" }
    if (isBuiltInGroup(target.group)) return { _tag: "NotModelled" }
    const { group, plural, version } = target
    const names = { group, version, plural, kind: this.#seen.get(key) ?? guess(plural), namespaced: true }
    return { _tag: "Unlisted", kind: opaque(names, false) }
  }

  /** Whether the kind of an unlisted resource is not known yet. */
  isGuess(kind: Kind): boolean {
    const key = resourceKey(kind)
    return !this.#kinds.has(key) && !this.#seen.has(key)
  }

  /** Remembers the kind of an unlisted resource. */
  learn(resource: Pick<Target, "group" | "version" | "plural">, kind: string): void {
    const key = resourceKey(resource)
    if (!this.#kinds.has(key)) this.#seen.set(key, kind)
  }
}

const kindsIn = (stored: Version | undefined): ReadonlyArray<Kind> =>
  stored === undefined ? [] : kindsOf(stored.object as Definition)

/** The kind that a plural suggests: `policies` is `Policy`. Before there is an object, a list has no other name. */
const guess = (plural: string): string => {
  const singular = plural.endsWith("ies")
    ? `${plural.slice(0, -3)}y`
    : /(?:s|x|ch|sh)es$/.test(plural)
      ? plural.slice(0, -2)
      : plural.replace(/s$/, "")
  return `${singular.charAt(0).toUpperCase()}${singular.slice(1)}`
}

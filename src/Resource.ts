/**
 * Which kind of object carries the locks: group, version, plural, scope.
 *
 * A lock's id is an object's name. Here names are checked and URL paths are built, so that no id can ever become
 * another URL.
 */
import * as Result from "effect/Result"
import { InvalidName } from "./LockError.ts"

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/**
 * One resource of the Kubernetes API.
 *
 * `createIfMissing` says whether locking an object that is not there makes it; off for objects that belong to others.
 * `besideDex` says whether Dex locks these objects too.
 */
export interface Resource {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  readonly createIfMissing: boolean
  readonly sharedWithDex: boolean
}

/**
 * Describes any resource.
 *
 * `group` is `""` for the core group; `namespaced` defaults to true, `createIfMissing` and `besideDex` to false. Throws a
 * `RangeError` where a part could not stand in a URL path.
 */
export const make = (options: {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced?: boolean | undefined
  readonly createIfMissing?: boolean | undefined
  readonly sharedWithDex?: boolean | undefined
}): Resource => {
  const check = (what: string, value: string, pattern: RegExp) => {
    if (!pattern.test(value) || value.length > 253) {
      throw new RangeError(`Resource.make: ${what} must match ${pattern.source}, got ${JSON.stringify(value)}`)
    }
    return value
  }
  return {
    group: options.group === "" ? "" : check("group", options.group, subdomain),
    version: check("version", options.version, label),
    plural: check("plural", options.plural, subdomain),
    kind: check("kind", options.kind, /^[A-Z][A-Za-z0-9]*$/),
    namespaced: options.namespaced ?? true,
    createIfMissing: options.createIfMissing ?? false,
    sharedWithDex: options.sharedWithDex ?? false
  }
}

/** ConfigMaps: the resource for locks of one's own. A missing one is created. */
export const configMap: Resource = make({
  group: "",
  version: "v1",
  plural: "configmaps",
  kind: "ConfigMap",
  createIfMissing: true
})

/** Secrets, which belong to somebody: a missing one is an error. */
export const secret: Resource = make({ group: "", version: "v1", plural: "secrets", kind: "Secret" })

/** Dex's RefreshToken (`refreshtokens.dex.coreos.com`), which Dex makes and locks too. */
export const refreshToken: Resource = make({
  group: "dex.coreos.com",
  version: "v1",
  plural: "refreshtokens",
  kind: "RefreshToken",
  sharedWithDex: true
})

/** The resource as `kubectl` spells it: `configmaps`, `refreshtokens.dex.coreos.com`. */
export const name = (self: Resource): string => (self.group === "" ? self.plural : `${self.plural}.${self.group}`)

/** The API's `apiVersion` field: `v1`, `dex.coreos.com/v1`. */
export const apiVersion = (self: Resource): string =>
  self.group === "" ? self.version : `${self.group}/${self.version}`

/** An object for people to read, as `kubectl` would find it: `refreshtokens.dex.coreos.com/tok-a in namespace dex`. */
export const describe = (self: Resource, namespace: string, id: string): string =>
  `${name(self)}/${id}${self.namespaced ? ` in namespace ${namespace}` : ""}`

/** The URL path of all the objects (POST, LIST and watch go there). */
export const collectionPath = (self: Resource, namespace: string): string =>
  `${self.group === "" ? "/api" : `/apis/${self.group}`}/${self.version}${
    self.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : ""
  }/${self.plural}`

/** The URL path of one object (GET, PATCH, PUT and DELETE go there). */
export const objectPath = (self: Resource, namespace: string, id: string): string =>
  `${collectionPath(self, namespace)}/${encodeURIComponent(id)}`

/**
 * Accepts an id that can name an object: a DNS subdomain by RFC 1123, at most 253 characters of `a-z`, `0-9`, `-` and
 * `.`, which begins and ends with a letter or a digit (a Kubernetes API convention).
 */
export const checkName = (id: string): Result.Result<string, InvalidName> => {
  const problem =
    id.length === 0
      ? "it is empty"
      : id.length > 253
        ? `it has ${id.length} characters, and 253 are allowed`
        : subdomain.test(id)
          ? undefined
          : "a name has only the characters a-z, 0-9, - and ., and each part between dots begins and ends with a letter or a digit"
  return problem === undefined ? Result.succeed(id) : Result.fail(new InvalidName({ id: id.slice(0, 300), problem }))
}

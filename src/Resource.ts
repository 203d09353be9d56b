/**
 * The kind of object that locks are stored on: group, version, plural, scope.
 *
 * The id of a lock is the name of an object. This module checks names and builds URL paths, so no id can become a
 * different URL.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { InvalidName } from "./LockError.ts"
import * as LockPolicy from "./LockPolicy.ts"

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/**
 * A resource of the Kubernetes API.
 *
 * - `group`, `version`, `plural`, `kind`: its names. The core group is `""`.
 *
 * **Details**
 *
 * Tracking costs the API server up to half of the CPU time of a write, and the list is more than half of each answer and each event. So
 * the next write to the object resets the list, as Kubernetes allows: `managedFields: [{}]`. The server then tracks nothing until
 * somebody applies the object server-side (`kubectl apply --server-side`, Argo CD, Flux).
 *
 * The reset erases who wrote which field and when, which `kubectl get --show-managed-fields` shows. The first manager that applies the
 * object afterwards finds its fields owned by `before-first-apply`, so that a change of one is a conflict. A list is left alone if, as far
 * as the last answer shows, somebody applies the object already.
 */
export interface Resource {
  /** The name of its API group, `""` for the core group. */
  readonly group: string
  /** The version of the API, such as `v1`. */
  readonly version: string
  /** Its name in URLs and roles, such as `configmaps`. */
  readonly plural: string
  /** Its name in objects, such as `ConfigMap`. */
  readonly kind: string
  /** Whether its objects are in a namespace. */
  readonly namespaced: boolean
  /** Whether the lock creates a missing object. `false` for objects that belong to another program. */
  readonly createIfMissing: boolean
  /** Whether Dex locks these objects, too. */
  readonly sharedWithDex: boolean
  /** The annotation that is the lock, if the policy names none. */
  readonly annotation: string
  /**
   * Whether the API server goes on tracking which writer owns which field (`metadata.managedFields`) of objects that
   * no lock made. Of an object that a lock made (the label `app.kubernetes.io/managed-by: kubelock`) it does not,
   * whatever this says.
   */
  readonly tracksFields: boolean
}

/**
 * Makes a resource.
 *
 * `namespaced` and `tracksFields` are `true` by default, `createIfMissing` and `sharedWithDex` are `false`. `annotation` is
 * `dexidp.com/resource-lock` if Dex shares the objects, and `kubelock.dev/lock` otherwise. Throws a `RangeError` if a name cannot be
 * part of a URL path, or if `annotation` is not one that `LockPolicy.make` takes.
 */
export const make = (options: {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced?: boolean | undefined
  readonly createIfMissing?: boolean | undefined
  readonly sharedWithDex?: boolean | undefined
  readonly annotation?: string | undefined
  readonly tracksFields?: boolean | undefined
}): Resource => {
  const check = (field: string, value: string, pattern: RegExp) => {
    if (!pattern.test(value) || value.length > 253) {
      throw new RangeError(`Resource.make: ${field} must match ${pattern.source}, but is ${JSON.stringify(value)}`)
    }
    return value
  }
  const sharedWithDex = options.sharedWithDex ?? false
  return {
    group: options.group === "" ? "" : check("group", options.group, subdomain),
    version: check("version", options.version, label),
    plural: check("plural", options.plural, subdomain),
    kind: check("kind", options.kind, /^[A-Z][A-Za-z0-9]*$/),
    namespaced: options.namespaced ?? true,
    createIfMissing: options.createIfMissing ?? false,
    sharedWithDex,
    annotation: LockPolicy.make({ annotation: options.annotation }).annotation ?? defaultAnnotation(sharedWithDex),
    tracksFields: options.tracksFields ?? true
  }
}

const defaultAnnotation = (sharedWithDex: boolean): string =>
  sharedWithDex ? LockPolicy.dexAnnotation : LockPolicy.neutralAnnotation

/** ConfigMaps: the resource for locks that need no other object. A missing ConfigMap is created. */
export const configMap: Resource = make({
  group: "",
  version: "v1",
  plural: "configmaps",
  kind: "ConfigMap",
  createIfMissing: true
})

/** Secrets. They belong to another program, so a missing Secret is an error. */
export const secret: Resource = make({ group: "", version: "v1", plural: "secrets", kind: "Secret" })

/**
 * Leases (`coordination.k8s.io`): the resource of leader election, and of locks that need no other object. A missing Lease is
 * created. Fields are not tracked: whoever elects writes whole Leases.
 */
export const lease: Resource = make({
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  createIfMissing: true,
  tracksFields: false
})

/**
 * The RefreshToken of Dex (`refreshtokens.dex.coreos.com`). Dex creates these objects and locks them, too. Fields are not tracked: Dex
 * writes whole objects.
 */
export const refreshToken: Resource = make({
  group: "dex.coreos.com",
  version: "v1",
  plural: "refreshtokens",
  kind: "RefreshToken",
  sharedWithDex: true,
  tracksFields: false
})

/**
 * The resource that a text names: a preset by its name in `kubectl` (`configmaps`, `secrets`, `leases.coordination.k8s.io`,
 * `refreshtokens.dex.coreos.com`), or any other by `<plural>.<version>.<group>/<Kind>`, without a group for the core
 * (`widgets.v1.example.com/Widget`, `services.v1/Service`). Objects of any other are in namespaces, and a missing one is not created.
 * Nothing if the text is none of these.
 */
export const fromName = (text: string): Option.Option<Resource> => {
  const preset = [configMap, secret, lease, refreshToken].find((preset) => name(preset) === text)
  if (preset !== undefined) return Option.some(preset)
  const [, plural, version, group = "", kind] = /^([^./]+)\.([^./]+)(?:\.([^/]+))?\/([^/]+)$/.exec(text) ?? []
  return plural === undefined
    ? Option.none()
    : Option.liftThrowable(make)({ plural, version: version!, group, kind: kind! })
}

/** The name of the resource as in `kubectl`: `configmaps`, `refreshtokens.dex.coreos.com`. */
export const name = (self: Resource): string => (self.group === "" ? self.plural : `${self.plural}.${self.group}`)

/** The value of the field `apiVersion`: `v1`, `dex.coreos.com/v1`. */
export const apiVersion = (self: Resource): string =>
  self.group === "" ? self.version : `${self.group}/${self.version}`

/** An object as messages name it: `refreshtokens.dex.coreos.com/tok-a in namespace dex`. */
export const describe = (self: Resource, namespace: string, id: string): string =>
  `${name(self)}/${id}${self.namespaced ? ` in namespace ${namespace}` : ""}`

/** The URL path of all objects, for POST, LIST and watch. */
export const collectionPath = (self: Resource, namespace: string): string =>
  `${self.group === "" ? "/api" : `/apis/${self.group}`}/${self.version}${
    self.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : ""
  }/${self.plural}`

/** The URL path of one object, for GET, PATCH, PUT and DELETE. */
export const objectPath = (self: Resource, namespace: string, id: string): string =>
  `${collectionPath(self, namespace)}/${encodeURIComponent(id)}`

/**
 * Checks that an id is a valid name of an object (a Kubernetes API convention): a DNS subdomain by RFC 1123, of at most
 * 253 characters `a-z`, `0-9`, `-` and `.`. Each part between dots begins and ends with a letter or a digit.
 */
export const checkName = (id: string): Result.Result<string, InvalidName> => {
  const problem =
    id.length === 0
      ? "it is empty"
      : id.length > 253
        ? `it has ${id.length} characters, but at most 253 are allowed`
        : subdomain.test(id)
          ? undefined
          : "only the characters a-z, 0-9, - and . are allowed, and each part between dots must begin and end with a letter or a digit"
  return problem === undefined ? Result.succeed(id) : Result.fail(new InvalidName({ id: id.slice(0, 300), problem }))
}

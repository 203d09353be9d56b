/** Encodes requests to the API server. Pure. */
import type * as Schema from "effect/Schema"
import type { ConditionalPatch, Copy, FieldPatch, MetadataPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import type { Request } from "./http.ts"

/** A GET of an object, a list or a watch. */
export const get = (path: string): Request => ({ method: "GET", path, headers: {} })

/** A POST that creates an object. The response is the object as created. */
export const post = (path: string, object: unknown): Request =>
  withJson("POST", withFieldManager(path), object, "application/json")

/** A DELETE of an object, on condition that it is this version. */
export const remove = (
  path: string,
  { resourceVersion, uid }: Pick<ObjectSnapshot, "uid" | "resourceVersion">
): Request => withJson("DELETE", path, { preconditions: { uid, resourceVersion } }, "application/json")

/** A request with a JSON body. */
export const withJson = (method: Request["method"], path: string, body: unknown, contentType: string): Request => ({
  method,
  path,
  headers: { "content-type": contentType },
  body: spelledAsByGo(JSON.stringify(body))
})

// A test of a JSON patch passes only if the text is spelled as Go spells it.
const spelledAsByGo = (json: string): string =>
  json.replaceAll(/[&<>\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

/**
 * The same request for metadata only: the response leaves out the content of the object. An aggregated API that does not
 * know this form answers with the whole object, the second choice.
 */
export const metadataOnly = (request: Request): Request => accepting(request, "PartialObjectMetadata")

/** The same for the request of a list. */
export const metadataListOnly = (request: Request): Request => accepting(request, "PartialObjectMetadataList")

const accepting = (request: Request, form: string): Request => ({
  ...request,
  headers: { ...request.headers, accept: `application/json;as=${form};g=meta.k8s.io;v=v1,application/json` }
})

/**
 * A PATCH of an object: a JSON merge patch if the precondition is a resourceVersion, a JSON patch if it is a set of
 * annotations. `resetsTracking`: the server forgets who owns which field, whether it lists that or not.
 */
export const patch = (path: string, write: ConditionalPatch, resetsTracking: boolean): Request =>
  "resourceVersion" in write.expect
    ? withJson(
        "PATCH",
        withFieldManager(path),
        {
          ...merged(write.content ?? []),
          metadata: {
            resourceVersion: write.expect.resourceVersion,
            managedFields: resetsTracking ? untracked : undefined,
            annotations: write.annotations,
            labels: write.labels
          }
        },
        "application/merge-patch+json"
      )
    : withJson(
        "PATCH",
        withFieldManager(path),
        [
          ...Object.entries(write.expect.annotations).map(([key, value]) => precondition(annotationPath(key), value)),
          ...(write.expect.absent ?? []).map((path) => precondition(path, false)),
          ...(write.expect.hasLabels === false ? createLabels : []),
          ...(resetsTracking ? set(["metadata", "managedFields"], untracked) : []),
          ...copiesOf(write).map(copy),
          ...changesOf(write.annotations, write.expect.annotations),
          ...stampsOf(write).map(stamp),
          ...Object.entries(write.labels ?? {}).flatMap(([key, value]) => set(labelPath(key), value)),
          ...(write.content ?? []).flatMap(({ path, value }) => set(path, value))
        ],
        "application/json-patch+json"
      )

const stampsOf = (write: ConditionalPatch): ReadonlyArray<string> => ("stamps" in write ? (write.stamps ?? []) : [])

const copiesOf = (write: ConditionalPatch): ReadonlyArray<Copy> => ("copies" in write ? (write.copies ?? []) : [])

const copy = ({ from, to }: Copy): object => ({
  op: "copy",
  from: pointer(annotationPath(from)),
  path: pointer("label" in to ? labelPath(to.label) : annotationPath(to.annotation))
})

// The server applies a patch to the object that it is about to replace, so no two writes copy the same version.
const stamp = (key: string): object => ({
  op: "copy",
  from: "/metadata/resourceVersion",
  path: pointer(annotationPath(key))
})

/** The same request as a dry run: the server answers as if it had applied it, and does not. */
export const dryRun = (request: Request): Request => ({ ...request, path: `${request.path}&dryRun=All` })

// The list of field managers that Kubernetes takes as the order to forget it.
const untracked: Schema.Json = [{}]

// Kubernetes records which client manages which field.
const withFieldManager = (path: string): string => `${path}?fieldManager=kubelock`

// A merge patch makes the fields on the way to one that it sets.
const merged = (fields: ReadonlyArray<FieldPatch>): object => {
  const patch: Record<string, unknown> = {}
  for (const { path, value } of fields) {
    const [last, ...way] = path.toReversed()
    const parent = way.reduceRight<Record<string, unknown>>(
      (within, name) => (within[name] ??= {}) as Record<string, unknown>,
      patch
    )
    parent[last!] = value
  }
  return patch
}

const annotationPath = (key: string): ReadonlyArray<string> => ["metadata", "annotations", key]

const labelPath = (key: string): ReadonlyArray<string> => ["metadata", "labels", key]

const pointer = (path: ReadonlyArray<string>): string =>
  path.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")

// On an API server, a test for null passes if the key is absent. No test passes for any value, but moving an absent key
// fails.
const precondition = (path: ReadonlyArray<string>, wanted: string | boolean): object =>
  wanted === true
    ? { op: "move", from: pointer(path), path: pointer(path) }
    : { op: "test", path: pointer(path), value: wanted === false ? null : wanted }

// "add" needs its parent: a label can be added only if the object has labels.
const createLabels: ReadonlyArray<object> = [
  { op: "test", path: "/metadata/labels", value: null },
  { op: "add", path: "/metadata/labels", value: {} }
]

const changesOf = (
  annotations: MetadataPatch,
  expected: Readonly<Record<string, string | boolean>>
): ReadonlyArray<object> =>
  Object.entries(annotations).flatMap(([key, value]) =>
    set(annotationPath(key), value, expected[key] !== undefined && expected[key] !== false)
  )

// "remove" fails if the key is absent. So the key is added first, unless a precondition has shown that it is there.
const set = (path: ReadonlyArray<string>, value: Schema.Json, isThere = false): ReadonlyArray<object> => {
  if (value !== null) return [{ op: "add", path: pointer(path), value }]
  const remove = { op: "remove", path: pointer(path) }
  return isThere ? [remove] : [{ op: "add", path: pointer(path), value: "" }, remove]
}

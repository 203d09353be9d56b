/** What is sent to the API server: pure. */
import type * as Schema from "effect/Schema"
import type { ConditionalPatch } from "../../ObjectStore.ts"
import type { Request } from "./http.ts"

/** A GET: of one object, or a watch. */
export const get = (path: string): Request => ({ method: "GET", path, headers: {} })

/** A POST of an object, answered by the object as made. */
export const post = (path: string, object: unknown): Request =>
  withJson("POST", asOurs(path), object, "application/json")

/** A request with something as JSON. */
export const withJson = (method: Request["method"], path: string, body: unknown, contentType: string): Request => ({
  method,
  path,
  headers: { "content-type": contentType },
  body: JSON.stringify(body)
})

/** Asks for no more than the metadata: the answer has none of the object's content. */
export const metadataOnly = (request: Request): Request => ({
  ...request,
  headers: { ...request.headers, accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" }
})

/** The PATCH that a write is: a merge patch under a resourceVersion, a JSON patch under annotations. */
export const patch = (path: string, write: ConditionalPatch): Request =>
  "resourceVersion" in write.expect
    ? withJson(
        "PATCH",
        asOurs(path),
        {
          metadata: {
            resourceVersion: write.expect.resourceVersion,
            annotations: write.annotations,
            labels: write.labels
          }
        },
        "application/merge-patch+json"
      )
    : withJson(
        "PATCH",
        asOurs(path),
        [
          ...Object.entries(write.expect.annotations).map(([key, value]) => expecting(annotationPath(key), value)),
          ...(write.expect.hasLabels === false ? madeLabels : []),
          ...Object.entries(write.annotations).flatMap(([key, value]) => set(annotationPath(key), value)),
          ...Object.entries(write.labels ?? {}).flatMap(([key, value]) => set(labelPath(key), value)),
          ...("content" in write ? (write.content ?? []) : []).flatMap(({ path, value }) => set(path, value))
        ],
        "application/json-patch+json"
      )

// Kubernetes keeps account of who manages which field.
const asOurs = (path: string): string => `${path}?fieldManager=kubelock`

const annotationPath = (key: string): ReadonlyArray<string> => ["metadata", "annotations", key]

const labelPath = (key: string): ReadonlyArray<string> => ["metadata", "labels", key]

const pointer = (path: ReadonlyArray<string>): string =>
  path.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")

// A test for null passes where there is nothing. No test says "whatever it is": but what is absent cannot be moved.
const expecting = (path: ReadonlyArray<string>, wanted: string | boolean): object =>
  wanted === true
    ? { op: "move", from: pointer(path), path: pointer(path) }
    : { op: "test", path: pointer(path), value: wanted === false ? null : wanted }

// A label can be added only where there are labels.
const madeLabels: ReadonlyArray<object> = [
  { op: "test", path: "/metadata/labels", value: null },
  { op: "add", path: "/metadata/labels", value: {} }
]

// "remove" fails where there is nothing: put something there first.
const set = (path: ReadonlyArray<string>, value: Schema.Json): ReadonlyArray<object> =>
  value === null
    ? [
        { op: "add", path: pointer(path), value: "" },
        { op: "remove", path: pointer(path) }
      ]
    : [{ op: "add", path: pointer(path), value }]

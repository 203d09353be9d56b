/** Requests of server-side apply, and who owns which fields after each, for any API server. */
import { apply, jsonPatch, merge, type Step, step } from "./step.ts"

const by = (path: string, manager: string, more = "") => `${path}?fieldManager=${manager}${more}`

const noOwners = { managedFields: [{}] }

/** The conversation about a kind with data in `spec`, or in `data`. */
const conversation = (
  path: string,
  object: (fields: object | undefined, metadata?: object) => object,
  withOwners: boolean
): ReadonlyArray<Step> => [
  step("an apply names its manager", "PATCH", path, object({ a: "1" }), apply),
  step("an apply makes an object", "PATCH", by(path, "one"), object({ a: "1", b: "1" }), apply),
  step("the same apply changes nothing", "PATCH", by(path, "one"), object({ a: "1", b: "1" }), apply),
  step("another manager applies another field", "PATCH", by(path, "two"), object({ c: "1" }), apply),
  step("another manager applies the same value", "PATCH", by(path, "two"), object({ c: "1", a: "1" }), apply),
  step("a conflict", "PATCH", by(path, "two"), object({ c: "1", a: "2" }), apply),
  step("a conflict is forced", "PATCH", by(path, "two", "&force=true"), object({ c: "1", a: "2" }), apply),
  step("a field that is applied no longer is gone", "PATCH", by(path, "one"), object({ x: "1" }), apply),
  step("an update takes a field", "PATCH", by(path, "three"), object({ c: "9" }), merge),
  step("an update conflicts with an apply", "PATCH", by(path, "two"), object({ c: "1", a: "2" }), apply),
  step("two conflicts", "PATCH", by(path, "four"), object({ c: "7", a: "7" }), apply),
  step(
    "labels and annotations are applied",
    "PATCH",
    by(path, "one"),
    object({ x: "1" }, { labels: { l: "1" }, annotations: { n: "1" } }),
    apply
  ),
  step("a label more", "PATCH", by(path, "two", "&force=true"), object({ a: "2" }, { labels: { m: "1" } }), apply),
  step("an annotation of an update", "PATCH", by(path, "three"), object(undefined, { annotations: { u: "1" } }), merge),
  step("labels and annotations are applied no longer", "PATCH", by(path, "one"), object({ x: "1" }), apply),
  step("a finalizer is applied", "PATCH", by(path, "one"), object({ x: "1" }, { finalizers: ["x.io/a"] }), apply),
  step(
    "another finalizer is applied",
    "PATCH",
    by(path, "two"),
    object({ a: "2" }, { labels: { m: "1" }, finalizers: ["x.io/b"] }),
    apply
  ),
  step("a finalizer is applied no longer", "PATCH", by(path, "one"), object({ x: "1" }), apply),
  ...(withOwners
    ? [
        step(
          "an owner is applied",
          "PATCH",
          by(path, "one"),
          object({ x: "1" }, { ownerReferences: [{ apiVersion: "v1", kind: "Node", name: "n", uid: "u-1" }] }),
          apply
        )
      ]
    : []),
  step("an apply under a stale version", "PATCH", by(path, "one"), object({ x: "1" }, { resourceVersion: "1" }), apply),
  step(
    "an apply with managedFields",
    "PATCH",
    by(path, "one"),
    object({ x: "1" }, { managedFields: [{ manager: "x" }] }),
    apply
  ),
  step("an apply as a dry run", "PATCH", by(path, "one", "&dryRun=All"), object({ x: "2" }), apply),
  step("an update removes a field of others", "PATCH", by(path, "three"), object({ x: null }), merge),
  step("everything is read", "GET", path),
  step(
    "a patch takes managedFields away",
    "PATCH",
    by(path, "three"),
    [{ op: "replace", path: "/metadata/managedFields", value: [{}] }],
    jsonPatch
  ),
  step("an update without owners has none", "PATCH", by(path, "three"), object({ z: "1" }), merge),
  step("an apply after that finds one owner of all", "PATCH", by(path, "one"), object({ z: "1", y: "1" }), apply),
  step("a conflict with that owner", "PATCH", by(path, "one"), object({ z: "2", y: "1" }), apply),
  step("a merge patch takes managedFields away", "PATCH", by(path, "three"), object({}, noOwners), merge),
  step("the same patch changes nothing then", "PATCH", by(path, "three"), object({}, noOwners), merge),
  step(
    "a JSON patch takes away what is not there, and writes",
    "PATCH",
    by(path, "three"),
    [
      { op: "add", path: "/metadata/managedFields", value: [{}] },
      { op: "add", path: "/metadata/annotations", value: { w: "1" } }
    ],
    jsonPatch
  ),
  step("an update after that has no owners", "PATCH", by(path, "three"), object({ z: "3" }), merge),
  step(
    "a new object has owners whatever it says",
    "POST",
    by(path.replace(/\/applied$/, ""), "three"),
    object({ z: "1" }, { ...noOwners, name: "anew" })
  ),
  step(
    "a JSON patch takes its owners away, and writes",
    "PATCH",
    by(path.replace(/applied$/, "anew"), "three"),
    [
      { op: "add", path: "/metadata/managedFields", value: [{}] },
      { op: "add", path: "/metadata/annotations", value: { w: "1" } }
    ],
    jsonPatch
  )
]

/** Apply to a ConfigMap. */
export const applyToConfigMap = conversation(
  "/api/v1/namespaces/talk/configmaps/applied",
  (data, metadata = {}) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "applied", ...metadata },
    ...(data === undefined ? {} : { data })
  }),
  false
)

/** Apply to a custom resource without a schema. */
export const applyToToken = conversation(
  "/apis/dex.coreos.com/v1/namespaces/talk/refreshtokens/applied",
  (claims, metadata = {}) => ({
    apiVersion: "dex.coreos.com/v1",
    kind: "RefreshToken",
    metadata: { name: "applied", ...metadata },
    ...(claims === undefined ? {} : { claims })
  }),
  true
)

/** Apply to a Gate, whose definition says what its spec has. */
export const applyToGate: ReadonlyArray<Step> = [
  step(
    "a Gate is applied",
    "PATCH",
    by("/apis/acme.io/v1/namespaces/talk/gates/applied", "one"),
    {
      apiVersion: "acme.io/v1",
      kind: "Gate",
      metadata: { name: "applied" },
      spec: { size: 1, limits: { a: 1 }, tags: ["a"] }
    },
    apply
  ),
  step(
    "a Gate is applied without a list",
    "PATCH",
    by("/apis/acme.io/v1/namespaces/talk/gates/applied", "one"),
    { apiVersion: "acme.io/v1", kind: "Gate", metadata: { name: "applied" }, spec: { size: 1, limits: { b: 1 } } },
    apply
  ),
  step(
    "a Gate is applied by another",
    "PATCH",
    by("/apis/acme.io/v1/namespaces/talk/gates/applied", "two"),
    {
      apiVersion: "acme.io/v1",
      kind: "Gate",
      metadata: { name: "applied" },
      spec: { size: 1, limits: { c: 1 }, mode: "open" }
    },
    apply
  ),
  step(
    "a Gate is applied with an unknown field",
    "PATCH",
    by("/apis/acme.io/v1/namespaces/talk/gates/applied", "two"),
    { apiVersion: "acme.io/v1", kind: "Gate", metadata: { name: "applied" }, spec: { size: 1, zap: 1 } },
    apply
  )
]

const maps = "/api/v1/namespaces/talk/configmaps"
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
const byKubectl = (data: object, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "by-kubectl", ...metadata },
  data
})

/** `kubectl` applies server-side what it has applied client-side before. */
export const applyAfterClientSide: ReadonlyArray<Step> = [
  step(
    "what kubectl applies client-side",
    "POST",
    by(maps, "kubectl-client-side-apply"),
    byKubectl(
      { a: "1", b: "1", c: "1" },
      { annotations: { [lastApplied]: JSON.stringify(byKubectl({ a: "1", b: "1", c: "1" }, { namespace: "talk" })) } }
    )
  ),
  step("another manager conflicts with it", "PATCH", by(`${maps}/by-kubectl`, "one"), byKubectl({ a: "2" }), apply),
  step("kubectl does not", "PATCH", by(`${maps}/by-kubectl`, "kubectl"), byKubectl({ b: "2", a: "2" }), apply),
  step(
    "another manager applies by force",
    "PATCH",
    by(`${maps}/by-kubectl`, "two", "&force=true"),
    byKubectl({ a: "3" }),
    apply
  ),
  step("kubectl conflicts with that", "PATCH", by(`${maps}/by-kubectl`, "kubectl"), byKubectl({ a: "4" }), apply),
  step(
    "kubectl applies with an annotation, by force",
    "PATCH",
    by(`${maps}/by-kubectl`, "kubectl", "&force=true"),
    byKubectl({ a: "4" }, { annotations: { n: "1" } }),
    apply
  ),
  step("what is left of it", "GET", `${maps}/by-kubectl`)
]

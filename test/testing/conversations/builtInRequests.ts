/** Requests about built-in kinds whose answers the embedded server must give as a real one does. */
import { aboutFinalizers } from "./finalizerRequests.ts"
import { jsonPatch, merge, type Step, step, strategic, table } from "./step.ts"

const saying = (by: string) => ({ metadata: { annotations: { by } } })

const testFor = (spelling: string) =>
  `[{"op":"test","path":"/metadata/annotations/by","value":${spelling}},{"op":"add","path":"/metadata/annotations/ok","value":""}]`

const core = "/api/v1/namespaces"
const maps = `${core}/talk/configmaps`
const secrets = `${core}/talk/secrets`
const events = `${core}/talk/events`
const leases = "/apis/coordination.k8s.io/v1/namespaces/talk/leases"

const meta =
  (kind: string, apiVersion: string) =>
  (name: string, more: object = {}, metadata: object = {}) => ({
    kind,
    apiVersion,
    metadata: { name, ...metadata },
    ...more
  })
const map = meta("ConfigMap", "v1")
const secret = meta("Secret", "v1")
const lease = meta("Lease", "coordination.k8s.io/v1")
const time = "2026-01-01T00:00:00.123456Z"
const spec = {
  holderIdentity: "me",
  leaseDurationSeconds: 15,
  acquireTime: time,
  renewTime: time,
  leaseTransitions: 0
}

const namespaces: ReadonlyArray<Step> = [
  { ...step("the namespace default exists", "GET", `${core}/default`), until: 200 },
  step("a ConfigMap is made in no namespace that does not exist", "POST", `${core}/nowhere/configmaps`, map("a")),
  step("a list in a namespace that does not exist is empty", "GET", `${core}/nowhere/configmaps`),
  step("a namespace is made without kind and apiVersion", "POST", core, { metadata: { name: "talk" } }),
  step("a namespace has a DNS label for a name", "POST", core, { metadata: { name: "a.b" } }),
  step("a namespace exists once", "POST", core, { metadata: { name: "talk" } }),
  step("a namespace is read", "GET", `${core}/talk`),
  step("a namespace takes labels", "PATCH", `${core}/talk`, { metadata: { labels: { team: "x" } } }, merge),
  step("namespaces are selected by label", "GET", `${core}?labelSelector=team%3Dx`),
  step("namespaces are selected by phase", "GET", `${core}?labelSelector=team%3Dx&fieldSelector=status.phase%3DActive`)
]

const configMaps: ReadonlyArray<Step> = [
  step("a body needs neither kind nor apiVersion", "POST", maps, { metadata: { name: "bare" }, data: { a: "1" } }),
  step("a PUT needs neither kind nor apiVersion", "PUT", `${maps}/bare`, {
    metadata: { name: "bare" },
    data: { a: "2" }
  }),
  step("a ConfigMap has no status", "GET", `${maps}/bare/status`),
  step("a status of a ConfigMap is not patched", "PATCH", `${maps}/bare/status`, { data: { a: "3" } }, merge),
  step("a body with another kind", "POST", maps, { kind: "Secret", apiVersion: "v1", metadata: { name: "x" } }),
  step("a body with an unknown kind", "POST", maps, { kind: "ConfigMop", apiVersion: "v1", metadata: { name: "x" } }),
  step("a body with kind only", "POST", maps, { kind: "ConfigMap", metadata: { name: "kind-only" } }),
  step("a body with apiVersion only", "POST", maps, { apiVersion: "v1", metadata: { name: "version-only" } }),
  step("a body with another version", "POST", maps, { kind: "ConfigMap", apiVersion: "v2", metadata: { name: "x" } }),
  step("data takes no numbers", "POST", maps, map("numbers", { data: { a: 1 } })),
  step("data is a map", "POST", maps, map("list", { data: ["a"] })),
  step("data null is no data", "POST", maps, map("null-data", { data: null })),
  step("data takes null as the empty string", "POST", maps, map("null-value", { data: { a: null } })),
  step("unknown fields are dropped", "POST", maps, map("unknown", { data: { a: "1" }, foo: { bar: 1 } }, { zap: 1 })),
  step("keys take no blanks", "POST", maps, map("blanks", { data: { "a b": "1" } })),
  step("keys are not ..", "POST", maps, map("dots", { data: { "..": "1" } })),
  step("keys are at most 253 long", "POST", maps, map("long", { data: { ["k".repeat(254)]: "1" } })),
  step("binaryData is base64", "POST", maps, map("binary", { binaryData: { a: "no base64!" } })),
  step("binaryData is kept", "POST", maps, map("binary", { binaryData: { a: "AAEC" } })),
  step("a key is in data or binaryData", "POST", maps, map("twice", { data: { a: "1" }, binaryData: { a: "AAEC" } })),
  step("immutable is a boolean", "POST", maps, map("immutable", { immutable: "yes" })),
  step("a ConfigMap is made immutable", "POST", maps, map("immutable", { immutable: true, data: { a: "1" } })),
  step("immutable data does not change", "PATCH", `${maps}/immutable`, { data: { a: "2" } }, merge),
  step("immutable data does not become more", "PATCH", `${maps}/immutable`, { binaryData: { b: "AAEC" } }, merge),
  step("immutable stays", "PATCH", `${maps}/immutable`, { immutable: false }, merge),
  step("immutable is not removed", "PATCH", `${maps}/immutable`, { immutable: null }, merge),
  step(
    "annotations of what is immutable change",
    "PATCH",
    `${maps}/immutable`,
    { metadata: { annotations: { a: "1" } } },
    merge
  ),
  step("a ConfigMap takes 1 MiB", "POST", maps, map("big", { data: { a: "x".repeat(1_048_577) } })),
  step("a merge patch brings no numbers", "PATCH", `${maps}/bare`, { data: { a: 1 } }, merge),
  step("a merge patch brings no other kind", "PATCH", `${maps}/bare`, { kind: "Secret" }, merge),
  step("a merge patch drops unknown fields", "PATCH", `${maps}/bare`, { foo: 1, data: { b: "1" } }, merge),
  step("a merge patch with blanks in a key", "PATCH", `${maps}/bare`, { data: { "a b": "1" } }, merge),
  step(
    "a JSON patch brings no numbers",
    "PATCH",
    `${maps}/bare`,
    [{ op: "add", path: "/data/a", value: 1 }],
    jsonPatch
  ),
  step("an annotation says R&D", "PATCH", `${maps}/bare`, saying("R&D"), merge),
  step("a JSON patch tests for &", "PATCH", `${maps}/bare`, testFor('"R&D"'), jsonPatch),
  step("a JSON patch tests for an escaped &", "PATCH", `${maps}/bare`, testFor(String.raw`"R\u0026D"`), jsonPatch),
  step("an annotation says <R>", "PATCH", `${maps}/bare`, saying("<R>"), merge),
  step("a JSON patch tests for < and >", "PATCH", `${maps}/bare`, testFor('"<R>"'), jsonPatch),
  step(
    "a JSON patch tests for an escaped < and >",
    "PATCH",
    `${maps}/bare`,
    testFor(String.raw`"\u003cR\u003e"`),
    jsonPatch
  ),
  step("an annotation says Jörg", "PATCH", `${maps}/bare`, saying("Jörg"), merge),
  step("a JSON patch tests for an umlaut", "PATCH", `${maps}/bare`, testFor('"Jörg"'), jsonPatch),
  step(
    "a JSON patch tests for an escaped umlaut",
    "PATCH",
    `${maps}/bare`,
    testFor(String.raw`"J\u00f6rg"`),
    jsonPatch
  ),
  step("the annotations are gone", "PATCH", `${maps}/bare`, { metadata: { annotations: null } }, merge),
  step(
    "a strategic merge patch merges maps",
    "PATCH",
    `${maps}/bare`,
    { data: { b: null, c: "3" }, metadata: { labels: { l: "1" } } },
    strategic
  ),
  step("a strategic merge patch that changes nothing", "PATCH", `${maps}/bare`, { data: { c: "3" } }, strategic),
  step("a strategic merge patch replaces", "PATCH", `${maps}/bare`, { data: { $patch: "replace", d: "4" } }, strategic),
  step("a strategic merge patch deletes", "PATCH", `${maps}/bare`, { data: { $patch: "delete" } }, strategic),
  step("a strategic merge patch brings no numbers", "PATCH", `${maps}/bare`, { data: { a: 1 } }, strategic),
  step("a strategic merge patch with an unknown field", "PATCH", `${maps}/bare`, { foo: 1 }, strategic),
  step(
    "a strategic merge patch with an odd directive",
    "PATCH",
    `${maps}/bare`,
    { data: { $patch: "zap" } },
    strategic
  ),
  step("a strategic merge patch that is no object", "PATCH", `${maps}/bare`, "[1]", strategic),
  step(
    "a strategic merge patch under a stale version",
    "PATCH",
    `${maps}/bare`,
    { metadata: { resourceVersion: "1" }, data: { e: "5" } },
    strategic
  ),
  step(
    "a strategic merge patch adds to finalizers",
    "PATCH",
    `${maps}/bare`,
    { metadata: { finalizers: ["x.io/a"] } },
    strategic
  ),
  step(
    "a strategic merge patch adds one finalizer more",
    "PATCH",
    `${maps}/bare`,
    { metadata: { finalizers: ["x.io/b"], $setElementOrder$finalizers: ["x.io/b", "x.io/a"] } },
    strategic
  ),
  step(
    "a strategic merge patch orders finalizers",
    "PATCH",
    `${maps}/bare`,
    { metadata: { finalizers: ["x.io/c"], "$setElementOrder/finalizers": ["x.io/c", "x.io/b", "x.io/a"] } },
    strategic
  ),
  step(
    "a strategic merge patch deletes from a list",
    "PATCH",
    `${maps}/bare`,
    { metadata: { "$deleteFromPrimitiveList/finalizers": ["x.io/a", "x.io/b", "x.io/c"] } },
    strategic
  ),
  step(
    "a strategic merge patch merges owners by uid",
    "PATCH",
    `${maps}/bare`,
    { metadata: { ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "o", uid: "u-1" }] } },
    strategic
  ),
  step(
    "a strategic merge patch changes one owner",
    "PATCH",
    `${maps}/bare`,
    {
      metadata: {
        ownerReferences: [
          { uid: "u-1", controller: true },
          { apiVersion: "v1", kind: "ConfigMap", name: "p", uid: "u-2" }
        ]
      }
    },
    strategic
  ),
  step(
    "a strategic merge patch deletes an owner",
    "PATCH",
    `${maps}/bare`,
    { metadata: { ownerReferences: [{ $patch: "delete", uid: "u-1" }] } },
    strategic
  ),
  step(
    "an owner has a kind, a name, a uid and an apiVersion",
    "POST",
    maps,
    map("owned", {}, { ownerReferences: [{}] })
  ),
  step(
    "what Kubernetes does not have is not in the way: PUT of a missing ConfigMap",
    "PUT",
    `${maps}/none`,
    map("none")
  )
]

const secretSteps: ReadonlyArray<Step> = [
  step("stringData becomes data", "POST", secrets, secret("s", { stringData: { a: "hello" }, data: { b: "Yg==" } })),
  step("stringData wins", "PATCH", `${secrets}/s`, { stringData: { b: "new" } }, merge),
  step("stringData takes no numbers", "PATCH", `${secrets}/s`, { stringData: { b: 1 } }, merge),
  step("data is base64", "POST", secrets, secret("x", { data: { a: "no base64!" } })),
  step("data takes no numbers", "POST", secrets, secret("x", { data: { a: 1 } })),
  step("data has its padding", "POST", secrets, secret("x", { data: { a: "YQ" } })),
  step("data may have line ends", "POST", secrets, secret("lines", { data: { a: "Y\nQ==\r\n" } })),
  step("data null is the empty value", "POST", secrets, secret("null-value", { data: { a: null } })),
  step("keys take no blanks", "POST", secrets, secret("x", { data: { "a b": "YQ==" } })),
  step("keys of stringData take no blanks", "POST", secrets, secret("x", { stringData: { "a b": "1" } })),
  step("the type does not change", "PATCH", `${secrets}/s`, { type: "example.com/x" }, merge),
  step("the type is not removed", "PATCH", `${secrets}/s`, { type: null }, merge),
  step("a TLS Secret has tls.crt and tls.key", "POST", secrets, secret("x", { type: "kubernetes.io/tls" })),
  step(
    "a TLS Secret",
    "POST",
    secrets,
    secret("tls", { type: "kubernetes.io/tls", data: { "tls.crt": "", "tls.key": "" } })
  ),
  step(
    "a basic-auth Secret has a username or password",
    "POST",
    secrets,
    secret("x", { type: "kubernetes.io/basic-auth" })
  ),
  step("an ssh-auth Secret has a key", "POST", secrets, secret("x", { type: "kubernetes.io/ssh-auth" })),
  step("a dockerconfigjson Secret has one", "POST", secrets, secret("x", { type: "kubernetes.io/dockerconfigjson" })),
  step(
    "which is JSON",
    "POST",
    secrets,
    secret("x", { type: "kubernetes.io/dockerconfigjson", data: { ".dockerconfigjson": "YQ==" } })
  ),
  step(
    "a service-account-token Secret names its account",
    "POST",
    secrets,
    secret("x", { type: "kubernetes.io/service-account-token" })
  ),
  step("a Secret is made immutable", "POST", secrets, secret("immutable", { immutable: true, data: { a: "YQ==" } })),
  step("immutable data does not change", "PATCH", `${secrets}/immutable`, { stringData: { a: "2" } }, merge),
  step("immutable stays", "PATCH", `${secrets}/immutable`, { immutable: false }, merge),
  step("a Secret of 1 MiB and a byte", "POST", secrets, secret("x", { stringData: { a: "x".repeat(1_048_577) } })),
  step("Secrets are selected by type", "GET", `${secrets}?fieldSelector=type%3Dkubernetes.io%2Ftls`),
  step(
    "Secrets are selected by not being of a type",
    "GET",
    `${secrets}?fieldSelector=type!%3Dkubernetes.io%2Ftls&limit=1`
  ),
  step("ConfigMaps have no type", "GET", `${maps}?fieldSelector=type%3DOpaque`),
  step("a strategic merge patch of a Secret", "PATCH", `${secrets}/s`, { data: { a: null, c: "Yw==" } }, strategic)
]

const leaseSteps: ReadonlyArray<Step> = [
  step("a Lease is made", "POST", leases, lease("l", { spec })),
  step("a Lease is made by PUT", "PUT", `${leases}/put`, lease("put", { spec })),
  step("a Lease made by PUT without a name", "PUT", `${leases}/put2`, { spec }),
  step(
    "a Lease made by PUT under a version",
    "PUT",
    `${leases}/put3`,
    lease("put3", { spec }, { resourceVersion: "1" })
  ),
  step("a Lease made by PUT with a uid", "PUT", `${leases}/put4`, lease("put4", { spec }, { uid: "u" })),
  step("a PUT of a Lease needs a version", "PUT", `${leases}/l`, lease("l", { spec })),
  step(
    "a PUT of a Lease under its version",
    "PUT",
    `${leases}/l`,
    lease("l", { spec: { ...spec, leaseTransitions: 1 } }, { resourceVersion: "@rv(l)" })
  ),
  step("a PUT of a Lease under a stale version", "PUT", `${leases}/l`, lease("l", { spec }, { resourceVersion: "1" })),
  step("a duration of 0", "POST", leases, lease("x", { spec: { ...spec, leaseDurationSeconds: 0 } })),
  step("a negative duration", "POST", leases, lease("x", { spec: { ...spec, leaseDurationSeconds: -5 } })),
  step("a duration of half a second", "POST", leases, lease("x", { spec: { ...spec, leaseDurationSeconds: 0.5 } })),
  step(
    "a duration beyond int32",
    "POST",
    leases,
    lease("x", { spec: { ...spec, leaseDurationSeconds: 2_147_483_648 } })
  ),
  step(
    "the longest duration",
    "POST",
    leases,
    lease("longest", { spec: { ...spec, leaseDurationSeconds: 2_147_483_647 } })
  ),
  step("a duration as text", "POST", leases, lease("x", { spec: { ...spec, leaseDurationSeconds: "15" } })),
  step("transitions of -1", "POST", leases, lease("x", { spec: { ...spec, leaseTransitions: -1 } })),
  step("both wrong", "POST", leases, lease("x", { spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } })),
  step("no spec", "POST", leases, lease("no-spec")),
  step(
    "nulls",
    "POST",
    leases,
    lease("nulls", {
      spec: {
        holderIdentity: null,
        leaseDurationSeconds: null,
        acquireTime: null,
        renewTime: null,
        leaseTransitions: null
      }
    })
  ),
  step("an empty holder", "POST", leases, lease("empty", { spec: { holderIdentity: "" } })),
  step("a holder that is a number", "POST", leases, lease("x", { spec: { holderIdentity: 1 } })),
  step("renewTime yesterday", "POST", leases, lease("x", { spec: { ...spec, renewTime: "yesterday" } })),
  step(
    "renewTime with three digits",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T00:00:00.123Z" } })
  ),
  step(
    "renewTime without digits",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T00:00:00Z" } })
  ),
  step(
    "renewTime with nine digits",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T00:00:00.123456789Z" } })
  ),
  step(
    "renewTime with a comma",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T00:00:00,123456Z" } })
  ),
  step(
    "renewTime on the 30th of February",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-02-30T00:00:00.000000Z" } })
  ),
  step(
    "renewTime at 24 o'clock",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T24:00:00.000000Z" } })
  ),
  step(
    "renewTime in a leap second",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T23:59:60.000000Z" } })
  ),
  step(
    "renewTime with a small z",
    "POST",
    leases,
    lease("x", { spec: { ...spec, renewTime: "2026-01-01T00:00:00.000000z" } })
  ),
  step("renewTime as a number", "POST", leases, lease("x", { spec: { ...spec, renewTime: 5 } })),
  step("renewTime that is empty", "POST", leases, lease("x", { spec: { ...spec, renewTime: "" } })),
  step(
    "an offset becomes UTC",
    "POST",
    leases,
    lease("offset", { spec: { ...spec, renewTime: "2026-01-01T01:30:00.123456+01:30" } })
  ),
  step(
    "an unknown field of spec is dropped",
    "POST",
    leases,
    lease("unknown", { spec: { holderIdentity: "a", zap: 1, strategy: "OldestEmulationVersion" } })
  ),
  step("a kind Leese", "POST", leases, { ...lease("x", { spec }), kind: "Leese" }),
  step("a PUT of a kind Leese", "PUT", `${leases}/l`, {
    ...lease("l", { spec }, { resourceVersion: "@rv(l)" }),
    kind: "Leese"
  }),
  step("another version", "POST", leases, { ...lease("x", { spec }), apiVersion: "coordination.k8s.io/v7" }),
  step(
    "a merge patch with three digits",
    "PATCH",
    `${leases}/l`,
    { spec: { renewTime: "2026-01-01T00:00:00.123Z" } },
    merge
  ),
  step("a merge patch with a duration of 0", "PATCH", `${leases}/l`, { spec: { leaseDurationSeconds: 0 } }, merge),
  step(
    "a merge patch with an offset",
    "PATCH",
    `${leases}/l`,
    { spec: { renewTime: "2026-01-01T02:00:00.000001+02:00" } },
    merge
  ),
  step(
    "a JSON patch tests the time in UTC",
    "PATCH",
    `${leases}/l`,
    [
      { op: "test", path: "/spec/renewTime", value: "2026-01-01T00:00:00.000001Z" },
      { op: "replace", path: "/spec/holderIdentity", value: "you" }
    ],
    jsonPatch
  ),
  step(
    "a JSON patch with transitions of -1",
    "PATCH",
    `${leases}/l`,
    [{ op: "replace", path: "/spec/leaseTransitions", value: -1 }],
    jsonPatch
  ),
  step("a strategic merge patch of a Lease", "PATCH", `${leases}/l`, { spec: { holderIdentity: null } }, strategic),
  step(
    "a strategic merge patch with three digits",
    "PATCH",
    `${leases}/l`,
    { spec: { renewTime: "2026-01-01T00:00:00.123Z" } },
    strategic
  ),
  step("a spec is emptied", "PATCH", `${leases}/l`, { spec: null }, merge),
  step("a spec that is a list", "PATCH", `${leases}/l`, { spec: [] }, merge),
  step("Leases are listed", "GET", `${leases}?fieldSelector=metadata.name%3Dempty`),
  step("Leases know no field of spec", "GET", `${leases}?fieldSelector=spec.holderIdentity%3Dme`),
  step("a Lease as a table", "GET", `${leases}/put`, undefined, table)
]

const dryRuns: ReadonlyArray<Step> = [
  step("a dry run of a POST", "POST", `${maps}?dryRun=All`, map("dry", { data: { a: "1" } })),
  step("makes nothing", "GET", `${maps}/dry`),
  step("an unknown dryRun of a POST", "POST", `${maps}?dryRun=Some`, map("dry")),
  step("an unknown dryRun of a PUT", "PUT", `${maps}/bare?dryRun=Some`, map("bare")),
  step("an unknown dryRun of a PATCH", "PATCH", `${maps}/bare?dryRun=Some`, {}, merge),
  step("an empty dryRun", "POST", `${maps}?dryRun=`, map("dry")),
  step("two dryRuns", "POST", `${maps}?dryRun=All&dryRun=All`, map("dry2")),
  step("a dry run of a DELETE", "DELETE", `${maps}/binary?dryRun=All`),
  step("a dry run in the body of a DELETE", "DELETE", `${maps}/binary`, {
    kind: "DeleteOptions",
    apiVersion: "v1",
    dryRun: ["All"]
  }),
  step("deletes nothing", "GET", `${maps}/binary`),
  step("an unknown dryRun of a DELETE", "DELETE", `${maps}/binary?dryRun=Some`),
  step("an unknown dryRun in the body of a DELETE", "DELETE", `${maps}/binary`, { dryRun: ["Some"] }),
  step("a dryRun in the body of a DELETE that is no list", "DELETE", `${maps}/binary`, { dryRun: "All" }),
  step("body and query of a DELETE", "DELETE", `${maps}/binary?dryRun=Some`, { dryRun: ["All"] }),
  step("a body of a DELETE with another kind", "DELETE", `${maps}/binary?dryRun=All`, {
    kind: "ConfigMap",
    apiVersion: "v1"
  }),
  step("a body of a DELETE with unknown fields", "DELETE", `${maps}/binary?dryRun=All`, { zap: 1 }),
  step("a DELETE with an unknown propagationPolicy", "DELETE", `${maps}/binary?dryRun=All`, {
    propagationPolicy: "Sideways"
  }),
  step("a DELETE with a propagationPolicy", "DELETE", `${maps}/binary?dryRun=All`, { propagationPolicy: "Background" }),
  step("a DELETE with a negative grace period", "DELETE", `${maps}/binary?dryRun=All`, { gracePeriodSeconds: -1 })
]

const pages: ReadonlyArray<Step> = [
  ...["p1", "p2", "p3", "p4", "p5"].map((name) =>
    step(
      `a map for the pages: ${name}`,
      "POST",
      maps,
      map(name, {}, { labels: { page: name < "p4" ? "few" : "rest" } })
    )
  ),
  step("the first page", "GET", `${maps}?labelSelector=page&limit=2`),
  step("a map made between two pages", "POST", maps, map("p21", {}, { labels: { page: "late" } })),
  step("the second page", "GET", `${maps}?labelSelector=page&limit=2&continue=@continue`),
  step("the last page", "GET", `${maps}?labelSelector=page&limit=2&continue=@continue`),
  step("a page with all", "GET", `${maps}?labelSelector=page&limit=6`),
  step("pages without a selector count the rest", "GET", `${maps}?limit=1`),
  step("a limit of 0", "GET", `${maps}?labelSelector=page%3Drest&limit=0`),
  step("a limit that is no number", "GET", `${maps}?limit=two`),
  step("a negative limit", "GET", `${maps}?labelSelector=page%3Drest&limit=-1`),
  step("a continue that nobody gave", "GET", `${maps}?limit=2&continue=zap`),
  step("a continue with a version", "GET", `${maps}?limit=2&continue=@continue&resourceVersion=1`),
  step("all namespaces in pages", "GET", `/api/v1/configmaps?labelSelector=page&limit=4`),
  step("a DELETE of a collection as a dry run", "DELETE", `${maps}?labelSelector=page%3Dfew&dryRun=All`),
  step("a DELETE of a collection as a dry run in the body", "DELETE", `${maps}?labelSelector=page%3Dfew`, {
    dryRun: ["All"]
  }),
  step("a DELETE of a collection", "DELETE", `${maps}?labelSelector=page%3Dfew`),
  step("a DELETE of a collection leaves the others", "GET", `${maps}?labelSelector=page`),
  step("a DELETE of a collection by field", "DELETE", `${maps}?fieldSelector=metadata.name%3Dp4`),
  step("a DELETE of an empty collection", "DELETE", `${maps}?labelSelector=page%3Dnone`),
  step("a DELETE of a collection over all namespaces", "DELETE", `/api/v1/configmaps`),
  step("a DELETE of a collection with a selector that is none", "DELETE", `${maps}?labelSelector=a%20b`),
  ...aboutFinalizers(maps, { metadata: { name: "going", finalizers: ["x.io/a"] } })
]

const reviews: ReadonlyArray<Step> = [
  step("whether one may", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    kind: "SelfSubjectAccessReview",
    apiVersion: "authorization.k8s.io/v1",
    spec: { resourceAttributes: { namespace: "talk", verb: "patch", resource: "configmaps", name: "a" } }
  }),
  step("a review without attributes", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec: {} }),
  step("a review with both kinds of attributes", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    spec: { resourceAttributes: { verb: "get" }, nonResourceAttributes: { verb: "get", path: "/x" } }
  }),
  step("reviews are not listed", "GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
]

const event = {
  metadata: { name: "e.1", namespace: "talk" },
  involvedObject: { kind: "ConfigMap", namespace: "talk", name: "bare", uid: "u-9", apiVersion: "v1" },
  reason: "LeaderElection",
  message: "me became leader",
  type: "Normal",
  source: { component: "kubelock" },
  firstTimestamp: "2026-01-01T00:00:00Z",
  lastTimestamp: "2026-01-01T00:00:00Z",
  count: 1
}

const eventSteps: ReadonlyArray<Step> = [
  step("an Event is made", "POST", events, event),
  step("an Event of another namespace", "POST", events, {
    ...event,
    metadata: { name: "e.2" },
    involvedObject: { kind: "Node", name: "n", namespace: "else" }
  }),
  step("an Event without an object", "POST", events, { metadata: { name: "e.3" } }),
  step(
    "Events are selected by their object",
    "GET",
    `${events}?fieldSelector=involvedObject.name%3Dbare,involvedObject.kind%3DConfigMap,involvedObject.uid%3Du-9,involvedObject.namespace%3Dtalk`
  ),
  step("Events are selected by reason", "GET", `${events}?fieldSelector=reason%3DOther`),
  step("Events are selected by type", "GET", `${events}?fieldSelector=type%3DNormal`),
  step("Events know no field message", "GET", `${events}?fieldSelector=message%3Dx`),
  step("an Event is counted", "PATCH", `${events}/e.1`, { count: 2, lastTimestamp: "2026-01-01T00:00:05Z" }, strategic)
]

const tables: ReadonlyArray<Step> = [
  step("ConfigMaps as a table", "GET", `${maps}?fieldSelector=metadata.name%3Dbare`, undefined, {
    accept:
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
  }),
  step("a Secret as a table with its object", "GET", `${secrets}/tls?includeObject=Object`, undefined, table),
  step("a Secret as a table without its object", "GET", `${secrets}/tls?includeObject=None`, undefined, table),
  step("a namespace as a table", "GET", `${core}/talk`, undefined, table),
  step("an Event as a table", "GET", `${events}/e.1`, undefined, table)
]

/** Requests about built-in resources, for a whole API server. */
export const builtIns: ReadonlyArray<Step> = [
  ...namespaces,
  ...configMaps,
  ...secretSteps,
  ...leaseSteps,
  ...dryRuns,
  ...eventSteps,
  ...tables,
  ...reviews,
  ...pages,
  step("a namespace is deleted", "DELETE", `${core}/talk`)
]

/** The documents that say which groups, versions and resources there are. */
import { namespace } from "./kinds/index.ts"
import { apiVersionOf, type Kind } from "./kinds/kind.ts"
import * as Reply from "./reply.ts"
import { reviews } from "./reviews.ts"

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
const customVerbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]

/** A resource of a discovery document. */
interface Entry {
  readonly kind: Pick<Kind, "group" | "version" | "plural" | "singular" | "kind" | "namespaced"> &
    Partial<Pick<Kind, "shortNames" | "categories" | "hasStatus">>
  readonly verbs: ReadonlyArray<string>
}

const entriesOf = (kinds: ReadonlyArray<Kind>): ReadonlyArray<Entry> => [
  ...kinds.map((kind) => ({
    kind,
    // A namespace is deleted by itself.
    verbs: !kind.isBuiltIn
      ? customVerbs
      : kind === namespace
        ? verbs.filter((verb) => verb !== "deletecollection")
        : verbs
  })),
  ...reviews.map((kind) => ({ kind, verbs: ["create"] }))
]

/** `/api`: the versions of the core group. */
export const coreVersions = (url: string): Reply.Reply =>
  Reply.json(
    200,
    JSON.stringify({
      kind: "APIVersions",
      versions: ["v1"],
      serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: url }]
    })
  )

/** `/apis`: the other groups. */
export const groups = (kinds: ReadonlyArray<Kind>): Reply.Reply => {
  const names = [...new Set(entriesOf(kinds).map(({ kind }) => kind.group))].filter((name) => name !== "")
  return Reply.json(
    200,
    JSON.stringify({ kind: "APIGroupList", apiVersion: "v1", groups: names.map((name) => groupOf(kinds, name)) })
  )
}

/** `/apis/GROUP`: the versions of a group. `undefined` if there is no such group. */
export const group = (kinds: ReadonlyArray<Kind>, name: string): Reply.Reply | undefined => {
  const found = groupOf(kinds, name)
  return found.versions.length === 0
    ? undefined
    : Reply.json(200, JSON.stringify({ kind: "APIGroup", apiVersion: "v1", ...found }))
}

const groupOf = (kinds: ReadonlyArray<Kind>, name: string) => {
  const inGroup = entriesOf(kinds).filter(({ kind }) => kind.group === name)
  const versions = [...new Set(inGroup.map(({ kind }) => kind.version))].map((version) => ({
    groupVersion: apiVersionOf({ group: name, version }),
    version
  }))
  return { name, versions, preferredVersion: versions[0] }
}

/** `/apis/GROUP/VERSION`: its resources. `undefined` if it has none. */
export const resources = (kinds: ReadonlyArray<Kind>, group: string, version: string): Reply.Reply | undefined => {
  const entries = entriesOf(kinds).filter(({ kind }) => kind.group === group && kind.version === version)
  if (entries.length === 0) return undefined
  return Reply.json(
    200,
    JSON.stringify({
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: apiVersionOf({ group, version }),
      resources: entries.flatMap((entry) =>
        entry.kind.hasStatus === true ? [row(entry), statusRow(entry)] : [row(entry)]
      )
    })
  )
}

const row = ({ kind, verbs }: Entry) => ({
  name: kind.plural,
  singularName: kind.singular,
  namespaced: kind.namespaced,
  kind: kind.kind,
  verbs,
  shortNames: kind.shortNames,
  categories: kind.categories
})

const statusVerbs = ["get", "patch", "update"]

const statusRow = ({ kind }: Entry) => ({
  name: `${kind.plural}/status`,
  singularName: "",
  namespaced: kind.namespaced,
  kind: kind.kind,
  verbs: statusVerbs
})

/** All of it in one document, which newer clients ask for. `isCore` is `/api`, otherwise `/apis`. */
export const aggregated = (kinds: ReadonlyArray<Kind>, isCore: boolean, version: string): Reply.Reply => {
  const entries = entriesOf(kinds).filter(({ kind }) => (kind.group === "") === isCore)
  const names = [...new Set(entries.map(({ kind }) => kind.group))]
  const items = names.map((name) => ({
    metadata: { name, creationTimestamp: null },
    versions: groupOf(kinds, name).versions.map((one) => ({
      version: one.version,
      freshness: "Current",
      resources: entries
        .filter(({ kind }) => kind.group === name && kind.version === one.version)
        .map(({ kind, verbs }) => ({
          resource: kind.plural,
          responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
          scope: kind.namespaced ? "Namespaced" : "Cluster",
          singularResource: kind.singular,
          verbs,
          shortNames: kind.shortNames,
          categories: kind.categories,
          subresources:
            kind.hasStatus === true
              ? [
                  {
                    subresource: "status",
                    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
                    verbs: statusVerbs
                  }
                ]
              : undefined
        }))
    }))
  }))
  const as = "APIGroupDiscoveryList"
  return {
    ...Reply.json(200, JSON.stringify({ kind: as, apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items })),
    contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=${as}`
  }
}

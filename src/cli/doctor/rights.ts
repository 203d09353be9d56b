/** Which verbs RBAC grants to these credentials, as the API server says (SelfSubjectAccessReview). */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ApiClient } from "../../internal/kubernetes/apiClient.ts"
import * as encode from "../../internal/kubernetes/encode.ts"
import type * as responseError from "../../internal/kubernetes/responseError.ts"
import type * as LockError from "../../LockError.ts"
import * as Resource from "../../Resource.ts"
import { advice, failed, type Finding, ok, skipped } from "./finding.ts"

const Review = Schema.fromJsonString(Schema.Struct({ status: Schema.Struct({ allowed: Schema.Boolean }) }))

const decodeReview = Schema.decodeUnknownOption(Review)

/** What is asked about: a resource of the API, by its group and plural, and the object if it is about one. */
type Asked = Pick<Resource.Resource, "group" | "plural" | "namespaced"> & { readonly name?: string }

const events: Asked = { group: "", plural: "events", namespaced: true }

/** Whether a verb is granted: nothing if the server does not tell. */
const ask = (api: ApiClient, namespace: string, { group, name = "", namespaced, plural }: Asked, verb: string) =>
  Effect.gen(function* () {
    const info: responseError.RequestInfo = {
      id: "",
      verb: "create",
      object: "selfsubjectaccessreviews",
      namespaced: false
    }
    const response = yield* api.request(
      encode.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: { namespace: namespaced ? namespace : "", group, resource: plural, name, verb } }
      }),
      info
    )
    return Option.map(decodeReview(response.body), ({ status }) => status.allowed)
  })

/** Whether the server tells what is granted. It does not to anonymous users. */
const isTold = (api: ApiClient, namespace: string, what: Asked) =>
  Effect.map(ask(api, namespace, what, "get"), Option.isSome)

/** The verbs on a resource that are not granted. What the server does not tell is taken to be granted: requests will tell. */
export const missing = (api: ApiClient, namespace: string, what: Asked, verbs: ReadonlyArray<string>) =>
  Effect.filter(
    verbs,
    (verb) => Effect.map(ask(api, namespace, what, verb), (granted) => !Option.getOrElse(granted, () => true)),
    { concurrency: "unbounded" }
  )

/** Finds out about the rights that locks and elections need. `lock` is the name of one, which may be all that the rights are for. */
export const check = Effect.fnUntraced(function* (
  api: ApiClient,
  resource: Resource.Resource,
  namespace: string,
  lock: string | undefined
): Effect.fn.Return<ReadonlyArray<Finding>, LockError.StoreError> {
  if (!(yield* isTold(api, namespace, resource))) {
    const why = "the API server does not tell these credentials"
    return ["rights for locks", "rights for inspect", "rights for elections"].map((which) => skipped(which, why))
  }
  const resourceName = Resource.name(resource)
  const [object, lease] = [named(resource, lock), named(Resource.lease, lock)]
  const [name, leaseName] = [object.text, lease.text]
  // RBAC cannot restrict "create" to a name. Where rights are for names, objects are made beforehand.
  const creates = lock === undefined ? ["create"] : []
  const needed = ["get", "patch", ...(resource.createIfMissing ? creates : [])]
  const lacking = yield* missing(api, namespace, object.asked, needed)
  const watches = yield* missing(api, namespace, object.asked, ["watch"])
  const lists = yield* missing(api, namespace, resource, ["list"])
  const electing = ["get", ...creates, "patch", "watch"]
  const election = yield* missing(api, namespace, lease.asked, electing)
  const announcing = yield* missing(api, namespace, events, ["create"])
  return [
    lacking.length > 0
      ? failed(
          "rights for locks",
          `not allowed to ${[...lacking, ...watches].join(", ")} ${name}`,
          `${grant([...lacking, ...watches], name)}${lock === undefined ? " If it names objects, ask about one: doctor NAME." : ""}`
        )
      : watches.length > 0
        ? advice("rights for locks", `not allowed to watch ${name}, so waiters poll`, grant(watches, name))
        : ok("rights for locks", `${[...needed, "watch"].join(", ")} on ${name}`),
    lists.length > 0
      ? advice(
          "rights for inspect",
          `not allowed to list ${resourceName}${lacking.includes("get") ? "" : "; inspect NAME works"}`,
          grant(lists, resourceName)
        )
      : ok("rights for inspect", `list on ${resourceName}`),
    election.length > 0
      ? advice("rights for elections", `not allowed to ${election.join(", ")} ${leaseName}`, grant(election, leaseName))
      : announcing.length > 0
        ? advice(
            "rights for elections",
            "not allowed to create events, so nobody is told who leads",
            grant(announcing, "events")
          )
        : ok("rights for elections", `${electing.join(", ")} on ${leaseName}, create on events`)
  ]
})

/** All objects of a resource, or the one of a lock: what to ask about, and its name for people. */
const named = (
  resource: Resource.Resource,
  lock: string | undefined
): { readonly asked: Asked; readonly text: string } =>
  lock === undefined
    ? { asked: resource, text: Resource.name(resource) }
    : { asked: { ...resource, name: lock }, text: `${Resource.name(resource)}/${lock}` }

const grant = (verbs: ReadonlyArray<string>, name: string): string => `Grant ${verbs.join(", ")} on ${name} in a Role.`

/** Which verbs RBAC grants to these credentials, as the API server says (SelfSubjectAccessReview). */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ApiClient } from "../../internal/kubernetes/apiClient.ts"
import * as encode from "../../internal/kubernetes/encode.ts"
import type * as responseError from "../../internal/kubernetes/responseError.ts"
import * as Resource from "../../Resource.ts"
import { advice, failed, type Finding, ok } from "./finding.ts"

const Review = Schema.fromJsonString(Schema.Struct({ status: Schema.Struct({ allowed: Schema.Boolean }) }))

const decodeReview = Schema.decodeUnknownOption(Review)

/** What is asked about: a resource of the API, by its group and plural. */
type Asked = Pick<Resource.Resource, "group" | "plural" | "namespaced">

const events: Asked = { group: "", plural: "events", namespaced: true }

// A server that does not answer that is taken to grant it: requests will tell.
const isGranted = (api: ApiClient, namespace: string, { group, namespaced, plural }: Asked, verb: string) =>
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
        spec: { resourceAttributes: { namespace: namespaced ? namespace : "", group, resource: plural, verb } }
      }),
      info
    )
    return Option.match(decodeReview(response.body), { onNone: () => true, onSome: ({ status }) => status.allowed })
  })

/** The verbs on a resource that are not granted. */
export const missing = (api: ApiClient, namespace: string, what: Asked, verbs: ReadonlyArray<string>) =>
  Effect.filter(verbs, (verb) => Effect.map(isGranted(api, namespace, what, verb), (granted) => !granted), {
    concurrency: "unbounded"
  })

/** Finds out about the rights that locks and elections need. */
export const check = Effect.fnUntraced(function* (api: ApiClient, resource: Resource.Resource, namespace: string) {
  const name = Resource.name(resource)
  const needed = ["get", "patch", ...(resource.createIfMissing ? ["create"] : [])]
  const lacking = yield* missing(api, namespace, resource, needed)
  const watches = yield* missing(api, namespace, resource, ["watch"])
  const lists = yield* missing(api, namespace, resource, ["list"])
  const election = yield* missing(api, namespace, Resource.lease, ["get", "create", "patch", "watch"])
  const announcing = yield* missing(api, namespace, events, ["create"])
  const found: ReadonlyArray<Finding> = [
    lacking.length > 0
      ? failed("rights for locks", `not allowed to ${lacking.join(", ")} ${name}`, grant(lacking, name))
      : watches.length > 0
        ? advice("rights for locks", `not allowed to watch ${name}, so waiters poll`, grant(watches, name))
        : ok("rights for locks", `${[...needed, "watch"].join(", ")} on ${name}`),
    lists.length > 0
      ? advice(
          "rights for inspect",
          `not allowed to list ${name}${lacking.includes("get") ? "" : "; inspect NAME works"}`,
          grant(lists, name)
        )
      : ok("rights for inspect", `list on ${name}`),
    election.length > 0
      ? advice(
          "rights for elections",
          `not allowed to ${election.join(", ")} ${Resource.name(Resource.lease)}`,
          grant(election, Resource.name(Resource.lease))
        )
      : announcing.length > 0
        ? advice(
            "rights for elections",
            "not allowed to create events, so nobody is told who leads",
            grant(announcing, "events")
          )
        : ok("rights for elections", `get, create, patch, watch on ${Resource.name(Resource.lease)}, create on events`)
  ]
  return found
})

const grant = (verbs: ReadonlyArray<string>, name: string): string => `Grant ${verbs.join(", ")} on ${name} in a Role.`

/** SelfSubjectAccessReviews and SelfSubjectRulesReviews: what the client may do. */
import * as Result from "effect/Result"
import { checkObjectMediaType, parseObject } from "./body.ts"
import { isRecord } from "./json.ts"
import { apiVersionOf, type Kind, opaque } from "./kinds/kind.ts"
import * as Reply from "./reply.ts"
import type { SeenRequest, Verb } from "./requests.ts"
import type { Target } from "./requestPath.ts"

const review = (kind: string, plural: string): Kind =>
  opaque({ group: "authorization.k8s.io", version: "v1", plural, kind, namespaced: false }, true)

const access = review("SelfSubjectAccessReview", "selfsubjectaccessreviews")
const rules = review("SelfSubjectRulesReview", "selfsubjectrulesreviews")

/** The kinds of reviews. */
export const reviews: ReadonlyArray<Kind> = [access, rules]

/** The review that a path names. */
export const findReview = (target: Target): Kind | undefined =>
  reviews.find(
    ({ group, plural, version }) => group === target.group && version === target.version && plural === target.plural
  )

/** Answers a review. `isForbidden` says whether a request would be denied. */
export const answerReview = (
  kind: Kind,
  contentType: string | undefined,
  body: string,
  isForbidden: (request: SeenRequest) => boolean
): Result.Result<Reply.Reply, Reply.Reply> =>
  Result.flatMap(checkObjectMediaType(contentType), () =>
    Result.flatMap(parseObject(body, kind, true), (draft) => {
      const spec = isRecord(draft["spec"]) ? draft["spec"] : {}
      const respond = (status: object) =>
        Result.succeed(
          Reply.json(
            201,
            JSON.stringify({
              kind: kind.kind,
              apiVersion: apiVersionOf(kind),
              metadata: { creationTimestamp: null },
              spec: kind === rules ? {} : spec,
              status
            })
          )
        )
      if (kind === rules) return respond(everything)
      const { nonResourceAttributes: path, resourceAttributes: resource } = spec
      if (isRecord(resource) === isRecord(path)) return Result.fail(oneOfBoth(isRecord(path) ? path : undefined))
      const request = isRecord(resource) ? ofResource(resource) : ofPath(path as Attributes)
      return respond(
        isForbidden(request) ? { allowed: false, reason: "forbidden by an injected fault" } : { allowed: true }
      )
    })
  )

type Attributes = Readonly<Record<string, unknown>>

const text = (value: unknown) => (typeof value === "string" ? value : "")

const verbs: Readonly<Record<string, readonly [method: string, verb: Verb]>> = {
  get: ["GET", "get"],
  list: ["GET", "list"],
  watch: ["GET", "watch"],
  create: ["POST", "post"],
  update: ["PUT", "put"],
  patch: ["PATCH", "patch"],
  delete: ["DELETE", "delete"],
  deletecollection: ["DELETE", "delete"]
}

/** The request that a review asks about. */
const ofResource = (attributes: Attributes): SeenRequest => {
  const [method, verb] = verbs[text(attributes["verb"])] ?? ["GET", "other"]
  const group = text(attributes["group"])
  const namespace = text(attributes["namespace"])
  const parts = [
    group === "" ? "/api" : `/apis/${group}`,
    text(attributes["version"]) || "v1",
    ...(namespace === "" ? [] : ["namespaces", namespace]),
    text(attributes["resource"]),
    text(attributes["name"]),
    text(attributes["subresource"])
  ]
  const query = new URLSearchParams(verb === "watch" ? "watch=true" : "")
  return { method, verb, path: parts.filter((part) => part !== "").join("/"), query }
}

const ofPath = (attributes: Attributes): SeenRequest => ({
  method: text(attributes["verb"]).toUpperCase(),
  verb: "other",
  path: text(attributes["path"]),
  query: new URLSearchParams()
})

const oneOfBoth = (path: Attributes | undefined) =>
  Reply.invalid("", "authorization.k8s.io", "", [
    path !== undefined
      ? {
          reason: "FieldValueInvalid",
          message: `Invalid value: authorization.NonResourceAttributes{Path:${JSON.stringify(text(path["path"]))}, Verb:${JSON.stringify(text(path["verb"]))}}: cannot be specified in combination with resourceAttributes`,
          field: "spec.nonResourceAttributes"
        }
      : {
          reason: "FieldValueInvalid",
          message: `Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified`,
          field: "spec.resourceAttributes"
        }
  ])

const everything = {
  resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
  nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
  incomplete: false
}

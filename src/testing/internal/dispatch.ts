/** Maps a request to its response: authentication, resource, form, verb. */
import * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import { apply, isApply } from "./applyVerb.ts"
import * as Accept from "./accept.ts"
import type { Call } from "./call.ts"
import { type Catalog, type Found } from "./catalog.ts"
import * as DeleteVerbs from "./deleteVerbs.ts"
import * as Discovery from "./discovery.ts"
import { namespace } from "./kinds/index.ts"
import type { Kind } from "./kinds/kind.ts"
import type { Controllers } from "./controllers.ts"
import { type ObjectTable, resourceKey } from "./objectTable.ts"
import { isBuiltInGroup } from "./kinds/builtInGroups.ts"
import { openApi } from "./openApi.ts"
import * as ReadVerbs from "./readVerbs.ts"
import * as Reply from "./reply.ts"
import type { Path, Target } from "./requestPath.ts"
import type { SeenRequest, Verb } from "./requests.ts"
import { answerReview, findReview } from "./reviews.ts"
import * as Selectors from "./selectors.ts"
import { isTrue, type Watches } from "./watches.ts"
import * as WriteVerbs from "./writeVerbs.ts"

/** The state of the server. */
export interface State {
  readonly table: ObjectTable
  readonly watches: Watches
  readonly catalog: Catalog
  readonly controllers: Controllers
  /** Whether an injected fault would deny a request. */
  readonly isForbidden: (request: SeenRequest) => boolean
}

/** A request, with everything that its response depends on. */
export interface Request {
  readonly seen: SeenRequest
  readonly path: Path
  readonly host: string
  readonly accept: string | undefined
  readonly contentType: string | undefined
  readonly userAgent: string | undefined
  readonly body: string
  readonly timestamp: () => string
  readonly disconnect: () => void
}

/** A response: a complete one, or the stream of a watch. */
export type Answer = Reply.Reply | Stream.Stream<Uint8Array>

/** The verb of a request, from its method and path. */
export const verbOf = (method: string, path: Path, query: URLSearchParams): Verb => {
  if (path._tag !== "Resource") return "other"
  switch (method) {
    case "GET":
    case "HEAD":
      return path.target.name !== undefined ? "get" : isTrue(query.get("watch")) ? "watch" : "list"
    case "POST":
      return "post"
    case "PUT":
      return "put"
    case "PATCH":
      return "patch"
    case "DELETE":
      return "delete"
    default:
      return "other"
  }
}

/**
 * Denies a request without the token. A request without any token is from `system:anonymous`, which may read the
 * health.
 */
export const authenticate = (
  token: string | undefined,
  authorization: string | undefined,
  { seen, path }: Pick<Request, "seen" | "path">
): Reply.Reply | undefined => {
  if (token === undefined) return undefined
  const sent = /^bearer +(.*)$/i.exec(authorization ?? "")?.[1]
  if (sent !== undefined) return sent === token ? undefined : Reply.unauthorized
  if (path._tag === "Version" || path._tag === "Health") return undefined
  return forbid("system:anonymous", { seen, path })
}

/** The response to a user that lacks the permission: 403. */
export const forbid = (user: string, { seen, path }: Pick<Request, "seen" | "path">): Reply.Reply =>
  path._tag === "Resource"
    ? Reply.forbidden(user, rbacVerbs[seen.verb] ?? seen.verb, path.target)
    : Reply.forbiddenPath(user, seen.method.toLowerCase(), seen.path)

const rbacVerbs: { readonly [verb in Verb]?: string } = { post: "create", put: "update" }

/** The response to a request. Its writes are applied when this function returns. */
export const dispatch = (state: State, request: Request): Answer => {
  const { path, seen } = request
  switch (path._tag) {
    case "Resource": {
      const answer = Result.merge(toResource(state, request, path.target))
      state.controllers.run()
      return answer
    }
    case "Malformed":
      return Reply.text(400, "400 Bad Request")
    case "Unknown":
      return Reply.unknownResource(false)
  }
  if (seen.method !== "GET" && seen.method !== "HEAD") return Reply.methodNotAllowed(undefined)
  switch (path._tag) {
    case "Version":
      return version
    case "Health":
      return Reply.text(200, "ok")
    case "Groups": {
      const aggregated = Accept.aggregatedDiscovery(request.accept)
      if (aggregated !== undefined) return Discovery.aggregated(state.catalog.kinds, path.isCore, aggregated)
      return path.isCore ? Discovery.coreVersions(request.host) : Discovery.groups(state.catalog.kinds)
    }
    case "GroupVersions":
      return Discovery.group(state.catalog.kinds, path.group) ?? Reply.unknownResource(false)
    case "Group":
      return Discovery.resources(state.catalog.kinds, path.group, path.version) ?? Reply.unknownResource(false)
    case "OpenApi":
      return openApi(state.catalog.kinds, path.rest, request.accept)
  }
}

const version = Reply.json(
  200,
  JSON.stringify({
    major: "1",
    minor: "36",
    gitVersion: "v1.36.0+kubelock",
    gitCommit: "",
    gitTreeState: "",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "none",
    compiler: "none",
    platform: "none"
  })
)

/** What a request is answered whose body cannot be read: that there is no such resource, or else that the body is not known. */
export const refuseBody = (state: State, path: Path, lack: string): Reply.Reply => {
  const unreadable = Reply.notImplemented(`cannot read ${lack}: send JSON`)
  if (path._tag !== "Resource" || findReview(path.target) !== undefined) return unreadable
  const found = state.catalog.find(path.target)
  return "kind" in found ? unreadable : missing(found, path.target)
}

const missing = ({ _tag }: Exclude<Found, { readonly kind: Kind }>, target: Target): Reply.Reply =>
  _tag === "NotModelled" ? notModelled(target) : Reply.unknownResource(isBuiltInGroup(target.group))

const toResource = (state: State, request: Request, target: Target): Result.Result<Answer, Reply.Reply> => {
  const review = findReview(target)
  if (review !== undefined) return toReview(state, request, target, review)
  const found = state.catalog.find(target)
  if ("kind" in found) return toKind(state, request, target, found)
  return found._tag === "NotModelled" && request.seen.verb === "list" && limits.has(target.plural)
    ? Result.succeed(emptyList(state.table, limits.get(target.plural)!))
    : Result.fail(missing(found, target))
}

// `kubectl describe namespace` asks for what limits a namespace. Nothing does, since none of them can be made.
const limits = new Map([
  ["resourcequotas", "ResourceQuotaList"],
  ["limitranges", "LimitRangeList"]
])

const emptyList = ({ version }: ObjectTable, kind: string) =>
  Reply.json(200, JSON.stringify({ kind, apiVersion: "v1", metadata: { resourceVersion: String(version) }, items: [] }))

const notModelled = ({ group, plural }: Target) =>
  Reply.notImplemented(
    `does not know ${Reply.qualified(plural, group)}, which is part of Kubernetes itself; name the resource in the option "resources" to have its objects kept as they are`
  )

const toReview = (state: State, request: Request, target: Target, review: Kind): Result.Result<Answer, Reply.Reply> => {
  if (target.name !== undefined || target.namespace !== "") return Result.fail(Reply.unknownResource(true))
  if (request.seen.verb !== "post") return Result.fail(Reply.methodNotAllowed(undefined))
  return answerReview(review, request.contentType, request.body, state.isForbidden)
}

const toKind = (
  state: State,
  request: Request,
  target: Target,
  { _tag, kind }: Extract<Found, { readonly kind: Kind }>
): Result.Result<Answer, Reply.Reply> => {
  const { catalog, table } = state
  const { seen } = request
  const builtIn = kind.isBuiltIn
  const inOneNamespace = target.namespace !== ""
  if (_tag === "Served" && !isInScope(kind.namespaced, inOneNamespace, seen.verb, target)) {
    return Result.fail(
      inOneNamespace || target.name !== undefined
        ? Reply.unknownResource(builtIn)
        : Reply.methodNotAllowed(builtIn ? undefined : target)
    )
  }
  if (target.subresource !== undefined && !(target.subresource === "status" && kind.hasStatus === true)) {
    if (mayHave(kind, target.subresource)) {
      return Result.fail(Reply.notImplemented(`has no subresource ${target.subresource} of ${target.plural}`))
    }
    return Result.fail(builtIn ? Reply.unknownResource(true) : Reply.notFound(target, target.name ?? ""))
  }
  if (seen.verb === "other" || (builtIn && seen.method === "HEAD")) {
    return Result.fail(Reply.methodNotAllowed(builtIn ? undefined : target))
  }
  const form = Accept.parse(request.accept)
  if (form === undefined) return Result.fail(Reply.notAcceptable())
  const answersList = seen.verb === "list" || (seen.verb === "delete" && target.name === undefined)
  if (answersList && form === "Partial") {
    const list = builtIn ? `*core.${kind.kind}List` : "*unstructured.UnstructuredList"
    return Result.fail(
      Reply.notAcceptable(`you requested PartialObjectMetadata, but the requested object is a list (${list})`)
    )
  }
  if (!answersList && seen.verb !== "watch" && form === "PartialList") {
    return Result.fail(Reply.internalError("content is not a list"))
  }
  const call: Call = {
    table,
    target,
    resource: resourceKey(kind),
    kind,
    kindIsKnown: !catalog.isGuess(kind),
    query: seen.query,
    form,
    contentType: request.contentType,
    manager: seen.query.get("fieldManager") || (request.userAgent ?? "").split("/", 1)[0] || "unknown",
    body: request.body,
    now: request.timestamp(),
    namespaceExists: !inOneNamespace || table.get(resourceKey(namespace), "", target.namespace) !== undefined
  }
  const withSelector = (use: (selector: Selectors.Selector) => Result.Result<Answer, Reply.Reply>) =>
    Result.flatMap(
      Result.mapError(
        Selectors.parse(kind, seen.query.get("fieldSelector"), seen.query.get("labelSelector")),
        Reply.badRequest
      ),
      use
    )
  switch (seen.verb) {
    case "get":
      return ReadVerbs.get(call)
    case "list":
      return withSelector((selector) => ReadVerbs.list(call, selector))
    case "watch":
      return withSelector((selector) => {
        const { disconnect, timestamp } = request
        return state.watches.stream({ ...call, selector, disconnect, timestamp })
      })
    case "post":
      if (target.subresource !== undefined || (builtIn && target.name !== undefined)) {
        return Result.fail(Reply.methodNotAllowed(builtIn ? undefined : target))
      }
      return Result.map(WriteVerbs.create(call), (reply) => {
        if (!call.kindIsKnown) learnKind(catalog, table, kind, target.namespace)
        return reply
      })
    case "delete":
      if (target.name !== undefined) {
        return target.subresource === undefined
          ? DeleteVerbs.remove(call)
          : Result.fail(Reply.methodNotAllowed(builtIn ? undefined : target))
      }
      return kind === namespace
        ? Result.fail(Reply.methodNotAllowed(undefined))
        : withSelector((selector) => DeleteVerbs.removeCollection(call, selector))
    default:
      if (target.name === undefined) {
        return Result.fail(builtIn ? Reply.methodNotAllowed(undefined) : nameMissing)
      }
      if (seen.verb === "put") return WriteVerbs.update(call)
      return isApply(request.contentType) ? apply(call) : WriteVerbs.patch(call)
  }
}

/** Whether the kind has this subresource on a real server, as far as this server knows. */
const mayHave = ({ isBuiltIn, isModelled, subresources }: Kind, subresource: string): boolean =>
  isBuiltIn && (isModelled ? subresources : someSubresources)?.includes(subresource) === true

const someSubresources = ["status", "finalize", "scale"]

/** A namespaced object has a path through its namespace. Only LIST and watch work across all namespaces. */
const isInScope = (namespaced: boolean, inOneNamespace: boolean, verb: Verb, { name }: Target): boolean =>
  namespaced ? inOneNamespace || (name === undefined && (verb === "list" || verb === "watch")) : !inOneNamespace

const nameMissing = Reply.badRequest("name must be provided")

const learnKind = (catalog: Catalog, table: ObjectTable, kind: Kind, namespace: string) => {
  const [first] = table.list(resourceKey(kind), namespace)
  if (first !== undefined) catalog.learn(kind, first.object.kind)
}

/** Maps a request to its response: authentication, resource, form, verb. */
import * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import * as Accept from "./accept.ts"
import { type Catalog, namespaces } from "./catalog.ts"
import { type ObjectTable, resourceKey } from "./objectTable.ts"
import * as Verbs from "./objectVerbs.ts"
import * as Reply from "./reply.ts"
import { isBuiltIn, type Path, type Target } from "./requestPath.ts"
import type { SeenRequest, Verb } from "./requests.ts"
import * as Selectors from "./selectors.ts"
import { isTrue, type Watches } from "./watches.ts"

/** The state of the server. */
export interface State {
  readonly table: ObjectTable
  readonly watches: Watches
  readonly catalog: Catalog
  /** Whether a namespace must exist before objects are created in it. */
  readonly checkNamespaces: boolean
}

/** A request, with everything that its response depends on. */
export interface Request {
  readonly seen: SeenRequest
  readonly path: Path
  readonly accept: string | undefined
  readonly contentType: string | undefined
  readonly body: string
  readonly now: string
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
    case "Resource":
      return Result.merge(toResource(state, request, path.target))
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
    case "Group": {
      const resources = state.catalog.discover(path.group, path.version)
      return resources === undefined ? Reply.unknownResource(false) : Reply.json(200, resources)
    }
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

const toResource = (state: State, request: Request, target: Target): Result.Result<Answer, Reply.Reply> => {
  const { catalog, table } = state
  const { seen } = request
  const builtIn = isBuiltIn(target.group)
  const entry = catalog.find(target)
  const inOneNamespace = target.namespace !== ""
  if (entry === undefined || !isInScope(entry.namespaced, inOneNamespace, seen.verb)) {
    return Result.fail(Reply.unknownResource(builtIn))
  }
  if (target.subresource !== undefined) return Result.fail(Reply.notFound(target, target.name ?? ""))
  if (seen.verb === "other" || (builtIn && seen.method === "HEAD")) {
    return Result.fail(Reply.methodNotAllowed(builtIn ? undefined : target))
  }
  const form = Accept.parse(request.accept)
  if (form === undefined) return Result.fail(Reply.notAcceptable())
  const kind = entry.kind
  if (seen.verb === "list" && form === "Partial") {
    const list = builtIn ? `*core.${kind}List` : "*unstructured.UnstructuredList"
    return Result.fail(
      Reply.notAcceptable(`you requested PartialObjectMetadata, but the requested object is a list (${list})`)
    )
  }
  if (seen.verb !== "list" && seen.verb !== "watch" && form === "PartialList") {
    return Result.fail(Reply.internalError("content is not a list"))
  }
  const call = {
    table,
    target,
    resource: entry.key,
    kind,
    query: seen.query,
    partial: form !== "Whole",
    contentType: request.contentType,
    body: request.body,
    now: request.now,
    namespaceExists:
      !state.checkNamespaces || !inOneNamespace || table.get(namespacesKey, "", target.namespace) !== undefined
  }
  switch (seen.verb) {
    case "get":
      return Verbs.get(call)
    case "list":
    case "watch": {
      const selector = Selectors.parse(seen.query.get("fieldSelector"), seen.query.get("labelSelector"))
      if (Result.isFailure(selector)) return Result.fail(Reply.badRequest(selector.failure))
      return seen.verb === "list"
        ? Verbs.list(call, selector.success)
        : state.watches.stream({ ...call, selector: selector.success, disconnect: request.disconnect })
    }
    case "post":
      if (builtIn && target.name !== undefined) return Result.fail(Reply.methodNotAllowed(undefined))
      return Result.map(Verbs.create(call), (reply) => {
        if (kind === undefined) inferKind(catalog, table, entry.key, target.namespace)
        return reply
      })
    default:
      if (target.name === undefined) {
        return Result.fail(
          builtIn || seen.verb === "delete" ? Reply.methodNotAllowed(builtIn ? undefined : target) : nameMissing
        )
      }
      return seen.verb === "put" ? Verbs.update(call) : seen.verb === "patch" ? Verbs.patch(call) : Verbs.remove(call)
  }
}

/** A namespaced object has a path through its namespace. Only LIST and watch work across all namespaces. */
const isInScope = (namespaced: boolean | undefined, inOneNamespace: boolean, verb: Verb): boolean =>
  namespaced === undefined || (namespaced ? inOneNamespace || verb === "list" || verb === "watch" : !inOneNamespace)

const nameMissing = Reply.badRequest("name must be provided")

const namespacesKey = resourceKey(namespaces)

const inferKind = (catalog: Catalog, table: ObjectTable, key: string, namespace: string) => {
  const [first] = table.list(key, namespace)
  if (first !== undefined) catalog.setKind(key, first.object.kind)
}

/** From a request that has been read to the answer: authentication, the resource, the form, the verb. */
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

/** What the server is made of. */
export interface Parts {
  readonly table: ObjectTable
  readonly watches: Watches
  readonly catalog: Catalog
  /** Whether a namespace must exist before objects can be made in it. */
  readonly checkNamespaces: boolean
}

/** A request with all that its answer depends on. */
export interface Request {
  readonly seen: SeenRequest
  readonly path: Path
  readonly accept: string | undefined
  readonly contentType: string | undefined
  readonly body: string
  readonly now: string
  readonly disconnect: () => void
}

/** An answer: at once, or as a watch. */
export type Answer = Reply.Reply | Stream.Stream<Uint8Array>

/** What a request does, by its method and its path. */
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

/** Refuses a request that does not carry the token. No token at all is `system:anonymous`, who may read the health. */
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

/** 403 for a user who may not do this. */
export const forbid = (user: string, { seen, path }: Pick<Request, "seen" | "path">): Reply.Reply =>
  path._tag === "Resource"
    ? Reply.forbidden(user, rbacVerbs[seen.verb] ?? seen.verb, path.target)
    : Reply.forbiddenPath(user, seen.method.toLowerCase(), seen.path)

const rbacVerbs: { readonly [verb in Verb]?: string } = { post: "create", put: "update" }

/** The answer to a request. Writes have happened when this returns. */
export const dispatch = (parts: Parts, request: Request): Answer => {
  const { path, seen } = request
  switch (path._tag) {
    case "Resource":
      return Result.merge(toResource(parts, request, path.target))
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
      const resources = parts.catalog.discover(path.group, path.version)
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

const toResource = (parts: Parts, request: Request, target: Target): Result.Result<Answer, Reply.Reply> => {
  const { catalog, table } = parts
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
      !parts.checkNamespaces || !inOneNamespace || table.get(namespacesKey, "", target.namespace) !== undefined
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
        : parts.watches.stream({ ...call, selector: selector.success, disconnect: request.disconnect })
    }
    case "post":
      if (builtIn && target.name !== undefined) return Result.fail(Reply.methodNotAllowed(undefined))
      return Result.map(Verbs.create(call), (reply) => {
        if (kind === undefined) learnKind(catalog, table, entry.key, target.namespace)
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

/** A namespaced object is reached through its namespace; only LIST and watch may go across all of them. */
const isInScope = (namespaced: boolean | undefined, inOneNamespace: boolean, verb: Verb): boolean =>
  namespaced === undefined || (namespaced ? inOneNamespace || verb === "list" || verb === "watch" : !inOneNamespace)

const nameMissing = Reply.badRequest("name must be provided")

const namespacesKey = resourceKey(namespaces)

const learnKind = (catalog: Catalog, table: ObjectTable, key: string, namespace: string) => {
  const [first] = table.list(key, namespace)
  if (first !== undefined) catalog.learn(key, first.object.kind)
}

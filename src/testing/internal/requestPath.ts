/** The meaning of a URL path. */
import * as Result from "effect/Result"

/**
 * The resource and the object that a path names. `namespace` is `""` if the path has none. `name` is absent for a
 * collection. `subresource` is the rest of the path after the name.
 */
export interface Target {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly namespace: string
  readonly name: string | undefined
  readonly subresource: string | undefined
}

/** A parsed path: a resource, a document of discovery, an OpenAPI document, `/version`, or `/readyz` and its like. */
export type Path =
  | { readonly _tag: "Groups"; readonly isCore: boolean }
  | { readonly _tag: "GroupVersions"; readonly group: string }
  | { readonly _tag: "OpenApi"; readonly rest: string }
  | { readonly _tag: "Resource"; readonly target: Target }
  | { readonly _tag: "Group"; readonly group: string; readonly version: string }
  | { readonly _tag: "Version" | "Health" | "Unknown" | "Malformed" }

/** Parses a path as the API server does: it decodes the whole path, including `%2f`, then splits it at the slashes. */
export const parse = (path: string): Path => {
  if (path === "/version") return { _tag: "Version" }
  if (path === "/readyz" || path === "/healthz" || path === "/livez") return { _tag: "Health" }
  const decoded = path.includes("%") ? Result.try(() => decodeURIComponent(path)) : Result.succeed(path)
  if (Result.isFailure(decoded)) return { _tag: "Malformed" }
  const parts = decoded.success.replace(/^\/+|\/+$/g, "").split("/")
  if (parts[0] === "openapi") return { _tag: "OpenApi", rest: parts.slice(1).join("/") }
  if (parts.length === 1 && (parts[0] === "api" || parts[0] === "apis")) {
    return { _tag: "Groups", isCore: parts[0] === "api" }
  }
  if (parts[0] === "apis" && parts.length === 2) return { _tag: "GroupVersions", group: parts[1]! }
  if (parts[0] === "api") return inGroup("", parts[1], parts.slice(2))
  if (parts[0] === "apis" && parts[1] !== undefined) return inGroup(parts[1], parts[2], parts.slice(3))
  return { _tag: "Unknown" }
}

const inGroup = (group: string, version: string | undefined, rest: ReadonlyArray<string>): Path => {
  if (version === undefined || version === "") return { _tag: "Unknown" }
  if (rest.length === 0) return { _tag: "Group", group, version }
  const namespaced = rest[0] === "namespaces" && rest.length > 2
  const [plural, name, ...more] = namespaced ? rest.slice(2) : rest
  return {
    _tag: "Resource",
    target: {
      group,
      version,
      plural: plural!,
      namespace: namespaced ? rest[1]! : "",
      name,
      subresource: more.length === 0 ? undefined : more.join("/")
    }
  }
}

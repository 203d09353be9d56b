/** Responses of the server: bodies, and `metav1.Status` with the reasons and messages of a real API server. */
import type { Target } from "./requestPath.ts"

/** A complete response. */
export interface Reply {
  readonly status: number
  readonly body: string | Uint8Array
  readonly contentType: string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** A rejected field, as in `details.causes`. */
export interface Cause {
  readonly reason: string
  readonly message: string
  readonly field?: string | undefined
}

interface Details {
  readonly name?: string | undefined
  readonly group?: string | undefined
  readonly kind?: string | undefined
  readonly uid?: string | undefined
  readonly causes?: ReadonlyArray<Cause> | undefined
  readonly retryAfterSeconds?: number | undefined
}

/** The size limit of a request body, in bytes. */
export const maxBodyBytes = 3_145_728

/** A response with a JSON body. */
export const json = (status: number, body: string): Reply => ({ status, body, contentType: "application/json" })

/** A response with a binary body. */
export const binary = (status: number, body: Uint8Array, contentType: string): Reply => ({ status, body, contentType })

/** A response with a text body, as Go's `http.Error` writes it. */
export const text = (status: number, body: string): Reply => ({
  status,
  body,
  contentType: "text/plain; charset=utf-8",
  headers: { "x-content-type-options": "nosniff" }
})

/** A `metav1.Status` of a failure, as JSON. Absent fields are left out, as in Go. */
export const failureStatus = (code: number, reason: string | undefined, message: string, details?: Details): string =>
  JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, details, code })

const failure = (code: number, reason: string | undefined, message: string, details?: Details): Reply =>
  json(code, failureStatus(code, reason, message, details))

/** The name with its group: `refreshtokens.dex.coreos.com`, `configmaps`. */
export const qualified = (name: string, group: string): string => (group === "" ? name : `${name}.${group}`)

const detailsOf = (target: Target, name: string): Details => ({
  name: name === "" ? undefined : name,
  group: target.group === "" ? undefined : target.group,
  kind: target.plural
})

export const badRequest = (message: string): Reply => failure(400, "BadRequest", message)

export const internalError = (message: string): Reply => failure(500, undefined, message)

export const unauthorized: Reply = failure(401, "Unauthorized", "Unauthorized")

export const notFound = (target: Target, name: string): Reply =>
  failure(404, "NotFound", `${qualified(target.plural, target.group)} "${name}" not found`, detailsOf(target, name))

export const namespaceNotFound = (name: string): Reply =>
  failure(404, "NotFound", `namespaces "${name}" not found`, { name, kind: "namespaces" })

/** The response to an unknown path: a Status among the built-in resources of Kubernetes, else text. */
export const unknownResource = (builtIn: boolean): Reply =>
  builtIn
    ? failure(404, "NotFound", "the server could not find the requested resource", {})
    : text(404, "404 page not found\n")

export const methodNotAllowed = (target: Target | undefined): Reply =>
  target === undefined
    ? failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
    : failure(
        405,
        "MethodNotAllowed",
        ` is not supported on resources of kind "${qualified(target.plural, target.group)}"`,
        detailsOf(target, "")
      )

export const notAcceptable = (
  message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
): Reply => failure(406, "NotAcceptable", message)

/** The response to what a real server can do and this one cannot. */
export const notImplemented = (lack: string): Reply =>
  failure(501, "NotImplemented", `The embedded API server ${lack}.`)

export const expired = (message: string): Reply => failure(410, "Expired", message)

export const alreadyExists = (target: Target, name: string): Reply =>
  failure(
    409,
    "AlreadyExists",
    `${qualified(target.plural, target.group)} "${name}" already exists`,
    detailsOf(target, name)
  )

export const conflict = (target: Target, name: string, reason: string): Reply =>
  failure(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(target.plural, target.group)} "${name}": ${reason}`,
    detailsOf(target, name)
  )

/** The response to an apply that would change what others own. */
export const applyConflict = (message: string, causes: ReadonlyArray<Cause>): Reply =>
  failure(409, "Conflict", message, { causes })

export const modified = (target: Target, name: string): Reply =>
  conflict(target, name, "the object has been modified; please apply your changes to the latest version and try again")

export const bodyTooLarge: Reply = failure(
  413,
  "RequestEntityTooLarge",
  `Request entity too large: limit is ${maxBodyBytes}`
)

export const unsupportedMediaType = (accepted: string): Reply =>
  failure(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted}`
  )

/** 422 with its causes. `kind` is a kind or a plural, as the real server has it in the same case. */
export const invalid = (kind: string, group: string, name: string, causes: ReadonlyArray<Cause>): Reply => {
  const problems = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))]
  return failure(
    422,
    "Invalid",
    `${qualified(kind, group)} "${name}" is invalid: ${problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`}`,
    {
      name: name === "" ? undefined : name,
      group: group === "" ? undefined : group,
      kind: kind === "" ? undefined : kind,
      causes
    }
  )
}

/** 422 for a patch whose result is not a valid object. */
export const invalidPatch = (result: string, problem: string): Reply => {
  const message = `Invalid value: ${JSON.stringify(result)}: ${problem}`
  return failure(422, "Invalid", ` "" is invalid: patch: ${message}`, {
    causes: [{ reason: "FieldValueInvalid", message, field: "patch" }]
  })
}

/** 422 for a JSON patch that cannot be applied, for example because a `test` fails. */
export const patchRejected: Reply = failure(
  422,
  "Invalid",
  "the server rejected our request due to an error in our request",
  {}
)

export const versionTooLarge = (requested: number, current: number): Reply => ({
  ...failure(504, "Timeout", `Timeout: Too large resource version: ${requested}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1
  }),
  headers: { "retry-after": "1" }
})

/** The 403 of RBAC for a resource. */
export const forbidden = (user: string, verb: string, target: Target): Reply => {
  const name = target.name === undefined ? "" : ` "${target.name}"`
  const where = target.namespace === "" ? "at the cluster scope" : `in the namespace "${target.namespace}"`
  return failure(
    403,
    "Forbidden",
    `${qualified(target.plural, target.group)}${name} is forbidden: User "${user}" cannot ${verb} resource "${target.plural}" in API group "${target.group}" ${where}`,
    detailsOf(target, target.name ?? "")
  )
}

/** The 403 of RBAC for a path without a resource. */
export const forbiddenPath = (user: string, verb: string, path: string): Reply =>
  failure(403, "Forbidden", `forbidden: User "${user}" cannot ${verb} path "${path}"`, {})

export const deleted = (target: Target, name: string, uid: string): Reply =>
  json(
    200,
    JSON.stringify({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Success",
      details: { ...detailsOf(target, name), uid }
    })
  )

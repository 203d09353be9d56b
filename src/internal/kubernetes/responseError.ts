/**
 * Maps an unsuccessful response of the API server (HTTP status and `metav1.Status`) to a typed error. Pure.
 *
 * Not every response has a `metav1.Status`: an overloaded server answers with plain text, a proxy with a page or nothing.
 * What does not come from the API server does not answer the request, so it is `Unavailable`. A message can quote the object with its secrets, so only what cannot do so is repeated (`refusal.ts`).
 */
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as LockError from "../../LockError.ts"
import type { Response } from "./http.ts"
import { knownReason, outageOf, refusalOf } from "./refusal.ts"

/** What a request is for: the id, the object as messages name it, whether it is in a namespace, and the verb. */
export interface RequestInfo {
  readonly id: string
  readonly object: string
  readonly namespaced: boolean
  readonly verb: string
}

const Status = Schema.fromJsonString(
  Schema.Struct({
    kind: Schema.Literal("Status"),
    reason: Schema.optional(Schema.String),
    message: Schema.optional(Schema.String),
    details: Schema.optional(
      Schema.Struct({
        group: Schema.optional(Schema.String),
        kind: Schema.optional(Schema.String),
        name: Schema.optional(Schema.String),
        causes: Schema.optional(
          Schema.Array(Schema.Struct({ reason: Schema.optional(Schema.String), field: Schema.optional(Schema.String) }))
        )
      })
    )
  })
)
type Status = typeof Status.Type

const decodeStatus = Schema.decodeUnknownOption(Status)

const patchTestFailed = "the server rejected our request due to an error in our request"

/** Whether the response says that the precondition of a write did not hold, so that nothing was written. */
export const isPreconditionFailed = (response: Response): boolean => {
  if (response.status !== 409 && response.status !== 422) return false
  const status = Option.getOrUndefined(decodeStatus(response.body))
  if (refusalOf(status?.message) !== undefined) return false
  return response.status === 409
    ? status?.reason === "Conflict" || status?.reason === "AlreadyExists"
    : status?.reason === "Invalid" && status.message === patchTestFailed
}

/** Whether the response says that a webhook, which the write would have to pass, takes no dry run. */
export const isDryRunUnsupported = (response: Response): boolean =>
  response.status === 400 &&
  /^admission webhook "[^"]*" does not support dry run$/.test(
    Option.getOrUndefined(decodeStatus(response.body))?.message ?? ""
  )

/** The error of an unsuccessful response. */
export const toError = (response: Response, info: RequestInfo): LockError.StoreError => {
  const status = Option.getOrUndefined(decodeStatus(response.body))
  const { id, object, verb } = info
  const { status: code } = response
  const refusal = refusalOf(status?.message)
  // A webhook and a policy choose the status themselves. Their 404 says nothing about the object.
  if ((refusal?.by === "Webhook" || refusal?.by === "Policy") && !isPassing(code)) {
    const fields = { object, verb, status: code, refusedBy: refusal.by, detail: refusal.detail }
    return code === 403 ? new LockError.Forbidden(fields) : new LockError.Rejected(fields)
  }
  if (code === 401) return new LockError.Unauthorized({ object, detail: "the server answered 401" })
  if (code < 400 || isPassing(code) || code === 409 || code === 425) {
    return unavailable(response, info, whyUnavailable(code, status))
  }
  if (status === undefined) {
    return isUnknownPath(response)
      ? new LockError.NotFound({ id, object, missing: "resource" })
      : unavailable(response, info, `something in front of the API server answered ${describe(response)}`)
  }
  switch (code) {
    case 403:
      return new LockError.Forbidden({
        object,
        verb,
        status: code,
        ...(refusal === undefined ? {} : { refusedBy: refusal.by }),
        detail: refusal?.detail ?? "the server gives a reason that is not repeated here, since it may quote the object"
      })
    case 404:
      return new LockError.NotFound({ id, object, missing: missing(status, info) })
    default:
      return new LockError.Rejected({ object, verb, status: code, detail: rejectionDetail(status) })
  }
}

const isPassing = (code: number): boolean => code === 408 || code === 429 || code >= 500

// The only final answer of an API server without a Status: it does not know the path.
const isUnknownPath = ({ body, status }: Response): boolean => status === 404 && body.trim() === "404 page not found"

const describe = ({ headers, status }: Response): string => {
  const type = /^[a-z]+\/[a-z.+-]+/.exec(String(headers["content-type"] ?? ""))?.[0]
  return type === undefined ? String(status) : `${status} (${type})`
}

const missing = ({ details }: Status, { namespaced }: RequestInfo): "object" | "namespace" | "resource" => {
  if (details?.name === undefined) return "resource"
  return namespaced && details.kind === "namespaces" && (details.group ?? "") === "" ? "namespace" : "object"
}

const rejectionDetail = ({ details, reason }: Status): string => {
  const causes = details?.causes ?? []
  const fields = new Set(causes.flatMap(({ field }) => (field === undefined ? [] : [field])))
  const isFull = causes.some(({ field, reason }) => field === "metadata.annotations" && reason === "FieldValueTooLong")
  return [
    knownReason(reason) ?? "no reason given",
    fields.size === 0 ? "" : ` (${[...fields].join(", ")})`,
    isFull
      ? ": the annotations of an object may have 256 KiB at most. Remove what nobody needs, or use another object"
      : ""
  ].join("")
}

const whyUnavailable = (code: number, status: Status | undefined): string => {
  const why = refusalOf(status?.message)?.detail ?? outageOf(status?.message) ?? knownReason(status?.reason)
  return `the server answered ${code}${why === undefined ? "" : ` (${why})`}`
}

const unavailable = (response: Response, { object, verb }: RequestInfo, detail: string): LockError.Unavailable =>
  new LockError.Unavailable({
    object,
    verb,
    status: response.status,
    detail,
    ...Option.match(retryAfterOf(response), { onNone: () => ({}), onSome: (retryAfter) => ({ retryAfter }) })
  })

// Only an overloaded server (429) is obeyed. A server that is starting sends 503 and asks for ten seconds, but is ready
// much sooner.
const retryAfterOf = ({ headers, status }: Response): Option.Option<Duration.Duration> =>
  status !== 429
    ? Option.none()
    : Option.liftPredicate(Predicate.isString)(headers["retry-after"]).pipe(
        Option.flatMap((value) => Result.getSuccess(Headers.parseRetryAfter(value))),
        Option.flatMap((parsed) =>
          parsed._tag === "Duration" ? Option.some(Duration.min(parsed.duration, Duration.minutes(1))) : Option.none()
        )
      )

/**
 * Maps an unsuccessful response of the API server (HTTP status and `metav1.Status`) to a typed error. Pure.
 *
 * Not every response has a `metav1.Status`: a proxy answers with HTML or an empty body, an overloaded server with plain
 * text. A message can quote the object with its secrets, so only what cannot do so is repeated (`refusal.ts`).
 */
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as LockError from "../../LockError.ts"
import type { Response } from "./http.ts"
import { knownReason, refusalOf } from "./refusal.ts"

/** What a request is for: the id, the object as messages name it, and the verb. */
export interface RequestInfo {
  readonly id: string
  readonly object: string
  readonly verb: string
}

const Status = Schema.fromJsonString(
  Schema.Struct({
    kind: Schema.Literal("Status"),
    reason: Schema.optional(Schema.String),
    message: Schema.optional(Schema.String),
    details: Schema.optional(
      Schema.Struct({
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

/** The error of an unsuccessful response. */
export const toError = (response: Response, info: RequestInfo): LockError.StoreError => {
  const status = Option.getOrUndefined(decodeStatus(response.body))
  const { id, object, verb } = info
  // A webhook and a policy choose the status themselves. Their 404 says nothing about the object.
  const refusal = refusalOf(status?.message)
  if ((refusal?.by === "Webhook" || refusal?.by === "Policy") && !isPassing(response.status)) {
    const fields = { object, verb, status: response.status, detail: refusal.detail }
    return response.status === 403 ? new LockError.Forbidden(fields) : new LockError.Rejected(fields)
  }
  switch (response.status) {
    case 401:
      return new LockError.Unauthorized({ object, detail: "the server answered 401" })
    case 403:
      return new LockError.Forbidden({
        object,
        verb,
        status: 403,
        detail:
          refusal?.detail ??
          (status === undefined
            ? "the response does not come from the API server but from something in front of it"
            : "the server gives a reason that is not repeated here, since it may quote the object")
      })
    case 404:
      return new LockError.NotFound({ id, object, missing: missing(status) })
    case 408:
    case 409:
    case 425:
    case 429:
      return unavailable(response, info, status)
    default:
      return response.status >= 400 && response.status < 500
        ? new LockError.Rejected({ object, verb, status: response.status, detail: rejectionDetail(status) })
        : unavailable(response, info, status)
  }
}

const missing = (status: Status | undefined): "object" | "namespace" | "resource" =>
  status?.details?.name === undefined ? "resource" : status.details.kind === "namespaces" ? "namespace" : "object"

const isPassing = (status: number): boolean => status === 408 || status === 429 || status >= 500

const rejectionDetail = (status: Status | undefined): string => {
  const fields = (status?.details?.causes ?? []).flatMap((cause) => (cause.field === undefined ? [] : [cause.field]))
  return `${knownReason(status?.reason) ?? "no reason given"}${fields.length === 0 ? "" : ` (${fields.join(", ")})`}`
}

const unavailable = (
  response: Response,
  { object, verb }: RequestInfo,
  status: Status | undefined
): LockError.Unavailable => {
  const why = refusalOf(status?.message)?.detail ?? knownReason(status?.reason)
  return new LockError.Unavailable({
    object,
    verb,
    status: response.status,
    detail: `the server answered ${response.status}${why === undefined ? "" : ` (${why})`}`,
    ...Option.match(retryAfterOf(response), { onNone: () => ({}), onSome: (retryAfter) => ({ retryAfter }) })
  })
}

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

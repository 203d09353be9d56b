/**
 * What an answer of the API server that is not a success means: from HTTP status and `metav1.Status` to a typed error.
 *
 * Proxies in front of the server answer HTML or nothing, overload is plain text, and a validation message can quote the
 * object with its secrets: only messages that cannot are repeated.
 */
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as LockError from "../../LockError.ts"
import type { Response } from "./http.ts"

/** What was asked for, for the messages. */
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

/** True for the answers that say: the condition of the write did not hold, and nothing was written. */
export const isPreconditionFailed = (answer: Response): boolean => {
  if (answer.status !== 409 && answer.status !== 422) return false
  const status = Option.getOrUndefined(decodeStatus(answer.body))
  return answer.status === 409
    ? status?.reason === "Conflict" || status?.reason === "AlreadyExists"
    : status?.reason === "Invalid" && status.message === patchTestFailed
}

/** The error that an answer other than a success stands for. */
export const toError = (answer: Response, request: RequestInfo): LockError.StoreError => {
  const status = Option.getOrUndefined(decodeStatus(answer.body))
  const { id, object, verb } = request
  switch (answer.status) {
    case 401:
      return new LockError.Unauthorized({ object, detail: "it answered 401" })
    case 403:
      return new LockError.Forbidden({
        object,
        verb,
        status: 403,
        detail: status?.message ?? "the answer came from something in front of the API server"
      })
    case 404:
      return new LockError.NotFound({ id, object, missing: missing(status) })
    case 408:
    case 409:
    case 425:
    case 429:
      return unavailable(answer, request, status)
    default:
      return answer.status >= 400 && answer.status < 500
        ? new LockError.Rejected({ object, verb, status: answer.status, detail: complaint(status) })
        : unavailable(answer, request, status)
  }
}

const missing = (status: Status | undefined): "object" | "namespace" | "resource" =>
  status?.details?.name === undefined ? "resource" : status.details.kind === "namespaces" ? "namespace" : "object"

const complaint = (status: Status | undefined): string => {
  const fields = (status?.details?.causes ?? []).flatMap((cause) => (cause.field === undefined ? [] : [cause.field]))
  return `${status?.reason ?? "no reason given"}${fields.length === 0 ? "" : ` (${fields.join(", ")})`}`
}

const unavailable = (answer: Response, request: RequestInfo, status: Status | undefined): LockError.Unavailable =>
  new LockError.Unavailable({
    object: request.object,
    verb: request.verb,
    status: answer.status,
    detail: `the server answered ${answer.status}${status?.reason === undefined ? "" : ` (${status.reason})`}`,
    ...Option.match(retryAfterOf(answer), { onNone: () => ({}), onSome: (retryAfter) => ({ retryAfter }) })
  })

// Of an overloaded server only. One that is starting asks for ten seconds with its 503, and is well long before.
const retryAfterOf = ({ headers, status }: Response): Option.Option<Duration.Duration> =>
  status !== 429
    ? Option.none()
    : Option.liftPredicate(Predicate.isString)(headers["retry-after"]).pipe(
        Option.flatMap((value) => Result.getSuccess(Headers.parseRetryAfter(value))),
        Option.flatMap((parsed) =>
          parsed._tag === "Duration" ? Option.some(Duration.min(parsed.duration, Duration.minutes(1))) : Option.none()
        )
      )

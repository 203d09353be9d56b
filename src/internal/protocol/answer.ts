/** The input of the machines: the answer to a request, and the time. */
import type * as LockError from "../../LockError.ts"
import type { ObjectSnapshot, ServerTime } from "../../ObjectStore.ts"
import type { ClockReading } from "../time/clockReading.ts"

/** The time of a step: on the clocks of this process, and on the server's. */
export interface Now {
  readonly clock: ClockReading
  readonly server: ServerTime
}

/**
 * The answer to a request.
 *
 * `Found` answers a reading. `Written` and `Refused` answer a write: `Refused` says that its precondition did not hold, and that
 * nothing was written. After `Failed` with `LockUnavailable` a write may have been applied.
 */
export type Answer =
  | { readonly _tag: "Found" | "Written"; readonly snapshot: ObjectSnapshot }
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Missing"; readonly error: LockError.NotFound }
  | { readonly _tag: "Failed"; readonly error: Exclude<LockError.StoreError, LockError.NotFound> }

/**
 * Whether a server that has just started gives this error, and another answer a moment later: it loads its roles and its custom
 * resources last.
 */
export const isOfStart = (error: LockError.StoreError): boolean =>
  error._tag === "LockForbidden"
    ? error.refusedBy === "Authorizer"
    : error._tag === "LockNotFound" && error.missing === "resource"

/** Whether a rule of the cluster refuses a write: a limit, a policy, a webhook. Another write may be admitted. */
export const isRuledOut = (error: LockError.StoreError): error is LockError.Rejected | LockError.Forbidden =>
  error._tag === "LockRejected" || error._tag === "LockForbidden"

const tags: ReadonlySet<string> = new Set<Answer["_tag"]>(["Found", "Written", "Refused", "Missing", "Failed"])

/** Whether an event is the answer to a request. */
export const isAnswer = (event: { readonly _tag: string }): boolean => tags.has(event._tag)

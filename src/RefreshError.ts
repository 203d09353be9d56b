/**
 * The errors of a shared value, other than those of its lock (`LockError`) and of its upstream (the error of
 * `refresh`).
 *
 * Messages and fields never contain the value, which may be a secret.
 */
import * as Schema from "effect/Schema"
import { Lost, StoreError } from "./LockError.ts"

/**
 * The field contains something else: the data of another program, or an older form of the value. It was not changed.
 */
export class Unreadable extends Schema.Error<Unreadable>("kubelock/RefreshError/Unreadable")({
  _tag: Schema.tag("RefreshUnreadable"),
  id: Schema.String,
  object: Schema.String,
  field: Schema.String
}) {
  override get message(): string {
    return `Cannot read the field ${this.field} of ${this.object}: it does not contain base64 of JSON that matches the schema. The field was not changed.`
  }
}

/**
 * The upstream answered a refresh, but the new value could not be written.
 *
 * `reason` is the error of the write: another process took the lock over, the API server was unreachable for 30
 * seconds, or the API server refused the write. The new value is lost. If the upstream rotates refresh tokens, the
 * stored one may be used up.
 */
export class NotWritten extends Schema.Error<NotWritten>("kubelock/RefreshError/NotWritten")({
  _tag: Schema.tag("RefreshNotWritten"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Union([Lost, ...StoreError.members])
}) {
  override get message(): string {
    return `Refreshed the value of ${this.object} but could not write it, so the new value is lost. ${this.reason.message}`
  }
}

/** All errors of this module. */
export const RefreshError = Schema.Union([Unreadable, NotWritten])

/** All errors of this module. */
export type RefreshError = typeof RefreshError.Type

/**
 * What can go wrong with a shared value beyond its lock (`LockError`) and its upstream (the user's own error).
 *
 * Messages and fields never hold the value, which is a secret.
 */
import * as Schema from "effect/Schema"
import { Lost, StoreError } from "./LockError.ts"

/** What is stored at the value's place is not such a value: somebody else's data, or an older form of it. */
export class Unreadable extends Schema.Error<Unreadable>("kubelock/RefreshError/Unreadable")({
  _tag: Schema.tag("RefreshUnreadable"),
  id: Schema.String,
  object: Schema.String,
  field: Schema.String
}) {
  override get message(): string {
    return `The field ${this.field} of ${this.object} does not hold base64 of JSON that the schema accepts; it was left alone.`
  }
}

/**
 * The upstream answered a refresh, and the answer could not be written.
 *
 * `reason` says why: the lock was lost to somebody else meanwhile, or the API server could not be reached for 30 seconds,
 * or it refused. The value that the upstream handed out is gone, and where refresh tokens rotate the stored one may be spent.
 */
export class NotWritten extends Schema.Error<NotWritten>("kubelock/RefreshError/NotWritten")({
  _tag: Schema.tag("RefreshNotWritten"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Union([Lost, ...StoreError.members])
}) {
  override get message(): string {
    return `The value of ${this.object} was refreshed, but could not be written: ${this.reason.message}`
  }
}

/** Everything that this module adds. */
export const RefreshError = Schema.Union([Unreadable, NotWritten])

/** Everything that this module adds. */
export type RefreshError = typeof RefreshError.Type

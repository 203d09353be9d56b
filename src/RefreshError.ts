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
    return `Cannot read the field ${this.field} of ${this.object}: it does not contain base64 of JSON that matches the schema. The field was not changed. Deploy a schema that reads it, or write a new value with replace.`
  }
}

/**
 * The schema cannot encode the value, or cannot read what it has encoded.
 *
 * If it is an answer of the upstream, this process keeps it in memory and refreshes it next, but hands it to nobody.
 */
export class NotEncodable extends Schema.Error<NotEncodable>("kubelock/RefreshError/NotEncodable")({
  _tag: Schema.tag("RefreshNotEncodable"),
  id: Schema.String,
  object: Schema.String
}) {
  override get message(): string {
    return `Cannot store a value in ${this.object}: the schema cannot encode it, or cannot read what it has encoded. Change the schema, or what refresh returns.`
  }
}

/**
 * The upstream was not asked, because its answer could not be written: it would be lost.
 *
 * `reason` is what a dry run of the write was answered, or that the object says of itself that it is `immutable`.
 */
export class NotWritable extends Schema.Error<NotWritable>("kubelock/RefreshError/NotWritable")({
  _tag: Schema.tag("RefreshNotWritable"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Union([...StoreError.members])
}) {
  override get message(): string {
    return `Did not refresh the value of ${this.object}: the answer of the upstream could not be written, and would be lost. ${this.reason.message}`
  }
}

/**
 * The new value was not written, because another process took the lock over and stored a value of its own, or because the API
 * server did not accept the write of `replace`. `reason` is the error of the write.
 */
export class NotWritten extends Schema.Error<NotWritten>("kubelock/RefreshError/NotWritten")({
  _tag: Schema.tag("RefreshNotWritten"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Union([Lost, ...StoreError.members])
}) {
  override get message(): string {
    return `Could not write the new value of ${this.object}, so it is lost. ${this.reason.message}`
  }
}

/** All errors of this module. */
export const RefreshError = Schema.Union([Unreadable, NotEncodable, NotWritable, NotWritten])

/** All errors of this module. */
export type RefreshError = typeof RefreshError.Type

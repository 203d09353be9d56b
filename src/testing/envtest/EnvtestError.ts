/** The error of starting or driving real API servers. */
import * as Schema from "effect/Schema"

/**
 * A step of starting or driving the servers failed.
 *
 * `log` holds the last lines of the process that failed, if there is one.
 */
export class EnvtestError extends Schema.Error<EnvtestError>("kubelock/testing/EnvtestError")({
  _tag: Schema.tag("EnvtestError"),
  step: Schema.String,
  detail: Schema.String,
  log: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `${this.step}: ${this.detail}${this.log === undefined ? "" : `\nIts last lines:\n${this.log}`}`
  }
}

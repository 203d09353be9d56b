/** Why a real API server could not be had. */
import * as Schema from "effect/Schema"

/**
 * A step of starting or driving the servers went wrong.
 *
 * `log` holds the last lines that the process concerned wrote, where there is one.
 */
export class EnvtestError extends Schema.Error<EnvtestError>("kubelock/test/EnvtestError")({
  _tag: Schema.tag("EnvtestError"),
  step: Schema.String,
  detail: Schema.String,
  log: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `${this.step}: ${this.detail}${this.log === undefined ? "" : `\nIts last lines:\n${this.log}`}`
  }
}

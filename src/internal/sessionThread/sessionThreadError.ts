/** Why no thread can renew the sessions. */
import * as Schema from "effect/Schema"

/** No thread of its own can renew the sessions of this process. `detail` is the reason, as part of a sentence. */
export class SessionThreadError extends Schema.Error<SessionThreadError>("kubelock/SessionThread/SessionThreadError")({
  _tag: Schema.tag("SessionThreadError"),
  detail: Schema.String
}) {
  override get message(): string {
    return `No thread of its own can renew the session: ${this.detail}.`
  }
}

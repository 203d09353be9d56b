/**
 * The errors of a lock, one class each.
 *
 * `LockConflict`, `LockTimeout`, `LockMalformed`, `LockMismatch`, `LockLost` and `LockStale` are errors of the lock itself. The others come
 * from the object store. One module (`internal/kubernetes/responseError.ts`) maps the responses of an API server to them.
 *
 * **Details**
 *
 * - `_tag` is the class name with the prefix `Lock` (`LockTimeout`), so `Effect.catchTag` cannot confuse it with an
 *   error of another library. Pages and comments name errors by their tags.
 * - All errors are `Schema` errors. They can be sent to workers, and over RPC and HTTP.
 * - Messages and fields never contain the content of the locked object, which may be secret. They repeat only those
 *   parts of a server's response that cannot quote it.
 * - An answer that does not come from Kubernetes (the page of a proxy) is `Unavailable`, whatever its status.
 * - `id` is the id of the lock. `object` is the locked object as messages name it: `configmaps/a in namespace x`.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as subject from "./internal/subject.ts"

const thisProcess = Schema.optionalKey(Schema.Literals(["Holds", "Waits"]))

const what = Schema.optionalKey(Schema.Literals(["leadership", "session", "semaphore", "shared lock"]))

/**
 * The lock is not available.
 *
 * - `Held`: another contender holds it. Also used if the lock is free but is left to other contenders for a moment. Of permits: too few
 *   are free, or others wait.
 * - `RaceLost`: another contender changed the object at the same time.
 *
 * `thisProcess` says that the other contender is a fiber of this very process: it holds the lock, or is acquiring or releasing it.
 *
 * `holder` and `expiry` (RFC 3339, as written on the object) are absent if they are not known. Dex writes no holder,
 * and after a lost race neither is known. Of several holders they name the one whose lease ends first. `what` is there if it was not a
 * lock.
 */
export class Conflict extends Schema.Error<Conflict>("kubelock/LockError/Conflict")({
  _tag: Schema.tag("LockConflict"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Literals(["Held", "RaceLost"]),
  thisProcess,
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String),
  what
}) {
  override get message(): string {
    const cannot = `Cannot acquire ${subject.of(this)}`
    if (this.thisProcess === "Holds") return `${cannot}: ${heldHere(this)}`
    if (this.thisProcess === "Waits")
      return isOfPermits(this)
        ? `${cannot}: other fibers of this process came first.`
        : `${cannot}: another fiber of this process is acquiring or releasing it.`
    if (this.reason === "RaceLost") return `Another contender changed ${subject.of(this)} at the same time.`
    const holder = holderOf(this)
    if (isOfPermits(this))
      return `${cannot}: ${this.what === "semaphore" ? "too few are free" : "it is held"}, or others wait.${holder === undefined ? "" : ` Among those in the line: ${holder}.`}`
    return holder === undefined
      ? `${cannot}: it is not available. Its holder is unknown.`
      : `${cannot}: it is held. Holder: ${holder}.`
  }
}

/**
 * The wait schedule ended before the lock was acquired.
 *
 * - `attempts`: the number of attempts. While another contender of the same process holds the lock, there are none.
 * - `waited`: the whole time of the wait.
 * - `thisProcess`: present if it waited for another fiber of this very process, which `Holds` the lock, or acquires or releases it
 *   (`Waits`). The lock is not reentrant, and neither are permits.
 * - `holder` and `expiry`: those that were seen last; of several holders, the one whose lease ends first. They are absent if they are not
 *   known.
 * - `what`: present if it was not a lock.
 */
export class Timeout extends Schema.Error<Timeout>("kubelock/LockError/Timeout")({
  _tag: Schema.tag("LockTimeout"),
  id: Schema.String,
  object: Schema.String,
  attempts: Schema.Int,
  waited: Schema.DurationFromMillis,
  thisProcess,
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String),
  what
}) {
  override get message(): string {
    const gaveUp = `Gave up waiting for ${subject.of(this)} after ${Duration.format(this.waited)}`
    if (this.thisProcess === "Holds") return `${gaveUp}: ${heldHere(this)}`
    if (this.thisProcess === "Waits")
      return `${gaveUp}: other fibers of this process wait for ${this.what === "semaphore" ? "them" : "it"}, too, and came first.`
    const holder = holderOf(this)
    const tried = `${gaveUp} and ${this.attempts} ${this.attempts === 1 ? "attempt" : "attempts"}.`
    if (holder === undefined) return `${tried} No holder was seen.`
    return `${tried} ${isOfPermits(this) ? "Among those before it" : "Last holder seen"}: ${holder}.`
  }
}

/**
 * The lock annotation has a value that Go's RFC 3339 parser rejects.
 *
 * As in Dex, the attempt fails at once and the annotation stays as it is. `Lock.break(id)` removes it. `key` is the
 * annotation, `value` its value.
 */
export class Malformed extends Schema.Error<Malformed>("kubelock/LockError/Malformed")({
  _tag: Schema.tag("LockMalformed"),
  id: Schema.String,
  object: Schema.String,
  key: Schema.String,
  value: Schema.String
}) {
  override get message(): string {
    return `Cannot read ${subject.of(this)}: the annotation ${this.key} is not an RFC 3339 time: ${JSON.stringify(
      this.value
    )}. Its writer is unknown. Once no process relies on it, remove it with Lock.break(${JSON.stringify(this.id)}) or by hand.`
  }
}

/**
 * The id is that of another kind of lock, or of a semaphore with another limit.
 *
 * Nothing was written. `found` is what is there, as the annotation `key` says, `wanted` what was asked for: `a semaphore of 4 permits`,
 * `a shared lock`, `an exclusive lock`. All contenders for an id must agree.
 */
export class Mismatch extends Schema.Error<Mismatch>("kubelock/LockError/Mismatch")({
  _tag: Schema.tag("LockMismatch"),
  id: Schema.String,
  object: Schema.String,
  key: Schema.String,
  found: Schema.String,
  wanted: Schema.String
}) {
  override get message(): string {
    return `${JSON.stringify(this.id)} (${this.object}) is ${this.found} and in use, not ${this.wanted}. Use another id, or the same kind and limit in all processes.`
  }
}

/**
 * A lock is no longer held, although its scope is still open.
 *
 * - `TakenOver`: another holder is written on the object.
 * - `Removed`: the annotation is gone (a late release by Dex, or `Lock.break`).
 * - `Deleted`: the object is gone, or was replaced by another object of the same name.
 * - `Expired`: the lease ran out before it was renewed. The API server was unreachable, the process was suspended, or
 *   renewal is off.
 * - `Released`: the lock was used (`guard`) after its own release.
 *
 * `heldFor` is the time since the acquisition. `holder` and `expiry` are those of the new holder, if they are known. `what` is there if it
 * was not a lock. `withSession` is there if the lock was held under a session, which was lost for that `reason`, and with it all locks under
 * it.
 */
export class Lost extends Schema.Error<Lost>("kubelock/LockError/Lost")({
  _tag: Schema.tag("LockLost"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Literals(["TakenOver", "Removed", "Deleted", "Expired", "Released"]),
  heldFor: Schema.DurationFromMillis,
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String),
  what,
  withSession: Schema.optionalKey(Schema.Literal(true))
}) {
  override get message(): string {
    const lost = `Lost ${subject.of(this)} after ${Duration.format(this.heldFor)}`
    return this.withSession === undefined
      ? `${lost}: ${this.#explanation()}.`
      : `${lost}, with the session of this process: ${this.#explanationOfSession()}.`
  }
  #explanationOfSession(): string {
    switch (this.reason) {
      case "Expired":
        return "it expired before it was renewed"
      case "Released":
        return "the layer of the lock closed"
      case "Deleted":
        return "its Lease was deleted or replaced"
      case "TakenOver":
      case "Removed":
        return "another process ended it"
    }
  }
  #explanation(): string {
    switch (this.reason) {
      case "TakenOver":
        return `another contender took it over. Holder now: ${holderOf(this) ?? "unknown"}`
      case "Removed":
        return this.what === "leadership"
          ? "another client removed the holder from the Lease"
          : "another client removed its annotation"
      case "Deleted":
        return "the object was deleted or replaced"
      case "Expired":
        return "its lease expired before it was renewed"
      case "Released":
        return "it was released before this use"
    }
  }
}

/**
 * A handle names a hold that is over. Nothing was written.
 *
 * - `TakenOver`: another holder is written on the object: it adopted the lock, or acquired it later.
 * - `Removed`: the lock was released or broken.
 * - `Deleted`: the object is gone.
 *
 * `holder` and `expiry` are those of the new holder, if they are known.
 */
export class Stale extends Schema.Error<Stale>("kubelock/LockError/Stale")({
  _tag: Schema.tag("LockStale"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Literals(["TakenOver", "Removed", "Deleted"]),
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `The handle of ${subject.of(this)} is of a hold that is over: ${this.#explanation()}.`
  }
  #explanation(): string {
    switch (this.reason) {
      case "TakenOver":
        return `another contender holds the lock. Holder now: ${holderOf(this) ?? "unknown"}`
      case "Removed":
        return "the lock was released or broken"
      case "Deleted":
        return "the object was deleted"
    }
  }
}

/**
 * The id is not a valid name of a Kubernetes object. No request was made. `problem` is the reason, as part of a
 * sentence.
 */
export class InvalidName extends Schema.Error<InvalidName>("kubelock/LockError/InvalidName")({
  _tag: Schema.tag("LockInvalidName"),
  id: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${JSON.stringify(this.id)} is not a valid name of a Kubernetes object: ${this.problem}.`
  }
}

/**
 * The object, its namespace, or its resource does not exist. `missing` says which of them.
 *
 * An API server that has just started reports a custom resource as missing for a moment, so a wait for a lock tries again
 * for three seconds.
 */
export class NotFound extends Schema.Error<NotFound>("kubelock/LockError/NotFound")({
  _tag: Schema.tag("LockNotFound"),
  id: Schema.String,
  object: Schema.String,
  missing: Schema.Literals(["object", "namespace", "resource"])
}) {
  override get message(): string {
    switch (this.missing) {
      case "object":
        return `Cannot find ${this.object}. Create it first, or set createIfMissing.`
      case "namespace":
        return `The namespace of ${this.object} does not exist. Create it first.`
      case "resource":
        return `The API server does not serve the resource of ${this.object}. Check its group, version and plural, or install its CRD.`
    }
  }
}

/** The API server does not accept the credentials (401), even after they were read again. */
export class Unauthorized extends Schema.Error<Unauthorized>("kubelock/LockError/Unauthorized")({
  _tag: Schema.tag("LockUnauthorized"),
  object: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The API server did not accept the credentials for ${this.object}: ${this.detail}. Check the user of the kubeconfig, or the service account.`
  }
}

/**
 * The certificate of the API server does not verify, even after the kubeconfig was read again. Nothing was sent to it.
 * `detail` is the reason, as part of a sentence.
 */
export class Untrusted extends Schema.Error<Untrusted>("kubelock/LockError/Untrusted")({
  _tag: Schema.tag("LockUntrusted"),
  object: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `Sent no request for ${this.object}: the API server is not trusted, since ${this.detail}. Check the server and the certificate-authority of the kubeconfig.`
  }
}

/**
 * What refused a request, as far as the API server tells.
 *
 * - `Authorizer`: the credentials do not have the verb. A server that has just started answers so while it loads its roles.
 * - `Quota`: the namespace has used up a resource quota.
 * - `Terminating`: the namespace is being deleted.
 * - `Webhook`: an admission webhook denied the request. It chose the status, often 400 or 403.
 * - `Policy`: a ValidatingAdmissionPolicy or a MutatingAdmissionPolicy denied the request.
 */
export type Refuser = "Authorizer" | "Quota" | "Terminating" | "Webhook" | "Policy"

const Refuser = Schema.Literals(["Authorizer", "Quota", "Terminating", "Webhook", "Policy"])

/**
 * A rule of the cluster does not allow the request (403). `verb` is the RBAC verb.
 *
 * `refusedBy` says which kind of rule, if the server tells. `detail` names the rule. It repeats the message of the API
 * server only if that message cannot quote the object.
 */
export class Forbidden extends Schema.Error<Forbidden>("kubelock/LockError/Forbidden")({
  _tag: Schema.tag("LockForbidden"),
  object: Schema.String,
  verb: Schema.String,
  status: Schema.Int,
  refusedBy: Schema.optionalKey(Refuser),
  detail: Schema.String
}) {
  override get message(): string {
    return `Not allowed to ${this.verb} ${this.object}: ${this.detail}. ${adviceFor(this.refusedBy)}`
  }
}

/**
 * The API server rejected the request for good (400, 413, 415, 422, …). Sending it again does not help.
 *
 * `detail` contains the reason of the server and the names of the fields that it rejects, never their values. `refusedBy`
 * says which kind of rule refused the request, if the server tells.
 */
export class Rejected extends Schema.Error<Rejected>("kubelock/LockError/Rejected")({
  _tag: Schema.tag("LockRejected"),
  object: Schema.String,
  verb: Schema.String,
  status: Schema.Int,
  refusedBy: Schema.optionalKey(Refuser),
  detail: Schema.String
}) {
  override get message(): string {
    const refusal = `The API server refused to ${this.verb} ${this.object} (${this.status}): ${this.detail}.`
    return this.refusedBy === undefined ? refusal : `${refusal} ${adviceFor(this.refusedBy)}`
  }
}

const adviceFor = (refuser: Refuser | undefined): string => {
  switch (refuser) {
    case "Authorizer":
      return "Grant the verb in a Role."
    case "Quota":
      return "Delete objects that nobody needs, or raise the quota."
    case "Terminating":
      return "Use a namespace that is not being deleted."
    case "Webhook":
      return "Exempt the object from the webhook, or let it admit the annotations and labels of the lock."
    case "Policy":
      return "Exempt the object from the policy, or let it admit the annotations and labels of the lock."
    case undefined:
      return "To see the reason, try the same with kubectl and --dry-run=server."
  }
}

/**
 * The API server accepted a write, and its answer shows that something else was stored. Something changes annotations on their
 * way: most likely a mutating webhook. A lock cannot work there, so the write does not count.
 *
 * `field` is the field of the object that was not stored, if it is none of the lock's annotations. A schema that does not have the
 * field drops it, too.
 */
export class Altered extends Schema.Error<Altered>("kubelock/LockError/Altered")({
  _tag: Schema.tag("LockAltered"),
  object: Schema.String,
  verb: Schema.String,
  field: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    if (this.field !== undefined)
      return `The API server accepted to ${this.verb} ${this.object}, but did not store the field ${this.field} as sent. Check that the schema of the CRD has the field, or look for a mutating webhook that changes it.`
    return `The API server accepted to ${this.verb} ${this.object}, but did not store the lock's annotations as sent. Look for a mutating webhook that changes annotations.`
  }
}

/**
 * The Lease belongs to something else: a lock was asked for on the Lease of an election, also one of controllers in Go, or the other way
 * round. Nothing was written. `by` says whose it is, and `holder` who leads, or has the lock, if anybody does.
 */
export class Occupied extends Schema.Error<Occupied>("kubelock/LockError/Occupied")({
  _tag: Schema.tag("LockOccupied"),
  object: Schema.String,
  by: Schema.Literals(["election", "lock"]),
  holder: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const [does, other, name] = this.by === "lock" ? ["has it", "An election", "name"] : ["leads", "A lock", "id"]
    const holder = this.holder === undefined ? "" : `, and ${this.holder} ${does}`
    return `${this.object} is the Lease of ${this.by === "lock" ? "a lock" : "an election"}${holder}. ${other} needs a Lease of its own: use another ${name}, or delete this Lease if nothing needs it.`
  }
}

/**
 * There is no usable response: the connection was refused or reset, the request timed out, the status is 429 or 5xx, or
 * the response is not from Kubernetes (the page of a proxy, truncated JSON). Or there were no credentials to send the request
 * with: a plugin failed, a token file cannot be read. Sending the request again may help.
 *
 * A write that fails with this error may have been applied, unless `status` is 429. `retryAfter` is how long an
 * overloaded server asks the client to wait, at most one minute.
 */
export class Unavailable extends Schema.Error<Unavailable>("kubelock/LockError/Unavailable")({
  _tag: Schema.tag("LockUnavailable"),
  object: Schema.String,
  verb: Schema.String,
  status: Schema.optionalKey(Schema.Int),
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis),
  detail: Schema.String
}) {
  override get message(): string {
    return `Could not ${this.verb} ${this.object}: ${this.detail}.`
  }
}

/** All errors of an `ObjectStore`. */
export const StoreError = Schema.Union([
  InvalidName,
  NotFound,
  Unauthorized,
  Untrusted,
  Forbidden,
  Rejected,
  Altered,
  Occupied,
  Unavailable
])

/** All errors of an `ObjectStore`. */
export type StoreError =
  | InvalidName
  | NotFound
  | Unauthorized
  | Untrusted
  | Forbidden
  | Rejected
  | Altered
  | Occupied
  | Unavailable

/** All errors of a lock. */
export const LockError = Schema.Union([Conflict, Timeout, Malformed, Mismatch, Lost, Stale, ...StoreError.members])

/** All errors of a lock. */
export type LockError = Conflict | Timeout | Malformed | Mismatch | Lost | Stale | StoreError

interface Seen {
  readonly holder?: string
  readonly expiry?: string
  readonly what?: subject.What
}

const isOfPermits = ({ what }: Seen): boolean => what === "semaphore" || what === "shared lock"

const heldHere = (seen: Seen): string => {
  const holder = holderOf(seen)
  switch (seen.what) {
    case "semaphore":
      return `this process has too many of them itself, as ${holder}. A fiber that has permits and asks for more may wait for itself.`
    case "shared lock":
      return `this process holds it itself, as ${holder}. A fiber that holds it and asks for it again may wait for itself.`
    default:
      return `this process holds it itself, as ${holder}. The lock is not reentrant.`
  }
}

// Dex writes an expiry but no holder.
const holderOf = ({ expiry, holder }: Seen): string | undefined => {
  if (expiry === undefined) return holder
  return `${holder ?? "unnamed, probably Dex,"} until ${expiry}`
}

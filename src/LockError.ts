/**
 * What can go wrong with a lock, one class each.
 *
 * The lock's own errors are `Conflict`, `Timeout`, `Malformed` and `Lost`. The others come from the store that keeps
 * the objects; a Kubernetes answer becomes one of them in one place (`internal/kubernetes/responseError.ts`).
 *
 * **Details**
 *
 * - `_tag` is the class name with `Lock` in front (`LockTimeout`), so that `Effect.catchTag` is unambiguous next to
 *   other libraries' errors.
 * - All of them are `Schema` errors: they cross workers, RPC and HTTP unchanged.
 * - Messages and fields never hold the content of the locked object, which may be a secret; of a server's answer they
 *   repeat only what cannot quote it.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/**
 * The lock is held by somebody else, or somebody else won the race for it.
 *
 * `holder` and `expiry` (RFC 3339, as it stands on the object) are absent where they are not known: Dex names no
 * holder, and of a lost race nothing is known but that it was lost.
 */
export class Conflict extends Schema.Error<Conflict>("kubelock/LockError/Conflict")({
  _tag: Schema.tag("LockConflict"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Literals(["Held", "RaceLost"]),
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.reason === "RaceLost"
      ? `The lock "${this.id}" on ${this.object} was taken by somebody else in the moment of acquiring it.`
      : `The lock "${this.id}" on ${this.object} is held by ${holderPhrase(this)}.`
  }
}

/**
 * The polling schedule came to its end before the lock was free.
 *
 * `attempts` counts how often it was tried, which is never while another contender of the same process has the lock;
 * `waited` is the whole time; `holder` and `expiry` are those last seen.
 */
export class Timeout extends Schema.Error<Timeout>("kubelock/LockError/Timeout")({
  _tag: Schema.tag("LockTimeout"),
  id: Schema.String,
  object: Schema.String,
  attempts: Schema.Int,
  waited: Schema.DurationFromMillis,
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `Timed out waiting for the lock "${this.id}" on ${this.object} after ${this.attempts} ${this.attempts === 1 ? "attempt" : "attempts"} in ${Duration.format(
      this.waited
    )}; last held by ${holderPhrase(this)}.`
  }
}

/**
 * The lock annotation holds something that Go's RFC 3339 parser rejects.
 *
 * As with Dex, the attempt fails at once and the annotation is left alone. `Lock.break(id)` removes it.
 */
export class Malformed extends Schema.Error<Malformed>("kubelock/LockError/Malformed")({
  _tag: Schema.tag("LockMalformed"),
  id: Schema.String,
  object: Schema.String,
  key: Schema.String,
  value: Schema.String
}) {
  override get message(): string {
    return `The annotation ${this.key} on ${this.object} is not an RFC 3339 time: ${JSON.stringify(
      this.value
    )}. Whoever wrote it is not known; remove it by hand or with Lock.break("${this.id}") once nobody relies on it.`
  }
}

/**
 * A lock that was held is held no longer, though nobody here released it.
 *
 * - `TakenOver`: somebody else holds it now, by the annotations on the object.
 * - `Removed`: the annotation is gone (Dex's late release, or `Lock.break`).
 * - `Deleted`: the object is gone, or another one bears its name.
 * - `Expired`: the lease ran out before it could be renewed (the API server was out of reach, the process was
 *   suspended, or renewal is off).
 * - `Released`: it was released by its holder, whose `guard` was used afterwards.
 */
export class Lost extends Schema.Error<Lost>("kubelock/LockError/Lost")({
  _tag: Schema.tag("LockLost"),
  id: Schema.String,
  object: Schema.String,
  reason: Schema.Literals(["TakenOver", "Removed", "Deleted", "Expired", "Released"]),
  heldFor: Schema.DurationFromMillis,
  holder: Schema.optionalKey(Schema.String),
  expiry: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `The lock "${this.id}" on ${this.object} was lost after ${Duration.format(this.heldFor)}: ${this.#what()}.`
  }
  #what(): string {
    switch (this.reason) {
      case "TakenOver":
        return `it is held by ${holderPhrase(this)} now`
      case "Removed":
        return "its annotation was removed by somebody else"
      case "Deleted":
        return "the object was deleted"
      case "Expired":
        return "its lease ran out before it was renewed"
      case "Released":
        return "its holder released it, and asked for its protection afterwards"
    }
  }
}

/** The id cannot be the name of an object. Nothing was sent. */
export class InvalidName extends Schema.Error<InvalidName>("kubelock/LockError/InvalidName")({
  _tag: Schema.tag("LockInvalidName"),
  id: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${JSON.stringify(this.id)} cannot name a Kubernetes object: ${this.problem}.`
  }
}

/**
 * The object, its namespace, or the whole resource is not there: three different things to mend.
 *
 * An API server that has just started may say so of a custom resource for a moment, before it is ready.
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
        return `There is no ${this.object}; create it first, or turn on createIfMissing.`
      case "namespace":
        return `The namespace of ${this.object} does not exist; create it first.`
      case "resource":
        return `The API server does not serve the resource of ${this.object}; check group, version and plural, or install its CRD.`
    }
  }
}

/** The API server does not know who is asking (401), also after the credentials were read again; or there are none. */
export class Unauthorized extends Schema.Error<Unauthorized>("kubelock/LockError/Unauthorized")({
  _tag: Schema.tag("LockUnauthorized"),
  object: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The API server did not accept the credentials for ${this.object}: ${this.detail}. Check the kubeconfig's user or the service account.`
  }
}

/** The API server knows who is asking and refuses (403); `detail` is its own sentence. */
export class Forbidden extends Schema.Error<Forbidden>("kubelock/LockError/Forbidden")({
  _tag: Schema.tag("LockForbidden"),
  object: Schema.String,
  verb: Schema.String,
  status: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    return `Not allowed to ${this.verb} ${this.object}: ${this.detail}. Grant the verb in a Role.`
  }
}

/**
 * The API server understood and refused for good (400, 413, 415, 422, …): asking again would not help.
 *
 * `detail` names the server's reason and the fields that it complained of, never their values.
 */
export class Rejected extends Schema.Error<Rejected>("kubelock/LockError/Rejected")({
  _tag: Schema.tag("LockRejected"),
  object: Schema.String,
  verb: Schema.String,
  status: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    return `The API server refused to ${this.verb} ${this.object} (${this.status}): ${this.detail}.`
  }
}

/**
 * No usable answer: connection refused or reset, time-out, 429, 5xx, or a reply that is not Kubernetes' (a proxy's
 * page, truncated JSON). Asking again may help.
 *
 * A write that failed so may have been applied all the same, unless `status` is 429. `retryAfter` is the wish
 * of an overloaded server.
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

/** Everything that an `ObjectStore` can fail with. */
export const StoreError = Schema.Union([InvalidName, NotFound, Unauthorized, Forbidden, Rejected, Unavailable])

/** Everything that an `ObjectStore` can fail with. */
export type StoreError = typeof StoreError.Type

/** Everything that a lock operation can fail with. */
export const LockError = Schema.Union([Conflict, Timeout, Malformed, Lost, ...StoreError.members])

/** Everything that a lock operation can fail with. */
export type LockError = typeof LockError.Type

const holderPhrase = (self: { readonly holder?: string; readonly expiry?: string }): string =>
  `${self.holder ?? "a holder that gives no name"}${self.expiry === undefined ? "" : ` until ${self.expiry}`}`

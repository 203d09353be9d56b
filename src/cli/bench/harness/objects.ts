/** The objects that are locked. Each round makes its own, under random names, and deletes them afterwards. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as LockError from "../../../LockError.ts"
import * as Resource from "../../../Resource.ts"
import type { Api } from "./api.ts"

/** Where objects are made. */
export interface Place {
  readonly api: Api
  readonly resource: Resource.Resource
  readonly namespace: string
}

/** The beginning of the name of every object that is made here. */
export const prefix = "kubelock-load-"

/**
 * Checks, before anything is written, that the server answers and that it accepts the credentials, the namespace and the
 * resource.
 */
export const preflight = (place: Place): Effect.Effect<void, LockError.StoreError> =>
  Effect.asVoid(find(place, `${prefix}${crypto.randomUUID()}`))

/**
 * Makes `count` objects and answers their names. They are deleted when the scope closes. `bytes` is about the size of a
 * RefreshToken as JSON, by default that of one of Dex's. A Lease has the fields that client-go leaves. So the server tracks the fields of
 * both, as it does where Dex or client-go made them.
 *
 * Only objects that this call made are deleted: the names are random, an object that exists already is an error, and the
 * deletion is conditional on the object's uid.
 */
export const make = Effect.fnUntraced(function* (
  place: Place,
  count: number,
  bytes = usualBytes
): Effect.fn.Return<ReadonlyArray<string>, LockError.StoreError, Scope.Scope> {
  const run = crypto.randomUUID().slice(-12)
  const names = Array.from({ length: count }, (_, index) => `${prefix}${run}-${index}`)
  yield* Effect.forEach(
    names,
    (name) => Effect.acquireRelease(create(place, name, bytes), (uid) => remove(place, name, uid)),
    { concurrency: 8, discard: true }
  )
  return names
})

const methods = { get: "GET", create: "POST", patch: "PATCH", delete: "DELETE" } as const

/** Sends a request about one object, and answers the body. A patch sets fields, or removes those that are `null`. */
export const request = (
  { api, namespace, resource }: Place,
  verb: keyof typeof methods,
  id: string,
  body?: object
): Effect.Effect<string, LockError.StoreError> =>
  api({
    method: methods[verb],
    path:
      verb === "create" ? Resource.collectionPath(resource, namespace) : Resource.objectPath(resource, namespace, id),
    ...(body === undefined ? {} : { body }),
    ...(verb === "patch" ? { contentType: "application/merge-patch+json" } : {}),
    id,
    verb,
    object: Resource.describe(resource, namespace, id)
  })

/** Reads an object, if it is there. */
export const find = (place: Place, name: string): Effect.Effect<Option.Option<string>, LockError.StoreError> =>
  Effect.asSome(request(place, "get", name)).pipe(
    Effect.catchIf(
      (error) => error._tag === "LockNotFound" && error.missing === "object",
      () => Effect.succeedNone
    )
  )

const Made = Schema.fromJsonString(Schema.Struct({ metadata: Schema.Struct({ uid: Schema.String }) }))

/** An object that can be locked. */
export const bodyOf = (resource: Resource.Resource, name: string, bytes = usualBytes) => ({
  apiVersion: Resource.apiVersion(resource),
  kind: resource.kind,
  metadata: { name, labels: { "app.kubernetes.io/managed-by": "kubelock-load" } },
  ...contentOf(resource, bytes)
})

const usualBytes = 1500

const create = Effect.fnUntraced(function* (place: Place, name: string, bytes: number) {
  const made = yield* request(place, "create", name, bodyOf(place.resource, name, bytes)).pipe(
    // The object may have been made. Its name is ours alone.
    Effect.tapErrorTag("LockUnavailable", () => remove(place, name, undefined))
  )
  return (yield* Effect.orDie(Schema.decodeEffect(Made)(made))).metadata.uid
})

const remove = (place: Place, name: string, uid: string | undefined): Effect.Effect<void> =>
  request(place, "delete", name, {
    apiVersion: "v1",
    kind: "DeleteOptions",
    ...(uid === undefined ? {} : { preconditions: { uid } })
  }).pipe(
    Effect.asVoid,
    Effect.catchTag("LockNotFound", () => Effect.void),
    // 409: another object has the name now.
    Effect.catchIf(
      (error) => error._tag === "LockUnavailable" && error.status === 409,
      () => Effect.void
    ),
    Effect.retry({ schedule: Schedule.spaced("250 millis"), times: 4 }),
    Effect.timeoutOrElse({ duration: "6 seconds", orElse: () => Effect.fail({ message: "no answer in time" }) }),
    Effect.catch(({ message }) =>
      Effect.logWarning(`${Resource.describe(place.resource, place.namespace, name)} is left behind: ${message}`)
    )
  )

const contentOf = (resource: Resource.Resource, bytes: number): Readonly<Record<string, unknown>> => {
  switch (Resource.name(resource)) {
    case Resource.name(Resource.refreshToken):
      return refreshToken(bytes)
    case Resource.name(Resource.lease):
      return { spec: releasedLease }
    default:
      return {}
  }
}

const time = "2026-01-01T00:00:00.000000Z"
// Without transitions: a lock leaves the Lease of an election alone.
const releasedLease = { leaseDurationSeconds: 1, acquireTime: time, renewTime: time }

/** What Dex keeps in a RefreshToken. The data of the provider fills it up to the size. */
const refreshToken = (bytes: number): Readonly<Record<string, unknown>> => {
  const token = {
    clientID: "load-test",
    token: crypto.randomUUID(),
    obsoleteToken: "",
    createdAt: "2026-01-01T00:00:00Z",
    lastUsed: "2026-01-01T00:00:00Z",
    scopes: ["openid", "profile", "email", "groups", "offline_access"],
    nonce: crypto.randomUUID(),
    connectorID: "oidc",
    claims: {
      userID: crypto.randomUUID(),
      username: "load test",
      preferredUsername: "load",
      email: "load@example.com",
      emailVerified: true,
      groups: ["developers", "operators"]
    }
  }
  const rest = Math.max(0, bytes - JSON.stringify(token).length)
  return { ...token, connectorData: "eHh4".repeat(Math.floor(rest / 4)) }
}

/** The objects that are locked: made for one round, under names of their own, and deleted after it. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ApiClient } from "../src/internal/kubernetes/apiClient.ts"
import * as exchanges from "../src/internal/kubernetes/apiClient.ts"
import * as requests from "../src/internal/kubernetes/encode.ts"
import * as status from "../src/internal/kubernetes/responseError.ts"
import type * as LockError from "../src/LockError.ts"
import * as Resource from "../src/Resource.ts"

/** Where objects are made. */
export interface Place {
  readonly exchange: ApiClient
  readonly resource: Resource.Resource
  readonly namespace: string
}

/**
 * Finds out before anything is written whether the server is there, and whether it knows us, the namespace and the
 * resource.
 */
export const preflight = Effect.fnUntraced(function* (place: Place) {
  const name = `${prefix}${crypto.randomUUID()}`
  const about = aboutOf(place, name, "get")
  const answer = yield* place.exchange.request(
    requests.get(Resource.objectPath(place.resource, place.namespace, name)),
    about
  )
  const error = status.toError(answer, about)
  if (error._tag !== "LockNotFound" || error.missing !== "object") return yield* error
})

/** The name of every object that a load test makes begins so. */
export const prefix = "kubelock-load-"

/**
 * Makes so many objects, which are deleted when the scope closes, and answers their names.
 *
 * Only objects that this call made are deleted: the names are random, one that exists already is an error, and the
 * deletion has the object's uid as its condition.
 */
export const make = Effect.fnUntraced(function* (
  place: Place,
  count: number
): Effect.fn.Return<ReadonlyArray<string>, LockError.StoreError, Scope.Scope> {
  const run = crypto.randomUUID().slice(-12)
  const names = Array.from({ length: count }, (_, index) => `${prefix}${run}-${index}`)
  yield* Effect.forEach(
    names,
    (name) => Effect.acquireRelease(create(place, name), (uid) => remove(place, name, uid)),
    { concurrency: 8, discard: true }
  )
  return names
})

const create = Effect.fnUntraced(function* (place: Place, name: string) {
  const { exchange, namespace, resource } = place
  const about = aboutOf(place, name, "create")
  const request = requests.post(Resource.collectionPath(resource, namespace), {
    apiVersion: Resource.apiVersion(resource),
    kind: resource.kind,
    metadata: { name, labels: { "app.kubernetes.io/managed-by": "kubelock-load" } },
    ...contentOf(resource)
  })
  return yield* Effect.flatMap(exchange.request(request, about), (answer) => exchanges.snapshotOf(answer, about)).pipe(
    Effect.map(({ uid }) => uid),
    // whether it was made is not known then: the name is ours alone
    Effect.tapErrorTag("LockUnavailable", () => remove(place, name, undefined))
  )
})

const remove = (place: Place, name: string, uid: string | undefined): Effect.Effect<void> => {
  const about = aboutOf(place, name, "delete")
  const options = { apiVersion: "v1", kind: "DeleteOptions", ...(uid === undefined ? {} : { preconditions: { uid } }) }
  const path = Resource.objectPath(place.resource, place.namespace, name)
  const request = requests.withJson("DELETE", path, options, "application/json")
  return Effect.flatMap(place.exchange.request(request, about), (answer) =>
    // 409: another object bears the name now
    answer.status <= 299 || answer.status === 404 || answer.status === 409
      ? Effect.void
      : Effect.fail(status.toError(answer, about))
  ).pipe(
    Effect.retry({ schedule: Schedule.spaced("250 millis"), times: 4 }),
    Effect.timeoutOrElse({ duration: "6 seconds", orElse: () => Effect.fail({ message: "no answer in time" }) }),
    Effect.catch((error) => Effect.logWarning(`${about.object} is left behind: ${error.message}`))
  )
}

const aboutOf = ({ namespace, resource }: Place, name: string, verb: string): status.RequestInfo => ({
  id: name,
  verb,
  object: Resource.describe(resource, namespace, name)
})

/** A RefreshToken as large as Dex's: its lock sends it to and fro as a whole. */
const contentOf = (resource: Resource.Resource): Readonly<Record<string, unknown>> =>
  Resource.name(resource) !== Resource.name(Resource.refreshToken)
    ? {}
    : {
        clientID: "load-test",
        token: crypto.randomUUID(),
        obsoleteToken: "",
        createdAt: "2026-01-01T00:00:00Z",
        lastUsed: "2026-01-01T00:00:00Z",
        scopes: ["openid", "profile", "email", "groups", "offline_access"],
        nonce: crypto.randomUUID(),
        connectorID: "oidc",
        connectorData: Buffer.from(JSON.stringify({ refreshToken: "x".repeat(700) })).toString("base64"),
        claims: {
          userID: crypto.randomUUID(),
          username: "load test",
          preferredUsername: "load",
          email: "load@example.com",
          emailVerified: true,
          groups: ["developers", "operators"]
        }
      }

/** Finds locks on the cluster that the flags name. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ApiClient from "../../internal/kubernetes/apiClient.ts"
import * as sessionLease from "../../internal/session/sessionLease.ts"
import * as settings from "../../internal/settings.ts"
import { KubernetesClient } from "../../KubernetesClient.ts"
import type * as LockError from "../../LockError.ts"
import type { ServerTime } from "../../ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../ObjectStoreKubernetes.ts"
import * as Resource from "../../Resource.ts"
import * as busy from "../busy.ts"
import { say } from "../program.ts"
import * as target from "../target.ts"
import * as objects from "./objects.ts"
import * as sessions from "./sessions.ts"
import * as view from "./view.ts"

/** Which locks to look for. */
export interface Wanted {
  readonly name: Option.Option<string>
  readonly allNamespaces: boolean
  readonly resource: Option.Option<Resource.Resource>
}

/**
 * Where locks are looked for.
 *
 * - `place`: a text for people.
 * - `time`: the time on the server. It makes no request.
 * - `sources`: the objects of each resource.
 * - `sessionOf`: the session that holds a lock, if its Lease is to be looked up. Without a name none is: a list has the Leases in it.
 * - `leaseOf`: the Lease of a session. `sessions`: all sessions, by one list of Leases; absent if a name was given.
 * - `isWanted`: whether an object is of interest: it has to do with a lock, or it was asked for by its name.
 * - `isAnswer`: whether an object is the lock that was asked for by its name. What may not be looked at is then of no interest.
 * - `key`: the annotation of the locks, if it is not that of the resource.
 */
export interface Place {
  readonly place: string
  readonly time: Effect.Effect<ServerTime>
  readonly sources: ReadonlyArray<objects.Objects>
  readonly sessionOf: (found: view.Found) => sessionLease.SessionReference | undefined
  readonly leaseOf: (session: sessionLease.SessionReference) => objects.Objects
  readonly sessions: Effect.Effect<sessions.Sessions, LockError.StoreError> | undefined
  readonly isWanted: (found: view.Found) => boolean
  readonly isAnswer: (found: view.Found) => boolean
  readonly key: string | undefined
}

/** Where to look for locks. */
export const placeOf = Effect.fnUntraced(function* ({ allNamespaces, name, resource }: Wanted) {
  const client = yield* KubernetesClient
  const api = ApiClient.make(client, { requestTimeout: ObjectStoreKubernetes.defaultRequestTimeout, clock: "server" })
  const key = Option.getOrUndefined(yield* settings.text("ANNOTATION"))
  const namespace = allNamespaces ? undefined : yield* Effect.fromResult(Resource.checkName(yield* target.namespace))
  const resources = Option.match(resource, {
    onNone: () => [Resource.configMap, Resource.lease],
    onSome: (one) => [one]
  })
  const leases = objects.make(api, { resource: Resource.lease, namespace, name: undefined })
  const place: Place = {
    place: namespace === undefined ? "in any namespace" : `in namespace ${namespace}`,
    time: api.now,
    sources: resources.map((resource) => objects.make(api, { resource, namespace, name: Option.getOrUndefined(name) })),
    sessionOf: (found) => (Option.isSome(name) ? view.sessionOf(found, key) : undefined),
    leaseOf: ({ name, namespace }) => objects.make(api, { name, namespace, resource: Resource.lease }),
    sessions: Option.isSome(name)
      ? undefined
      : Effect.map(leases.list, ({ items }) => view.allSessions(items, namespace)),
    isWanted: (found) => Option.isSome(name) || view.isLock(found, key),
    isAnswer: (found) => Option.isSome(name) && view.isLock(found, key),
    key
  }
  return place
})

/** Objects, and how they are looked at. `isPartial`: there may be more that may not be looked at. */
export interface Looked {
  readonly found: ReadonlyArray<view.Found>
  readonly light: view.Light
  readonly isPartial: boolean
}

/**
 * What is there now. A resource that may not be looked at is left out, unless it is the only one. Without an answer there is a word about
 * it.
 */
export const now = (place: Place): Effect.Effect<Looked, LockError.StoreError> =>
  Effect.gen(function* () {
    const { isAnswer, isWanted, key, sources, time } = place
    const results = yield* Effect.forEach(sources, ({ list }) => Effect.result(busy.patiently(list)), {
      concurrency: "unbounded"
    })
    const found: Array<view.Found> = []
    const failures: Array<LockError.StoreError> = []
    for (const result of results) {
      if (result._tag === "Success") found.push(...result.success.items.filter(isWanted))
      else failures.push(result.failure)
    }
    const [first] = failures
    const isSerious = failures.length === sources.length || failures.some(({ _tag }) => _tag !== "LockForbidden")
    if (first !== undefined && isSerious) return yield* Effect.fail(first)
    if (!found.some(isAnswer)) yield* Effect.forEach(failures, ({ message }) => say(message))
    const light = { key, sessions: yield* sessionsOf(place, found), now: yield* time }
    return { found: found.toSorted(byPlace), light, isPartial: failures.length > 0 }
  })

// Of a Lease that may not be read nothing is known.
const sessionsOf = (place: Place, found: ReadonlyArray<view.Found>): Effect.Effect<sessions.Sessions> =>
  Effect.gen(function* () {
    const { key, leaseOf, sessionOf, time } = place
    const among = view.sessionsAmong(found)
    if (place.sessions !== undefined) {
      // These Leases were listed beside the locks. A session that does not live there may be younger than the list.
      const now = yield* time
      if (view.sessionsNamed(found, key).every((session) => sessions.lives(session, among(session), now))) return among
      return yield* Effect.orElseSucceed(place.sessions, () => among)
    }
    const lookedUp = new Map<string, sessions.Lease>()
    for (const session of found.map(sessionOf)) {
      if (session === undefined) continue
      const lease = yield* Effect.match(leaseOf(session).list, {
        onSuccess: ({ items }) => sessions.leaseAmong(items),
        onFailure: () => "Unknown" as const
      })
      lookedUp.set(sessionLease.format(session), lease)
    }
    return (session) => lookedUp.get(sessionLease.format(session)) ?? among(session)
  })

/** The order of a table. */
export const byPlace = (a: view.Found, b: view.Found): number =>
  a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name)

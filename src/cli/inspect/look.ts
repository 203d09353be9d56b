/** Finds locks on the cluster that the flags name. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ApiClient from "../../internal/kubernetes/apiClient.ts"
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
 * - `leaseOf`: the Lease of the session that holds a lock, if it may be read. Nothing without a name: a list has the Leases in it.
 * - `isWanted`: whether an object is of interest: it has to do with a lock, or it was asked for by its name.
 * - `key`: the annotation of the locks, if it is not that of the resource.
 */
export interface Place {
  readonly place: string
  readonly time: Effect.Effect<ServerTime>
  readonly sources: ReadonlyArray<objects.Objects>
  readonly leaseOf: (found: view.Found) => Effect.Effect<ReadonlyArray<view.Found>>
  readonly isWanted: (found: view.Found) => boolean
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
  const place: Place = {
    place: namespace === undefined ? "in any namespace" : `in namespace ${namespace}`,
    time: api.now,
    sources: resources.map((resource) => objects.make(api, { resource, namespace, name: Option.getOrUndefined(name) })),
    leaseOf: (found) => {
      const session = Option.isSome(name) ? view.sessionOf(found, key) : undefined
      if (session === undefined) return Effect.succeed([])
      return Effect.match(objects.make(api, { ...session, resource: Resource.lease }).list, {
        onSuccess: ({ items }) => items,
        onFailure: () => []
      })
    },
    isWanted: (found) => Option.isSome(name) || view.isLock(found, key),
    key
  }
  return place
})

/** Objects, and how they are looked at. */
export interface Looked {
  readonly found: ReadonlyArray<view.Found>
  readonly light: view.Light
}

/** What is there now. A resource that may not be looked at is left out, with a word about it, unless it is the only one. */
export const now = ({ isWanted, key, leaseOf, sources, time }: Place): Effect.Effect<Looked, LockError.StoreError> =>
  Effect.gen(function* () {
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
    yield* Effect.forEach(failures, ({ message }) => say(message))
    const leases = (yield* Effect.forEach(found, leaseOf)).flat()
    const sessions = view.sessionsAmong([...found, ...leases])
    return { found: found.toSorted(byPlace), light: { key, now: yield* time, sessions } }
  })

/** The order of a table. */
export const byPlace = (a: view.Found, b: view.Found): number =>
  a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name)

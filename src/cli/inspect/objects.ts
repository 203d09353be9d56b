/** The objects of one resource that may be locks: as they are, and as they change. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as ApiClient from "../../internal/kubernetes/apiClient.ts"
import * as decode from "../../internal/kubernetes/decode.ts"
import * as encode from "../../internal/kubernetes/encode.ts"
import type { Request } from "../../internal/kubernetes/http.ts"
import * as responseError from "../../internal/kubernetes/responseError.ts"
import type * as LockError from "../../LockError.ts"
import * as Resource from "../../Resource.ts"
import { type Found, isLease } from "./view.ts"

/** Which objects: those of a resource, in a namespace or, without one, in all. With a name it is one object. */
export interface Selection {
  readonly resource: Resource.Resource
  readonly namespace: string | undefined
  readonly name: string | undefined
}

/** Objects, and the version from which a watch goes on. */
export interface Listed {
  readonly items: ReadonlyArray<Found>
  readonly resourceVersion: string | undefined
}

/** What has become of an object. */
export interface Change extends Found {
  readonly isGone: boolean
}

/**
 * The objects.
 *
 * - `list`: the objects as they are. One object is read, which needs the RBAC verb `get`; several are listed.
 * - `changes`: what becomes of them after a version, until the server ends the watch.
 */
export interface Objects {
  readonly list: Effect.Effect<Listed, LockError.StoreError>
  readonly changes: (since: string | undefined) => Stream.Stream<Change, LockError.StoreError>
}

/** Makes the objects of a selection. */
export const make = (api: ApiClient.ApiClient, { name, namespace, resource }: Selection): Objects => {
  const includesContent = isLease(resource)
  const path = Resource.collectionPath(
    { ...resource, namespaced: resource.namespaced && namespace !== undefined },
    namespace ?? ""
  )
  const infoOf = (verb: string): responseError.RequestInfo => ({
    id: name ?? "",
    verb,
    object: `${Resource.name(resource)}${name === undefined ? "" : `/${name}`} in ${
      namespace === undefined ? "all namespaces" : `namespace ${namespace}`
    }`,
    namespaced: resource.namespaced
  })
  const only = (form: (request: Request) => Request, request: Request) => (includesContent ? request : form(request))
  const withQuery = (query: Readonly<Record<string, string | undefined>>) => {
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined)
    return encode.get(`${path}?${new URLSearchParams(given)}`)
  }
  const foundOf = ({ name, namespace, snapshot }: decode.Placed): Found => ({ resource, name, namespace, snapshot })

  const read = Effect.fnUntraced(function* (name: string) {
    yield* Effect.fromResult(Resource.checkName(name))
    const info = infoOf("get")
    const response = yield* api.request(
      only(encode.metadataOnly, encode.get(Resource.objectPath(resource, namespace ?? "", name))),
      info
    )
    const { snapshot } = yield* ApiClient.objectIn(response, info, includesContent)
    const found: Found = { resource, name, namespace: namespace ?? "", snapshot }
    return { items: [found], resourceVersion: snapshot.resourceVersion }
  })

  const pageAt = Effect.fnUntraced(function* (goOn: string | undefined) {
    const info = infoOf("list")
    const response = yield* api.request(
      only(encode.metadataListOnly, withQuery({ limit: String(pageSize), continue: goOn })),
      info
    )
    if (response.status !== 200) return yield* Effect.fail(responseError.toError(response, info))
    const page = decode.pageFromJson(response.body, includesContent)
    return page ?? (yield* Effect.fail(ApiClient.unavailable(info, "the response is not a list")))
  })

  const listAll = Effect.map(
    Stream.runCollect(
      Stream.paginate(undefined as string | undefined, (goOn) =>
        Effect.map(pageAt(goOn), (page) => [[page], Option.fromUndefinedOr(page.goOn)] as const)
      )
    ),
    (pages): Listed => ({
      items: pages.flatMap(({ items }) => items.map(foundOf)),
      resourceVersion: pages.at(-1)?.resourceVersion
    })
  )

  const changes = (since: string | undefined) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const info = infoOf("watch")
        const query = {
          watch: "1",
          resourceVersion: since,
          fieldSelector: name === undefined ? undefined : `metadata.name=${name}`,
          timeoutSeconds: String(watchSeconds)
        }
        const response = yield* api.watch(only(encode.metadataOnly, withQuery(query)), info, {
          lastsMillis: (watchSeconds + 10) * 1000
        })
        if (!("lines" in response)) return Stream.fail(responseError.toError(response, info))
        return response.lines.pipe(
          Stream.mapError(({ detail }) => ApiClient.unavailable(info, detail)),
          Stream.map((line) => decode.changeFromJson(line, includesContent)),
          Stream.filter((change) => change !== undefined),
          Stream.map(({ isGone, name, namespace, snapshot }): Change => ({
            resource,
            name,
            namespace,
            snapshot,
            isGone
          }))
        )
      })
    )

  return {
    list: Effect.catchTags(name === undefined ? listAll : read(name), {
      LockNotFound: (error) =>
        error.missing === "object"
          ? Effect.succeed<Listed>({ items: [], resourceVersion: undefined })
          : Effect.fail(error)
    }),
    changes
  }
}

/** How many objects are asked for at once. That of kubectl. */
const pageSize = 500

/** How long the server is asked to keep a watch open. Our choice. */
const watchSeconds = 60

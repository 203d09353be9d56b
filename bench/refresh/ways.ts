/**
 * The ways to get a token that services share: kubelock, or as services commonly refresh.
 *
 * Commonly, a service reads the value, asks the upstream if it is stale, and writes. It does so without a lock, or under
 * Dex's as in Dex's `UpdateRefreshToken`: lock, GET, refresh, PUT until there is no conflict, unlock. Dex itself does not
 * read before it locks, because it refreshes whenever it is asked to.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as refreshValue from "../../src/internal/refresh/location.ts"
import type { KubernetesClient } from "../../src/KubernetesClient.ts"
import type * as LockError from "../../src/LockError.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Dex from "../../src/testing/dex/Dex.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import { Token } from "./upstream.ts"

/** How a service keeps others from refreshing at the same time. */
export type Way = "kubelock" | "dex" | "none"

/** Where the token is, and how it is judged and refreshed. Policy, identity and grace are kubelock's. */
export interface Options<E, R> extends Pick<RefreshOnce.Options<Token, E, R>, "policy" | "identity" | "takeoverGrace"> {
  readonly location: RefreshOnce.Location
  readonly namespace: string
  readonly isFresh: (token: Token) => Effect.Effect<boolean>
  readonly refresh: (current: Option.Option<Token>, id: string) => Effect.Effect<Token, E, R>
}

/** Gets a fresh token of an object. */
export type Get<R> = (id: string) => Effect.Effect<Token, unknown, R>

/** Makes one of the ways. */
export const make = <E, R>(
  way: Way,
  options: Options<E, R>
): Effect.Effect<Get<R>, LockError.InvalidName, R | KubernetesClient | Scope.Scope> =>
  way === "kubelock"
    ? Effect.map(
        RefreshOnce.make({
          ...options,
          schema: Token,
          refresh: (current, { id }) => options.refresh(current, id)
        }),
        ({ get }) => get
      )
    : Effect.map(DexClient.make({ resource: options.location.resource, namespace: options.namespace }), (client) =>
        common(client, way === "dex", options)
      )

const common = <E, R>(client: Dex.DexClient, isLocked: boolean, options: Options<E, R>): Get<R> => {
  const { isFresh, refresh } = options
  const path = options.location.path as readonly [string, ...ReadonlyArray<string>]
  const value = refreshValue.make(path, Token)

  const stored = (object: Dex.DexObject) => value.read(object as Readonly<Record<string, Schema.Json>>)

  const put = (id: string, object: Dex.DexObject, token: Token): Effect.Effect<void, Dex.DexError> =>
    Effect.gen(function* () {
      const { patch } = yield* Effect.orDie(value.encode(token))
      yield* client.put(id, set(object, patch.path, patch.value) as Dex.DexObject)
    }).pipe(Effect.catchTag("DexConflict", () => Effect.flatMap(client.get(id), (newer) => put(id, newer, token))))

  const update = (id: string) =>
    Effect.gen(function* () {
      const object = yield* client.get(id)
      const current = yield* stored(object)
      if (Option.isSome(current) && (yield* isFresh(current.value))) return current.value
      // Once the upstream was asked, its answer must be written.
      return yield* Effect.uninterruptible(Effect.tap(refresh(current, id), (token) => put(id, object, token)))
    })

  return (id) =>
    Effect.gen(function* () {
      const current = yield* Effect.flatMap(client.get(id), stored)
      if (Option.isSome(current) && (yield* isFresh(current.value))) return current.value
      return yield* isLocked ? Effect.scoped(Effect.andThen(Dex.scoped(client, id), update(id))) : update(id)
    })
}

const set = (object: unknown, [name, ...rest]: ReadonlyArray<string>, value: Schema.Json): unknown =>
  name === undefined
    ? value
    : {
        ...(object as object),
        [name]: set((object as Readonly<Record<string, unknown>> | undefined)?.[name], rest, value)
      }

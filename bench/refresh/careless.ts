/**
 * How services commonly refresh: read the value, ask the upstream if it is stale, write. Without a lock, or under Dex's as
 * in its `UpdateRefreshToken`: lock, GET, refresh, PUT until there is no conflict, unlock.
 *
 * Dex itself does not read before it locks, because it refreshes whenever it is asked to.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as refreshValue from "../../src/internal/refresh/location.ts"
import type * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Dex from "../../src/testing/dex/Dex.ts"
import { Token } from "./upstream.ts"

/** Gets the token of an object. */
export const make = <E, R>(options: {
  readonly client: Dex.DexClient
  readonly place: RefreshOnce.Location
  readonly locked: boolean
  readonly isFresh: (token: Token) => Effect.Effect<boolean>
  readonly refresh: (current: Option.Option<Token>) => Effect.Effect<Token, E, R>
}) => {
  const { client, isFresh, locked, place, refresh } = options
  const path = place.path as readonly [string, ...ReadonlyArray<string>]
  const value = refreshValue.make(path, Token)

  const stored = (object: Dex.DexObject) => value.read(object as Readonly<Record<string, Schema.Json>>)

  const put = (id: string, object: Dex.DexObject, token: Token): Effect.Effect<void, Dex.DexError> =>
    Effect.gen(function* () {
      const [change] = yield* value.write(object as Readonly<Record<string, Schema.Json>>, token)
      yield* client.put(id, set(object, change!.path, change!.value) as Dex.DexObject)
    }).pipe(Effect.catchTag("DexConflict", () => Effect.flatMap(client.get(id), (newer) => put(id, newer, token))))

  const update = (id: string) =>
    Effect.gen(function* () {
      const object = yield* client.get(id)
      const current = yield* stored(object)
      if (Option.isSome(current) && (yield* isFresh(current.value))) return current.value
      // Once asked, the upstream's answer must be written.
      return yield* Effect.uninterruptible(Effect.tap(refresh(current), (token) => put(id, object, token)))
    })

  return (id: string) =>
    Effect.gen(function* () {
      const current = yield* Effect.flatMap(client.get(id), stored)
      if (Option.isSome(current) && (yield* isFresh(current.value))) return current.value
      return yield* locked ? Effect.scoped(Effect.andThen(Dex.scoped(client, id), update(id))) : update(id)
    })
}

const set = (object: unknown, [name, ...rest]: ReadonlyArray<string>, value: Schema.Json): unknown =>
  name === undefined
    ? value
    : { ...(object as object), [name]: set((object as Readonly<Record<string, unknown>>)[name], rest, value) }

/**
 * The sessions of a layer of locks, as the engine asks for them. What only sessions need is loaded with the first one: that of this
 * process, or that of another which holds a lock.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Scope from "effect/Scope"
import type { StoreError } from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import * as engine from "../engine/sessions.ts"
import * as listening from "./listening.ts"
import type * as lockSessions from "./lockSessions.ts"

/** The options of the sessions of a layer. Unless it `opens` sessions, it holds its locks by leases of their own. */
export interface Options extends lockSessions.Options {
  readonly opens: boolean
}

/** Makes the sessions of a layer of locks on the objects of a store. */
export const make = Effect.fnUntraced(function* (
  { sessionLeases }: ObjectStore["Service"],
  { opens, ...options }: Options
): Effect.fn.Return<engine.Sessions, never, Scope.Scope> {
  if (sessionLeases === undefined) return engine.none
  const scope = yield* Effect.scope
  let loaded: engine.Sessions | undefined
  const load = yield* Effect.cached(
    Effect.promise(() => import("./lockSessions.ts")).pipe(
      Effect.flatMap((lockSessions) => lockSessions.make(sessionLeases, options)),
      Effect.tap((sessions) => Effect.sync(() => void (loaded = sessions))),
      Scope.provide(scope)
    )
  )
  if (opens) return yield* load
  const fork = yield* FiberSet.makeRuntime<never>()
  return {
    ...engine.none,
    hasEnded: (session) => loaded?.hasEnded(session) === true,
    onEnd: (session, notify) => {
      if (loaded !== undefined) return loaded.onEnd(session, notify)
      return listening.onceMade(fork, load, (sessions) => sessions.onEnd(session, notify))
    }
  }
})

/**
 * Waits until the holder of a lock under a session is certain not to rely on it any more, so that it can be taken away. Answers the object
 * as it is then, and `undefined` if that holder is not on it any more. An object without such a holder is answered at once.
 */
export const letGo = (
  store: ObjectStore["Service"],
  kind: LockKind,
  id: string,
  found: ObjectSnapshot
): Effect.Effect<ObjectSnapshot | undefined, StoreError> =>
  LockRecord.leaseOf(kind.decode(found.annotations))?.session === undefined
    ? Effect.succeed(found)
    : Effect.flatMap(
        Effect.promise(() => import("./breaking.ts")),
        (breaking) => breaking.letGo(store, kind, id, found)
      )

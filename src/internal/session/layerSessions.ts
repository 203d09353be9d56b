/**
 * The sessions of a layer of locks, as the engine asks for them. What only sessions need is loaded with the first one: that of this
 * process, or that of another which holds a lock.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Scope from "effect/Scope"
import type { ObjectStore } from "../../ObjectStore.ts"
import * as engine from "../engine/sessions.ts"
import type { Options } from "./lockSessions.ts"

/** Makes the sessions of a layer of locks on the objects of a store. */
export const make = Effect.fnUntraced(function* (
  { sessionLeases }: ObjectStore["Service"],
  options: Options
): Effect.fn.Return<engine.Sessions, never, Scope.Scope> {
  if (sessionLeases === undefined) return engine.none
  const scope = yield* Effect.scope
  const load = yield* Effect.cached(
    Effect.promise(() => import("./lockSessions.ts")).pipe(
      Effect.flatMap((lockSessions) => lockSessions.make(sessionLeases, options)),
      Scope.provide(scope)
    )
  )
  if (options.opens) return yield* load
  const fork = yield* FiberSet.makeRuntime<never>()
  let loaded: engine.Sessions | undefined
  return {
    ...engine.none,
    hasEnded: (session) => loaded?.hasEnded(session) === true,
    onEnd: (session, notify) => {
      if (loaded !== undefined) return loaded.onEnd(session, notify)
      let stop = () => {}
      let isOver = false
      fork(
        Effect.map(load, (sessions) => {
          loaded = sessions
          if (!isOver) stop = sessions.onEnd(session, notify)
        })
      )
      return () => {
        isOver = true
        stop()
      }
    }
  }
})

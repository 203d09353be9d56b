/** Listens to what is still being made. */
import * as Effect from "effect/Effect"

/** Calls `listen` once it is made. Returns how to stop listening, also before that. */
export const onceMade = <A>(
  fork: (effect: Effect.Effect<void>) => unknown,
  made: Effect.Effect<A>,
  listen: (made: A) => () => void
): (() => void) => {
  let stop = () => {}
  let isOver = false
  fork(
    Effect.map(made, (made) => {
      if (!isOver) stop = listen(made)
    })
  )
  return () => {
    isOver = true
    stop()
  }
}

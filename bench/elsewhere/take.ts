/** How a contender takes a lock or a permit that is not on Kubernetes. */
import * as Effect from "effect/Effect"
import type { Refusal, Take } from "../../src/cli/bench/contest/contest.ts"
import type { Opened } from "./packages.ts"

// None gives up before the round ends.
const refuse = (error: unknown): Refusal => ({
  timedOut: false,
  message: error instanceof Error ? error.message : String(error)
})

/** Opens it once, until the scope closes. An acquisition that is under way cannot be interrupted: the round ends first. */
export const make = Effect.fnUntraced(function* (open: () => Promise<Opened>) {
  const { close, take } = yield* Effect.tryPromise({ try: open, catch: refuse })
  yield* Effect.addFinalizer(() => Effect.promise(close))
  const one: Take = (id) =>
    Effect.asVoid(Effect.acquireRelease(Effect.tryPromise({ try: () => take(id), catch: refuse }), Effect.promise))
  return one
})

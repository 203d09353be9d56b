/** A process that takes permits of a semaphore on Redis. Its arguments are the package and the port of Redis. */
import * as Effect from "effect/Effect"
import type { Refusal, Take } from "../contest/contest.ts"
import * as Playing from "../contest/playing.ts"
import type { Task } from "../contest/task.ts"
import * as redisPackages from "../elsewhere/redisPackages.ts"

const refuse = (error: unknown): Refusal => ({
  timedOut: error instanceof Error && error.name === "TimeoutError",
  message: String(error)
})

const [name, port] = process.argv.slice(2)

Playing.main(
  Effect.fnUntraced(function* ({ limit, seconds }: Task) {
    const open = redisPackages.semaphores.find((peer) => peer.name === name)!.open
    const { close, take } = yield* Effect.tryPromise({ try: () => open(Number(port), limit, seconds), catch: refuse })
    yield* Effect.addFinalizer(() => Effect.promise(close))
    // An acquisition that is under way cannot be interrupted in every package: the round ends first.
    const one: Take = (id) =>
      Effect.asVoid(Effect.acquireRelease(Effect.tryPromise({ try: () => take(id), catch: refuse }), Effect.promise))
    return one
  })
)

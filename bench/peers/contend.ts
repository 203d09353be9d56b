/** One contender: takes a lock, enters the critical section, leaves it and releases, over and over. */
import * as Effect from "effect/Effect"
import type { Take } from "../contender.ts"
import { now, type Task } from "./task.ts"

/** `run` contends until interrupted; `seen` is what happened so far. */
export const contend = (take: Take, task: Pick<Task, "holdMillis" | "id">) => {
  const visits: Array<[entered: number, left: number]> = []
  const waits: Array<number> = []
  let waitingSince: number | undefined
  let timeouts = 0
  let errors = 0
  let firstError: string | undefined

  // Also without a hold the section lasts until the process's other fibers had their turn.
  const work = task.holdMillis === 0 ? Effect.yieldNow : Effect.sleep(task.holdMillis)

  const turn = Effect.gen(function* () {
    const began = now()
    waitingSince = began
    yield* take(task.id)
    const entered = now()
    waitingSince = undefined
    waits.push(entered - began)
    const visit: [number, number] = [entered, Number.POSITIVE_INFINITY]
    visits.push(visit)
    yield* Effect.ensuring(
      work,
      Effect.sync(() => {
        visit[1] = now()
      })
    )
  }).pipe(
    Effect.scoped,
    Effect.catch((refusal) => {
      waitingSince = undefined
      if (refusal.timedOut) return Effect.sync(() => timeouts++)
      errors++
      firstError ??= refusal.message
      return Effect.sleep("100 millis")
    })
  )

  return {
    run: Effect.forever(turn),
    seen: () => ({
      visits,
      waits,
      unfinishedWait: waitingSince === undefined ? undefined : now() - waitingSince,
      timeouts,
      errors,
      firstError
    })
  }
}

/**
 * What a contender for the runs of `Once` does. A run is due at the same times for all processes, and each of them asks for it. The one
 * that does it writes to the witness as the holder of a lock does. Then each tells the witness what it was told of the run.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lock from "../../src/Lock.ts"
import * as Once from "../../src/Once.ts"
import { type Behavior, type Inside, type Loss, staying } from "./contending.ts"
import * as settings from "./settings.ts"
import { now } from "./testimony.ts"

/** A contender for the runs of a lock. `options`: those of its acquisitions. */
export interface Contender<R> extends Behavior<R> {
  readonly id: string
  readonly lock: Lock.Lock["Service"]
  readonly options: Lock.AcquireOptions
}

/** Contends until it is interrupted. */
export const contendForRuns = <R>(contender: Contender<R>) => {
  const { dice, id, lock, name, options, tell } = contender
  const { end, interrupted, stay } = staying(contender)

  const nextRun = Effect.suspend(() =>
    Effect.sleep(settings.runPeriod - (now() % settings.runPeriod) + dice.between(1, 100))
  )

  const round = Effect.suspend(() => {
    // The machine's monotonic clock, so that processes with wrong wall clocks ask for the same run.
    const due = Math.floor(now() / settings.runPeriod) * settings.runPeriod
    let inside: Inside | undefined

    // `Once` interrupts the work itself if the lock is lost.
    const work = (run: Once.Run) =>
      Effect.suspend(() => stay((inside = { ...run, due: due / 1000, lost: Effect.never })))
    const answered = (done: Option.Option<void>) =>
      tell({
        _tag: "Run",
        name,
        due: due / 1000,
        at: now(),
        ...(Option.isSome(done) && inside !== undefined ? { holder: inside.holderId } : {})
      })
    const failed = (error: "Refused" | Loss | Once.Failure) => {
      if (error === "Refused") return end(inside!, error)
      if (error._tag === "LockLost" && inside !== undefined) return end(inside, "Lost", error.reason)
      return tell({ _tag: "Failure", name, tag: error._tag })
    }

    return Once.run(
      id,
      due,
      options
    )(work).pipe(
      Effect.provideService(Lock.Lock, lock),
      Effect.onInterrupt(() => (inside === undefined ? Effect.void : interrupted(inside))),
      Effect.flatMap(answered),
      Effect.andThen(nextRun),
      Effect.catch((error) => Effect.andThen(failed(error), Effect.sleep(dice.between(100, 500))))
    )
  })

  // Contenders before these may have recorded the run that is due now, which the witness does not know.
  return Effect.andThen(nextRun, Effect.forever(round))
}

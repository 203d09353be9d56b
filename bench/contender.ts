/** One contender: a fiber that takes a lock, enters the critical section, leaves it and releases, over and over. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Records } from "./contest.ts"
import * as Histogram from "./histogram.ts"
import * as Tally from "./tally.ts"
import * as Witness from "./witness.ts"

/** Why a lock was not had. */
export interface Refusal {
  readonly timedOut: boolean
  readonly message: string
}

/** Takes the lock of an id and holds it until the scope closes. */
export type Take = (id: string) => Effect.Effect<void, Refusal, Scope.Scope>

/** What a contender is. `number` counts contenders from 0, over all threads. */
export interface Options {
  readonly number: number
  readonly seed: string
  readonly ids: ReadonlyArray<string>
  readonly hold: Duration.Duration
  readonly records: Records
  readonly take: Take
  readonly onError: (message: string) => void
}

/** Contends until interrupted. A lock that is held then is released first. */
export const contend = (options: Options): Effect.Effect<never> => {
  const { hold, ids, number, onError, take } = options
  const { tally, witness } = options.records

  const enter = (id: number, began: bigint): Witness.Visit => {
    const now = process.hrtime.bigint()
    const visit = Witness.enter(witness, id, number + 1, now)
    Atomics.add(tally.acquisitions, number, 1)
    Histogram.add(tally.wait, now - began)
    if (visit.sinceLeft !== undefined) Histogram.add(tally.handoff, visit.sinceLeft)
    return visit
  }

  // Also without a hold the section lasts until the thread's other fibers had their turn, for overlaps to be seen.
  const work = Duration.isZero(hold) ? Effect.yieldNow : Effect.sleep(hold)

  const turn = Effect.gen(function* () {
    const id = ids.length === 1 ? 0 : yield* Random.nextIntBetween(0, ids.length - 1)
    const began = process.hrtime.bigint()
    yield* take(ids[id]!)
    yield* Effect.acquireUseRelease(
      Effect.sync(() => enter(id, began)),
      () => work,
      (visit) => Effect.sync(() => Witness.leave(witness, visit, process.hrtime.bigint()))
    )
  }).pipe(
    Effect.scoped,
    Effect.catch((refusal) => {
      if (refusal.timedOut) return Effect.sync(() => Tally.count(tally, "timeouts"))
      Tally.count(tally, "errors")
      onError(refusal.message)
      return Effect.sleep(pauseAfterError)
    })
  )

  return Random.withSeed(Effect.forever(turn), options.seed)
}

const pauseAfterError = "100 millis"

/** A process that is Dex: its lock with all its defects (`src/testing/dex`), on the wall clock of its own machine. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as dex from "../../src/testing/dex/Dex.ts"
import type { ObjectStore } from "../../src/ObjectStore.ts"
import type { Dice } from "./dice.ts"
import type { Recorder } from "./history.ts"
import type { Network } from "./network.ts"
import type { ProcessPlan } from "./plan.ts"
import { id } from "./server.ts"

/** What Dex needs of its world. */
export interface Options {
  readonly plan: ProcessPlan
  /** Whether there is to be another round. */
  readonly isBusy: () => boolean
  readonly dice: Dice
  readonly recorder: Recorder
  readonly network: Network
  readonly served: ObjectStore["Service"]
}

/** Does its rounds. Runs on the clock in context. */
export const run = Effect.fnUntraced(function* ({ dice, isBusy, network, plan, recorder, served }: Options) {
  const client = clientOf(network, served)
  yield* Effect.sleep(plan.startsAt)
  for (let round = 1; round === 1 || isBusy(); round++) {
    yield* Effect.sleep(dice.between(1, plan.thinks))
    const acquisition = `${plan.name}/${round}`
    const { lock, unlock } = dex.make(client, id)
    recorder.record(plan.name, { _tag: "Wished", acquisition })
    const locked = yield* Effect.exit(lock)
    if (Exit.isFailure(locked)) {
      const error = Cause.squash(locked.cause)
      const detail = error instanceof Error ? error.message : String(error)
      const problem = Cause.hasDies(locked.cause) ? "defect" : "DexError"
      recorder.record(plan.name, { _tag: "WishEnded", acquisition, end: { _tag: "Failed", problem, detail } })
      continue
    }
    recorder.record(plan.name, { _tag: "WishEnded", acquisition, end: { _tag: "Granted", turn: "" } })
    yield* Effect.sleep(dice.between(0, plan.holds))
    recorder.record(plan.name, { _tag: "Releasing", acquisition })
    yield* unlock
    recorder.record(plan.name, { _tag: "Released", acquisition })
  }
})

/** Whole objects over a network: a PUT replaces all annotations, under the resourceVersion that was read. */
export const clientOf = (network: Network, served: ObjectStore["Service"]): dex.DexClient => {
  const toDexError = (error: Error) => new dex.DexError({ detail: error.message })
  return {
    get: (id) =>
      Effect.mapError(network.ask("read", served.read(id)), toDexError).pipe(
        Effect.map((metadata) => ({ metadata: { ...metadata } }))
      ),
    put: (id, { metadata }) => {
      const replace = Effect.flatMap(served.read(id), (current) =>
        served.compareAndSwap(id, {
          expect: { resourceVersion: String(metadata["resourceVersion"]) },
          annotations: {
            ...Object.fromEntries(Object.keys(current.annotations).map((key) => [key, null])),
            ...metadata.annotations
          }
        })
      )
      return Effect.mapError(network.ask("put", replace, Option.none()), toDexError).pipe(
        Effect.flatMap((answer) => (Option.isSome(answer) ? Effect.void : new dex.DexConflict()))
      )
    }
  }
}

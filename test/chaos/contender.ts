/** A contender for a lock of any kind, for the runs of `Once`, or for shards. */
import * as Effect from "effect/Effect"
import * as Acquiring from "./acquiring.ts"
import { type Behavior, contend } from "./contending.ts"
import { contendForRuns } from "./contendingForRuns.ts"
import { contendForShards } from "./contendingForShards.ts"
import * as Dice from "../simulation/dice.ts"
import type * as settings from "./settings.ts"

/** What a process contends for, and how. Its name is its identity, and with the seed it decides what the process does. */
export interface Options<R> extends Omit<Behavior<R>, "dice">, Omit<Acquiring.Common, "identity"> {
  readonly kind: settings.Kind
  readonly id: string
  readonly seed: number
  readonly thread?: boolean | undefined
}

/** Contends until it is interrupted, over the client in context. */
export const start = Effect.fnUntraced(function* <R>(options: Options<R>) {
  const { id, kind, name, patience, seed } = options
  const dice = Dice.make(seed, `${name}/${kind}`)
  const common = { ...options, identity: name }
  if (kind === "once") {
    const lock = yield* Acquiring.makeLock(common)
    return yield* contendForRuns({
      ...options,
      id,
      dice,
      lock,
      options: { waitSchedule: Acquiring.waitSchedule(patience) }
    })
  }
  if (kind === "shards") return yield* contendForShards({ ...options, dice })
  const acquire = yield* Acquiring.make({
    ...common,
    kind,
    dice: Dice.make(seed, `${name}/${kind}, permits`)
  })
  // Nothing stops a holder of some permits that does not ask: a token refuses only those before a holder of all.
  const conduct = kind === "semaphore" && options.conduct === "unguarded" ? undefined : options.conduct
  return yield* contend({ ...options, conduct, dice, acquire })
})

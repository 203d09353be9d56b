/** Chance: everything that is random in a world comes from its seed. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Draws from one seeded stream. `between` answers whole numbers, both ends included. */
export interface Dice {
  readonly random: Random.Random
  readonly chance: (probability: number) => boolean
  readonly between: (min: number, max: number) => number
  readonly pick: <A>(choices: ReadonlyArray<A>) => A
}

/** Makes the stream of a name: streams of one seed do not disturb each other. */
export const make = (seed: number, stream: string): Dice => {
  const random = Effect.runSync(Random.withSeed(Effect.service(Random.Random), `${seed}/${stream}`))
  const between = (min: number, max: number) => min + Math.floor(random.nextDoubleUnsafe() * (max - min + 1))
  return {
    random,
    chance: (probability) => random.nextDoubleUnsafe() < probability,
    between,
    pick: (choices) => choices[between(0, choices.length - 1)]!
  }
}

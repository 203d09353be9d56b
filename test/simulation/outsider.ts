/** Somebody who is no process of the plan: it sees the object over a network as theirs, on a machine with a right clock. */
import * as Effect from "effect/Effect"
import type { ObjectStore } from "../../src/ObjectStore.ts"
import type { Dice } from "./dice.ts"
import * as machines from "./machine.ts"
import * as networks from "./network.ts"

/** Makes its store. */
export const storeOf = (
  surroundings: networks.Surroundings,
  name: string,
  dice: Dice
): Effect.Effect<ObjectStore["Service"]> =>
  Effect.map(machines.make({ name, wall: surroundings.plan.ahead, rate: 1, grain: 1 }), (machine) => {
    const served = surroundings.server.store
    return networks.make(surroundings, { machine, dice, requestTimeout: 5000, serverAhead: 0, served }).store
  })

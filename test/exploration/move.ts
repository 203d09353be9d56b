/** A contender of kubelock at its move. */
import type { WriteAnswer } from "./library/port.ts"
import type { Emit, Rules } from "./rules.ts"
import { type Actor, type Seen, withActor, type World } from "./world.ts"

/** A contender at its move. `emit` takes what it leads to. */
export interface Move {
  readonly world: World
  readonly index: number
  readonly actor: Actor
  readonly rules: Rules
  readonly emit: Emit
}

/** The contender becomes this actor. `start` is what the next contender of its process begins with. */
export const to = (
  { emit, index, world }: Move,
  name: string,
  actor: Actor,
  violation?: string,
  detail = 0,
  start?: Seen
): void => emit({ name, index, detail }, withActor(world, index, actor, start), violation)

/** The answer to the request under way; `undefined` if there is none yet. */
export const answerTo = ({ request }: Actor): Exclude<WriteAnswer, "lost"> | undefined =>
  request === undefined || request.answer === "none" ? undefined : request.answer

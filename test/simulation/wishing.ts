/** What every process of the library does in a world: its fibers wish for something, get it or not, use it, and wish again. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Dice } from "./dice.ts"
import { type Happening, plainly, type Recorder } from "./history.ts"
import type { HolderPlan } from "./plan.ts"
import type { Witness } from "./witness.ts"

/** What a process that wishes needs of its world. */
export interface Wishing {
  readonly plan: HolderPlan
  /** Whether there is to be another round. */
  readonly isBusy: () => boolean
  readonly dice: Dice
  readonly recorder: Recorder
  readonly witness: Witness
}

/** Does the rounds of all fibers of a process. A round gets the name of its wish, and what the last round of its fiber answered. */
export const rounds = <A>(
  { dice, isBusy, plan }: Wishing,
  round: (name: string, last: A | undefined) => Effect.Effect<A | undefined>
): Effect.Effect<void> => {
  let wishes = 0
  const fiber = Effect.gen(function* () {
    let last: A | undefined
    do {
      yield* Effect.sleep(dice.between(1, plan.thinks))
      last = yield* round(`${plan.name}/${++wishes}`, last)
    } while (isBusy())
  })
  return Effect.andThen(
    Effect.sleep(plan.startsAt),
    Effect.all(
      Array.from({ length: plan.fibers }, () => fiber),
      { concurrency: "unbounded", discard: true }
    )
  )
}

/** Wishes once, and uses what it gets until its scope closes. A wish of which nothing comes was given up. */
export const wishFor = <H, A, E>(
  { plan, recorder, witness }: Wishing,
  wished: Extract<Happening, { readonly _tag: "Wished" }>,
  wish: Effect.Effect<H | undefined, E, Scope.Scope>,
  use: (had: H) => Effect.Effect<A, never, Scope.Scope>
): Effect.Effect<A | undefined> => {
  const { acquisition } = wished
  const record = (happening: Happening) => Effect.sync(() => recorder.record(plan.name, happening))
  return Effect.gen(function* () {
    yield* record(wished)
    const had = yield* Effect.exit(wish)
    if (Exit.isFailure(had)) {
      yield* record({ _tag: "WishEnded", acquisition, end: failureOf(had.cause) })
      return undefined
    }
    if (had.value === undefined) {
      yield* record({ _tag: "WishEnded", acquisition, end: { _tag: "GivenUp" } })
      return undefined
    }
    return yield* use(had.value)
  }).pipe(
    Effect.scoped,
    Effect.ensuring(
      Effect.sync(() => {
        witness.forget(acquisition)
        recorder.record(plan.name, { _tag: "Released", acquisition })
      })
    )
  )
}

/** How a wish failed. */
export const failureOf = (cause: Cause.Cause<unknown>) => {
  const problem = Cause.squash(cause)
  const [tag, detail] =
    problem instanceof Error && "_tag" in problem
      ? [String(problem._tag), problem.message]
      : ["defect", Cause.pretty(cause)]
  return { _tag: "Failed", problem: tag, detail: plainly(detail) } as const
}

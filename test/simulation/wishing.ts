/** What every process of the library does in a world: its fibers wish for something, get it or not, use it, and wish again. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Held } from "../../src/Held.ts"
import type { ObjectStore } from "../../src/ObjectStore.ts"
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
  readonly store: ObjectStore["Service"]
  /** Writes to the resource that the lock protects. */
  readonly writeFenced: (acquisition: string, token: bigint) => Effect.Effect<void>
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

/** A wish that may be given up: it is after up to so many milliseconds, with the probability of the plan. */
export const hurried = <A, E, R>(
  { dice, plan }: Wishing,
  wish: Effect.Effect<A, E, R>,
  longest: number
): Effect.Effect<A | undefined, E, R> =>
  dice.chance(plan.hurries)
    ? Effect.timeoutOrElse(wish, { duration: dice.between(1, longest), orElse: () => Effect.undefined })
    : wish

/** Follows what was granted until its scope closes: whether it is valid, that its loss is told, and that its release begins. */
export const follow = (
  { plan, recorder, witness }: Wishing,
  acquisition: string,
  held: Pick<Held, "isValid" | "fencingToken"> & { readonly lost: Effect.Effect<unknown, { readonly reason: string }> }
): Effect.Effect<void, never, Scope.Scope> => {
  const record = (happening: Happening) => Effect.sync(() => recorder.record(plan.name, happening))
  return Effect.suspend(() => {
    witness.follow(acquisition, held)
    return Effect.addFinalizer(() => record({ _tag: "Releasing", acquisition }))
  }).pipe(
    Effect.andThen(
      held.lost.pipe(
        Effect.catch(({ reason }) => record({ _tag: "Lost", acquisition, reason })),
        Effect.forkScoped({ startImmediately: true })
      )
    )
  )
}

/** Works for a while. With a token it writes to the resource, again and again. */
export const work = (
  { dice, plan, writeFenced }: Wishing,
  acquisition: string,
  held?: Pick<Held, "fencingToken">
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const step = dice.between(50, 500)
    for (let left = dice.between(0, plan.holds); left > 0; left -= step) {
      if (held !== undefined) yield* writeFenced(acquisition, held.fencingToken)
      yield* Effect.sleep(Math.min(step, left))
    }
  })

/** How a wish failed. */
export const failureOf = (cause: Cause.Cause<unknown>) => {
  const problem = Cause.squash(cause)
  const [tag, detail] =
    problem instanceof Error && "_tag" in problem
      ? [String(problem._tag), problem.message]
      : ["defect", Cause.pretty(cause)]
  return { _tag: "Failed", problem: tag, detail: plainly(detail) } as const
}

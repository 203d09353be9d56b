/**
 * What a contender does: it takes the lock again and again, and while it holds the lock it writes to the witness several
 * times, each time with the fencing token. Before some of the writes it asks whether the lock is valid.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as HeldLock from "../../src/Held.ts"
import type * as Dice from "../simulation/dice.ts"
import * as settings from "./settings.ts"
import { type Claim, type Ending, now, type Testimony } from "./testimony.ts"

/** How a process is told that it has lost what it had. */
export interface Loss {
  readonly _tag: "LockLost"
  readonly reason: string
}

/**
 * What the process has while it is inside: a lock, a term, permits, the lock of a run that is due at a time, or a shard, which has no
 * fencing token.
 */
export type Inside = Pick<HeldLock.Held, "holderId" | "isValid"> & {
  readonly lost: Effect.Effect<never, Loss>
  readonly fencingToken?: bigint
  readonly permits?: number
  readonly due?: number
  readonly shard?: number
  readonly machine?: number
}

/** What the process acquires. */
export type Held = Inside & Pick<HeldLock.Held, "fencingToken" | "guard">

/**
 * How a contender behaves while it is inside.
 *
 * - `conduct`: `unguarded` works without `guard` and never asks whether the lock is valid, so only the fence can stop it.
 *   `careless` does the same, and the witness does not check the tokens of its writes.
 * - `longStays`: the share of its stays that are long.
 * - `hurries`: whether stays end after their first write, because others are waited for.
 * - `tell`: reports to the witness. Answers false if the witness refused a write.
 */
export interface Behavior<R> {
  readonly name: string
  readonly dice: Dice.Dice
  readonly conduct?: "unguarded" | "careless" | undefined
  readonly longStays?: number | undefined
  readonly hurries?: (() => boolean) | undefined
  readonly tell: (testimony: Testimony) => Effect.Effect<boolean, never, R>
}

/** A contender. */
export interface Contender<E, R, R2> extends Behavior<R2> {
  readonly acquire: Effect.Effect<Held, E, R | Scope.Scope>
}

/** A stay, with its writes, and how to tell that it ended in another way. */
export const staying = <R>({
  conduct,
  dice,
  hurries = () => false,
  longStays = settings.longStays,
  name,
  tell
}: Behavior<R>) => {
  const isGuarded = conduct === undefined
  const about = ({ fencingToken: token, holderId: holder, shard }: Inside) => ({
    name,
    holder,
    ...(token === undefined ? {} : { token }),
    ...(shard === undefined ? {} : { shard }),
    at: now()
  })

  const claim = Effect.fnUntraced(function* (held: Inside, step: Claim["step"]) {
    const checked = isGuarded && (step !== "Write" || dice.chance(0.5))
    const { due, machine, permits = 1 } = held
    const testimony: Claim = {
      _tag: "Claim",
      ...about(held),
      step,
      checked,
      fenced: conduct !== "careless",
      permits,
      ...(due === undefined ? {} : { due }),
      ...(machine === undefined ? {} : { machine })
    }
    if (checked && !(yield* held.isValid)) return yield* held.lost
    return (yield* tell(testimony)) ? undefined : yield* Effect.fail("Refused" as const)
  })

  const stay = Effect.fnUntraced(function* (held: Inside) {
    const long = conduct === "careless" || dice.chance(longStays)
    const [fewest, most] = long ? settings.longStay : settings.shortStay
    const writes = dice.between(fewest, most)
    yield* claim(held, "Enter")
    for (let write = 0; write < writes && (write === 0 || !hurries()); write++) {
      yield* Effect.sleep(dice.between(...settings.pause))
      yield* claim(held, "Write")
    }
    yield* claim(held, "Leave")
  })

  const end = (held: Inside, how: Ending["how"], reason?: string) =>
    tell({ _tag: "Ending", ...about(held), how, ...(reason === undefined ? {} : { reason }) })

  const failed = (held: Inside, error: "Refused" | Loss) =>
    error === "Refused" ? end(held, error) : end(held, "Lost", error.reason)

  const interrupted = (held: Inside) => end(held, "Interrupted").pipe(Effect.timeout("1 second"), Effect.ignore)

  return { stay, end, failed, interrupted }
}

/** Contends until it is interrupted. */
export const contend = <E extends { readonly _tag: string }, R, R2>(contender: Contender<E, R, R2>) => {
  const { acquire, conduct, dice, name, tell } = contender
  const { failed, interrupted, stay } = staying(contender)

  const round = Effect.gen(function* () {
    const held = yield* acquire
    yield* (conduct === undefined ? held.guard(stay(held)) : stay(held)).pipe(
      Effect.catch((error) => failed(held, error)),
      Effect.onInterrupt(() => interrupted(held))
    )
  })

  return Effect.sleep(dice.between(0, 300)).pipe(
    Effect.andThen(
      Effect.scoped(round).pipe(
        Effect.catch((error) => tell({ _tag: "Failure", name, tag: error._tag })),
        Effect.andThen(Effect.suspend(() => Effect.sleep(dice.between(100, 500)))),
        Effect.forever
      )
    )
  )
}

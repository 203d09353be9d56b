/**
 * One flight per id: work that all callers of a process share.
 *
 * Go calls this pattern `singleflight`. In addition, a flight that has lost all its callers ends, but not while that
 * would lose an answer of the upstream.
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** What the work of a flight sees of it. */
export interface Flight<A> {
  /** The values that callers have rejected. None is added after `onRefresh` or `onAnswer`. */
  readonly rejected: () => ReadonlyArray<A>
  /** The work is about to call the upstream. From now on the flight survives its last caller by the grace. */
  readonly onRefresh: () => void
  /** The work has its answer, which may still have to be written. From now on nothing ends the flight. */
  readonly onAnswer: () => void
  /** The work has failed, and is about to clean up. A caller that comes from now on starts another flight. */
  readonly onFailure: () => void
}

/**
 * The answer of a flight. `rejectedInTime` says whether the flight knew the caller's rejected values when it decided.
 */
export interface Shared<A> {
  readonly value: A
  readonly rejectedInTime: boolean
}

/** The flights of a process. */
export interface SingleFlight<A, E> {
  /**
   * Joins the flight of an id, or starts one. All callers get its answer or its error. Interrupting one caller affects
   * no other.
   */
  readonly join: (id: string, rejected: ReadonlyArray<A>) => Effect.Effect<Shared<A>, E>
}

/**
 * - `Deciding`: the work waits or reads. Callers can still reject values. The flight ends with its last caller.
 * - `Refreshing`: the upstream was called and may have answered. Without callers the flight ends after the grace.
 * - `Answered`: there is an answer. Nothing ends the flight.
 */
type Stage = "Deciding" | "Refreshing" | "Answered"

interface Entry<A, E> {
  readonly id: string
  stage: Stage
  readonly rejected: Array<A>
  callers: number
  fiber: Fiber.Fiber<A, E> | undefined
  /** Ends the flight, because no caller is left. Interrupted if one joins. */
  abandonment: Fiber.Fiber<void> | undefined
}

/**
 * Makes the flights. `work` produces the answer for an id.
 *
 * When the scope closes, a flight that calls the upstream has the grace to finish, and a flight with an answer
 * finishes.
 */
export const make = Effect.fnUntraced(function* <A, E>(
  work: (id: string, flight: Flight<A>) => Effect.Effect<A, E>,
  grace: Duration.Duration
): Effect.fn.Return<SingleFlight<A, E>, never, Scope.Scope> {
  // Flights that callers can join, and all that have not ended.
  const entries = new Map<string, Entry<A, E>>()
  const running = new Set<Entry<A, E>>()
  let isClosed = false

  const remove = (entry: Entry<A, E>) => {
    if (entries.get(entry.id) === entry) entries.delete(entry.id)
  }
  const cancel = (entry: Entry<A, E>) => {
    remove(entry)
    entry.fiber?.interruptUnsafe()
  }

  // Ends a flight as far as its stage allows.
  const abandon = (entry: Entry<A, E>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (entry.stage === "Deciding") cancel(entry)
      if (entry.stage !== "Refreshing") return Effect.void
      return Effect.andThen(
        Effect.sleep(grace),
        Effect.sync(() => {
          if (entry.stage === "Refreshing") cancel(entry)
        })
      )
    })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return Effect.forEach(
        [...running],
        (entry) => Effect.raceFirst(Effect.andThen(abandon(entry), Effect.never), Fiber.await(entry.fiber!)),
        { concurrency: "unbounded", discard: true }
      )
    })
  )

  const start = (id: string, rejected: ReadonlyArray<A>, context: Context.Context<never>): Entry<A, E> => {
    const entry: Entry<A, E> = {
      id,
      stage: "Deciding",
      rejected: [...rejected],
      callers: 0,
      fiber: undefined,
      abandonment: undefined
    }
    const flight: Flight<A> = {
      rejected: () => entry.rejected,
      onRefresh: () => {
        entry.stage = "Refreshing"
      },
      onAnswer: () => {
        entry.stage = "Answered"
      },
      onFailure: () => remove(entry)
    }
    entries.set(id, entry)
    running.add(entry)
    entry.fiber = Effect.runForkWith(context)(
      Effect.onExit(work(id, flight), () =>
        Effect.sync(() => {
          remove(entry)
          running.delete(entry)
          entry.abandonment?.interruptUnsafe()
        })
      )
    )
    return entry
  }

  const enter = (id: string, rejected: ReadonlyArray<A>, context: Context.Context<never>) => {
    const running = entries.get(id)
    const rejectedInTime = running === undefined || running.stage === "Deciding"
    if (running?.stage === "Deciding") running.rejected.push(...rejected)
    const entry = running ?? start(id, rejected, context)
    entry.callers++
    entry.abandonment?.interruptUnsafe()
    return { entry, fiber: entry.fiber!, rejectedInTime }
  }

  const leave = (entry: Entry<A, E>) =>
    Effect.contextWith((context: Context.Context<never>) => {
      entry.callers--
      if (entry.callers === 0 && entry.fiber!.pollUnsafe() === undefined) {
        entry.abandonment = Effect.runForkWith(context)(abandon(entry))
      }
      return Effect.void
    })

  return {
    join: (id, rejected) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.contextWith((context: Context.Context<never>) => {
          if (isClosed) return Effect.interrupt
          const { entry, fiber, rejectedInTime } = enter(id, rejected, context)
          return restore(Fiber.join(fiber)).pipe(
            Effect.map((value) => ({ value, rejectedInTime })),
            Effect.onExit(() => leave(entry))
          )
        })
      )
  }
})

/** One piece of work per id, shared by all of this process who want it, and how long it may go on without them. */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** The work for an id while it is under way. */
export interface Flight<A> {
  /**
   * - `Waiting`: nothing is decided yet. It ends with its last waiter.
   * - `Refreshing`: the upstream was asked, and may have answered. Without waiters it ends after the grace.
   * - `Answered`: there is an answer, which must be written. Nothing ends it.
   */
  stage: "Waiting" | "Refreshing" | "Answered"
  /** Values that are not to be had again. */
  readonly rejected: Array<A>
}

/** The answer, and whether the flight knew what was spent before it decided. */
export interface Shared<A> {
  readonly value: A
  readonly heard: boolean
}

/** All flights of a process. */
export interface SingleFlight<A, E> {
  /** Joins the flight for an id, or starts it; the errors are shared as well. Interrupting one caller ends no other. */
  readonly join: (id: string, spent: ReadonlyArray<A>) => Effect.Effect<Shared<A>, E>
}

interface Entry<A, E> extends Flight<A> {
  readonly id: string
  waiters: number
  fiber: Fiber.Fiber<A, E> | undefined
  leaving: Fiber.Fiber<void> | undefined
}

/** Makes the flights. When the scope closes, those that refresh have the grace to finish, and those that write finish. */
export const make = Effect.fnUntraced(function* <A, E>(
  work: (id: string, flight: Flight<A>) => Effect.Effect<A, E>,
  grace: Duration.Duration
): Effect.fn.Return<SingleFlight<A, E>, never, Scope.Scope> {
  const flights = new Map<string, Entry<A, E>>()
  let closed = false

  const end = (flight: Entry<A, E>) => {
    remove(flight)
    flight.fiber?.interruptUnsafe()
  }
  const remove = (flight: Entry<A, E>) => {
    if (flights.get(flight.id) === flight) flights.delete(flight.id)
  }

  const abandon = (flight: Entry<A, E>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (flight.stage === "Waiting") end(flight)
      if (flight.stage !== "Refreshing") return Effect.void
      return Effect.andThen(
        Effect.sleep(grace),
        Effect.sync(() => {
          if (flight.stage === "Refreshing") end(flight)
        })
      )
    })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      return Effect.forEach(
        [...flights.values()],
        (flight) => Effect.raceFirst(Effect.andThen(abandon(flight), Effect.never), landed(flight)),
        { concurrency: "unbounded", discard: true }
      )
    })
  )

  const start = (id: string, spent: ReadonlyArray<A>, context: Context.Context<never>): Entry<A, E> => {
    const flight: Entry<A, E> = {
      id,
      stage: "Waiting",
      rejected: [...spent],
      waiters: 0,
      fiber: undefined,
      leaving: undefined
    }
    flights.set(id, flight)
    flight.fiber = Effect.runForkWith(context)(
      Effect.onExit(work(id, flight), () =>
        Effect.sync(() => {
          remove(flight)
          flight.leaving?.interruptUnsafe()
        })
      )
    )
    return flight
  }

  const board = (id: string, spent: ReadonlyArray<A>, context: Context.Context<never>) => {
    const flying = flights.get(id)
    const heard = flying === undefined || flying.stage === "Waiting"
    if (flying?.stage === "Waiting") flying.rejected.push(...spent)
    const flight = flying ?? start(id, spent, context)
    flight.waiters++
    flight.leaving?.interruptUnsafe()
    return { flight, heard, fiber: flight.fiber! }
  }

  const leave = (flight: Entry<A, E>) =>
    Effect.contextWith((context: Context.Context<never>) => {
      flight.waiters--
      if (flight.waiters === 0 && flight.fiber!.pollUnsafe() === undefined) {
        flight.leaving = Effect.runForkWith(context)(abandon(flight))
      }
      return Effect.void
    })

  const join = (id: string, spent: ReadonlyArray<A>): Effect.Effect<Shared<A>, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.contextWith((context: Context.Context<never>) => {
        if (closed) return Effect.interrupt
        const { fiber, flight, heard } = board(id, spent, context)
        return restore(Fiber.join(fiber)).pipe(
          Effect.map((value) => ({ value, heard })),
          Effect.onExit(() => leave(flight))
        )
      })
    )

  return { join }
})

const landed = <A, E>({ fiber }: Entry<A, E>) => Fiber.await(fiber!)

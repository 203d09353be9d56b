/**
 * Questions for the server's time, several at once: one of them then reaches the server soon after the instant that matters, however
 * long an answer takes. Each answer teaches the clock of the store, also if nobody waits for it any more. Only the end of the layer
 * cuts a question off, since that closes its connection.
 */
import * as Effect from "effect/Effect"
import type { Event } from "../protocol/acquisitionState.ts"
import type { Answer } from "../protocol/answer.ts"
import { shortestAskInterval } from "../protocol/besideDex.ts"
import type { Engine } from "./contender.ts"
import * as requests from "./requests.ts"

/** How many questions of one acquisition are under way at most. Our choice. */
export const questionsAtOnce = 8

/**
 * Makes the questions of one acquisition: asks, and waits for an answer to any of them, or until the next question may follow. An
 * answer that came since the last time waits until then: it has taught the clock, and must not hide the next one. A question that
 * fails once another one was asked says nothing about the server any more.
 */
export const make = ({ scope, store, timers }: Engine, id: string): Effect.Effect<Event> => {
  let asked = 0
  let unanswered = 0
  let answer: Answer | undefined
  let isFresh = false
  let notify = () => {}

  const question = (number: number) =>
    Effect.map(requests.read(store, id, { mayBeStale: true }), (told) => {
      unanswered--
      if (told._tag === "Failed" && number < asked) return
      answer = told
      isFresh = true
      notify()
    })

  const ask = Effect.suspend(() => {
    isFresh = false
    if (unanswered === questionsAtOnce) return Effect.void
    unanswered++
    asked++
    if (answer?._tag === "Failed") answer = undefined
    return Effect.forkIn(question(asked), scope)
  })

  const untilTold = timers.wait(shortestAskInterval, (wake) => {
    notify = wake
    if (isFresh) wake()
    return () => {
      notify = () => {}
    }
  })

  const takeAnswer = Effect.sync((): Event => {
    const told = answer
    answer = undefined
    return told ?? { _tag: "Elapsed" }
  })

  return Effect.andThen(ask, Effect.andThen(untilTold, takeAnswer))
}

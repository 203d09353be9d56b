import * as Effect from "effect/Effect"

/** A plain number, and an increment that is lost if another one runs at the same time. */
export const aNumber = () => {
  let number = 0
  const increment = Effect.gen(function* () {
    const seen = number
    yield* Effect.sleep("1 millis")
    number = seen + 1
  })
  return { value: () => number, increment }
}

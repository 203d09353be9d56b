/** Listening to what is still being made. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as listening from "../../../src/internal/session/listening.ts"

/** A listener, and what was done with it. What it listens to is made by `make`. */
const setUp = () => {
  const happened: Array<string> = []
  let make = () => {}
  const stop = listening.onceMade(
    (effect) => {
      make = () => Effect.runSync(effect)
    },
    Effect.succeed("it"),
    (made) => {
      happened.push(`listens to ${made}`)
      return () => {
        happened.push("stops")
      }
    }
  )
  return { happened, make: () => make(), stop }
}

describe("a listener", () => {
  it("listens once that is made, and stops", () => {
    const { happened, make, stop } = setUp()
    assert.deepStrictEqual(happened, [])
    make()
    assert.deepStrictEqual(happened, ["listens to it"])
    stop()
    assert.deepStrictEqual(happened, ["listens to it", "stops"])
  })

  it("that stops before does not listen", () => {
    const { happened, make, stop } = setUp()
    stop()
    make()
    assert.deepStrictEqual(happened, [])
  })
})

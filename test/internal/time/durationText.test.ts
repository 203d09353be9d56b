import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { parse } from "../../../src/internal/time/durationText.ts"

describe("a duration as text", () => {
  it.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["1.5m", 90_000],
    ["1m30s", 90_000],
    ["2 h", 7_200_000],
    ["1d", 86_400_000],
    ["10 seconds", 10_000],
    ["1 minute", 60_000],
    [" 3s ", 3000],
    ["0", 0],
    ["0ms", 0]
  ])("is read: %s", (text, millis) => {
    assert.strictEqual(Option.getOrUndefined(Option.map(parse(text), Duration.toMillis)), millis)
  })

  it.each(["", "10", "abc", "s", "10x", "Infinity", "-1s", "-5 seconds", "ten seconds", "10s later"])(
    "is refused: %s",
    (text) => {
      assert.isTrue(Option.isNone(parse(text)))
    }
  )
})

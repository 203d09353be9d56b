import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import * as rfc3339 from "../../../src/internal/time/rfc3339.ts"

const fixture = readFileSync(new URL("../../fixtures/rfc3339-go.tsv", import.meta.url), "utf8")
  .split("\n")
  .slice(1)
  .filter((line) => line !== "")
  .map((line) => {
    const [value, verdict, seconds, nanos] = line.split("\t")
    return { value: JSON.parse(value!) as string, verdict, seconds: Number(seconds), nanos: Number(nanos) }
  })

describe("rfc3339", () => {
  it("accepts what Go accepts, to the nanosecond, and rejects what Go rejects", () => {
    assert.isAbove(fixture.length, 400)
    for (const { nanos, seconds, value, verdict } of fixture) {
      assert.deepStrictEqual(
        rfc3339.parse(value),
        verdict === "accepted" ? { seconds, nanos } : undefined,
        JSON.stringify(value)
      )
    }
  })

  it("writes whole seconds in UTC", () => {
    assert.strictEqual(rfc3339.format(1_795_515_600), "2026-11-24T10:20:00Z")
    assert.strictEqual(rfc3339.format(0), "1970-01-01T00:00:00Z")
    assert.strictEqual(rfc3339.format(253_402_300_799), "9999-12-31T23:59:59Z")
  })

  it.prop(
    "reads back what it writes",
    [Schema.Int.check(Schema.isBetween({ minimum: -62_167_219_200, maximum: 253_402_300_799 }))],
    ([seconds]) => {
      assert.deepStrictEqual(rfc3339.parse(rfc3339.format(seconds)), { seconds, nanos: 0 })
    }
  )
})

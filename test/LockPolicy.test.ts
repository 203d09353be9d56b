import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as LockPolicy from "../src/LockPolicy.ts"

const parse = (env: Record<string, string>) => LockPolicy.config.parse(ConfigProvider.fromEnv({ env }))

const delays = (policy: LockPolicy.LockPolicy) =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(policy.waitSchedule)
    const all: Array<number> = []
    for (;;) {
      const next = yield* Effect.exit(step(0, undefined))
      if (next._tag === "Failure") return all
      all.push(Duration.toMillis(next.value[1]))
    }
  })

describe("LockPolicy", () => {
  it.effect("is Dex's by default", () =>
    Effect.gen(function* () {
      assert.strictEqual(LockPolicy.dex.annotation, "dexidp.com/resource-lock")
      assert.strictEqual(Duration.toMillis(LockPolicy.dex.ttl), 10_000)
      assert.deepStrictEqual(
        yield* delays(LockPolicy.dex),
        Array.from({ length: 200 }, () => 100)
      )
    })
  )

  it("renews three times in a TTL, for any TTL", () => {
    const renewal = (policy: LockPolicy.LockPolicy) =>
      policy.renewEvery && Math.round(Duration.toMillis(policy.renewEvery))
    assert.strictEqual(renewal(LockPolicy.dex), 3333)
    assert.strictEqual(renewal(LockPolicy.make({ ttl: "30 seconds" })), 10_000)
    assert.strictEqual(renewal(LockPolicy.withOverrides(LockPolicy.dex, { ttl: "30 seconds" })), 10_000)
    assert.strictEqual(renewal(LockPolicy.withOverrides(LockPolicy.dex, { renewEvery: "1 second" })), 1000)
    assert.isFalse(renewal(LockPolicy.withOverrides(LockPolicy.make({ renewEvery: false }), { ttl: "30 seconds" })))
  })

  it("is the same policy if nothing of it is replaced", () => {
    assert.strictEqual(LockPolicy.withOverrides(LockPolicy.dex, {}), LockPolicy.dex)
    assert.strictEqual(LockPolicy.withOverrides(LockPolicy.dex, { ttl: undefined }), LockPolicy.dex)
    assert.isFalse(LockPolicy.withOverrides(LockPolicy.dex, { renewEvery: false }).renewEvery)
  })

  it("refuses options that contradict each other", () => {
    for (const options of [
      { ttl: "10 millis" },
      { ttl: "2 days" },
      { ttl: "10 seconds", renewEvery: "6 seconds" },
      { renewEvery: 0 },
      { expectedHold: 0 },
      { expectedHold: "366 days" },
      { annotation: "no-prefix" },
      { annotation: "example.com/" },
      { annotation: `example.com/${"x".repeat(45)}` },
      { annotation: "Example.com/lock" }
    ] as ReadonlyArray<LockPolicy.Options>) {
      assert.throws(() => LockPolicy.make(options), RangeError)
    }
    assert.doesNotThrow(() => LockPolicy.make({ annotation: `example.com/${"x".repeat(44)}` }))
  })

  it.effect("comes from configuration, every part optional", () =>
    Effect.gen(function* () {
      assert.isUndefined((yield* parse({})).annotation)
      const policy = yield* parse({
        KUBELOCK_ANNOTATION: "example.com/lock",
        KUBELOCK_TTL: "1 minute",
        KUBELOCK_POLL_INTERVAL: "2 seconds",
        KUBELOCK_POLL_TIMES: "3",
        KUBELOCK_RENEW_EVERY: "false",
        KUBELOCK_EXPECTED_HOLD: "5m"
      })
      assert.strictEqual(Duration.toMillis((yield* parse({ KUBELOCK_TTL: "1m30s" })).ttl), 90_000)
      assert.strictEqual(policy.annotation, "example.com/lock")
      assert.strictEqual(Duration.toMillis(policy.ttl), 60_000)
      assert.isFalse(policy.renewEvery)
      assert.deepStrictEqual(policy.expectedHold, Duration.minutes(5))
      assert.deepStrictEqual(LockPolicy.withOverrides(policy, { ttl: "2 minutes" }).expectedHold, Duration.minutes(5))
      assert.deepStrictEqual(yield* delays(policy), [2000, 2000, 2000])
    })
  )

  it.effect("says what is wrong with a configuration", () =>
    Effect.gen(function* () {
      for (const [name, value, expected] of [
        ["KUBELOCK_TTL", "soon", 'a duration such as 500ms, 10s, 1m30s or "10 seconds", but is "soon"'],
        ["KUBELOCK_TTL", "1 millis", "from 1 second to 1 day, but is 1ms"],
        ["KUBELOCK_ANNOTATION", "nope", 'an annotation key like "example.com/lock"'],
        ["KUBELOCK_POLL_INTERVAL", "100", "a duration such as 500ms"],
        ["KUBELOCK_POLL_TIMES", "-1", 'a whole number such as 200, but is "-1"'],
        ["KUBELOCK_RENEW_EVERY", "9 seconds", "at most half the TTL"],
        ["KUBELOCK_RENEW_EVERY", "often", "false, or a duration such as 500ms"],
        ["KUBELOCK_SHARED_WITH_DEX", "perhaps", "true or false"],
        ["KUBELOCK_EXPECTED_HOLD", "0ms", "from 1 ms to 365 days"],
        ["KUBELOCK_SESSION", "perhaps", "true or false"]
      ] as const) {
        const error = yield* Effect.flip(parse({ [name]: value }))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, `${name} must be `)
        assert.include(error.message, expected)
      }
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as duration from "../../bench/duration.ts"
import * as flags from "../../bench/flags.ts"
import { turnsOf } from "../../bench/loadTest.ts"

const given: flags.Given = {
  duration: Duration.seconds(10),
  threads: 4,
  fibers: 8,
  hold: Duration.zero,
  ids: 1,
  protocol: "kubelock",
  compare: false,
  seed: Option.none(),
  json: false,
  kubeconfig: Option.none(),
  context: Option.none(),
  namespace: Option.none(),
  resource: "refreshtokens"
}

describe("duration", () => {
  it.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["1.5m", 90_000],
    ["2 h", 7_200_000],
    ["10 seconds", 10_000],
    ["1 minute", 60_000],
    ["0", 0],
    ["0ms", 0]
  ])("reads %s", (text, millis) => {
    assert.strictEqual(Option.getOrUndefined(Option.map(duration.parse(text), Duration.toMillis)), millis)
  })

  it.each(["", "10", "abc", "s", "10x", "Infinity", "ten seconds"])("refuses %s", (text) => {
    assert.isTrue(Option.isNone(duration.parse(text)))
  })
})

describe("flags", () => {
  it("joins --kubeconfig with its file, and leaves it alone where there is none", () => {
    assert.deepStrictEqual(flags.joined(["--json", "--kubeconfig", "a.yaml", "--ids", "2"]), [
      "--json",
      "--kubeconfig=a.yaml",
      "--ids",
      "2"
    ])
    for (const args of [["--kubeconfig"], ["--kubeconfig", "--json"], ["--kubeconfig=a.yaml"]]) {
      assert.deepStrictEqual(flags.joined(args), args)
    }
  })

  it.effect("mean an embedded server, unless there is a kubeconfig", () =>
    Effect.gen(function* () {
      const settings = yield* flags.toSettings(given)
      assert.strictEqual(settings.target.kubeconfig, undefined)
      assert.deepStrictEqual(settings.protocols, ["kubelock"])
      const cluster = yield* flags.toSettings({
        ...given,
        kubeconfig: Option.some(""),
        context: Option.some("c"),
        compare: true,
        seed: Option.some(5)
      })
      assert.deepStrictEqual(cluster.target.kubeconfig, { _tag: "KubeConfig", file: undefined, context: "c" })
      assert.deepStrictEqual(cluster.protocols, ["kubelock", "dex"])
      assert.strictEqual(cluster.seed, 5)
    })
  )

  it.effect("refuse a context without a kubeconfig", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(flags.toSettings({ ...given, context: Option.some("c") }))
      assert.match(error.message, /--context needs --kubeconfig/)
    })
  )
})

describe("turns", () => {
  it("is one for a single protocol", () => {
    assert.deepStrictEqual(turnsOf({ protocols: ["dex"], duration: Duration.minutes(1) }), [
      { protocol: "dex", duration: Duration.minutes(1), warmUp: false }
    ])
  })

  it("alternate, and add up to the duration for each of two, after both have warmed up", () => {
    const turns = turnsOf({ protocols: ["kubelock", "dex"], duration: Duration.seconds(10) })
    assert.deepStrictEqual(
      turns.map(({ duration, protocol, warmUp }) => [protocol, Duration.toMillis(duration), warmUp]),
      [
        ["kubelock", 3000, true],
        ["dex", 3000, true],
        ["kubelock", 5000, false],
        ["dex", 5000, false],
        ["dex", 5000, false],
        ["kubelock", 5000, false]
      ]
    )
    for (const seconds of [1, 10, 30, 60]) {
      for (const wanted of ["kubelock", "dex"]) {
        const millis = turnsOf({ protocols: ["kubelock", "dex"], duration: Duration.seconds(seconds) })
          .filter(({ protocol, warmUp }) => protocol === wanted && !warmUp)
          .map(({ duration }) => Duration.toMillis(duration))
        assert.closeTo(
          millis.reduce((sum, one) => sum + one),
          seconds * 1000,
          1
        )
      }
    }
  })
})

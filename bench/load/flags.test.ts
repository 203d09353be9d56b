import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as clusterFlags from "../../tools/clusterFlags.ts"
import * as flags from "./flags.ts"
import { turnsOf } from "../../src/cli/bench/load/loadTest.ts"

const given: flags.Given = {
  duration: Duration.seconds(10),
  threads: 4,
  fibers: 8,
  hold: Duration.zero,
  ids: 1,
  kind: "lock",
  limit: Option.none(),
  writers: Option.none(),
  protocol: "kubelock",
  compare: false,
  seed: Option.none(),
  json: false,
  report: Option.none(),
  kubeconfig: Option.none(),
  context: Option.none(),
  namespace: Option.none(),
  resource: "refreshtokens"
}

describe("flags", () => {
  it("joins --kubeconfig with its file, and leaves it alone if there is none", () => {
    assert.deepStrictEqual(clusterFlags.joined(["--json", "--kubeconfig", "a.yaml", "--ids", "2"]), [
      "--json",
      "--kubeconfig=a.yaml",
      "--ids",
      "2"
    ])
    for (const args of [["--kubeconfig"], ["--kubeconfig", "--json"], ["--kubeconfig=a.yaml"]]) {
      assert.deepStrictEqual(clusterFlags.joined(args), args)
    }
  })

  it.effect("mean an embedded server, unless there is a kubeconfig", () =>
    Effect.gen(function* () {
      const { settings, target } = yield* flags.toSettings(given)
      assert.strictEqual(target.kubeconfig, undefined)
      assert.deepStrictEqual(settings.protocols, ["kubelock"])
      const cluster = yield* flags.toSettings({
        ...given,
        kubeconfig: Option.some(""),
        context: Option.some("c"),
        compare: true,
        seed: Option.some(5)
      })
      assert.deepStrictEqual(cluster.target.kubeconfig, { _tag: "KubeConfig", file: undefined, context: "c" })
      assert.deepStrictEqual(cluster.settings.protocols, ["kubelock", "dex"])
      assert.strictEqual(cluster.settings.seed, 5)
    })
  )

  it.effect("refuse a context without a kubeconfig", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(flags.toSettings({ ...given, context: Option.some("c") }))
      assert.match(error.message, /--context needs --kubeconfig/)
    })
  )

  it.effect("give a semaphore its limit and a shared lock its writers, also by default, and a lock neither", () =>
    Effect.gen(function* () {
      const parts = [
        {},
        { kind: "semaphore" },
        { kind: "semaphore", limit: Option.some(9) },
        { kind: "shared" },
        { kind: "shared", writers: Option.some(0) }
      ] as const
      const subjects = yield* Effect.forEach(parts, (part) => flags.toSettings({ ...given, ...part }))
      assert.deepStrictEqual(
        subjects.map(({ settings: { kind, limit, writers } }) => [kind, limit, writers]),
        [
          ["lock", null, null],
          ["semaphore", 4, null],
          ["semaphore", 9, null],
          ["shared", null, 0.1],
          ["shared", null, 0]
        ]
      )
    })
  )

  it.effect("refuse what does not fit together, and say what to do", () =>
    Effect.gen(function* () {
      for (const [part, message] of [
        [{ limit: Option.some(4) }, /--limit needs --kind semaphore/],
        [{ kind: "shared", limit: Option.some(4) }, /--limit needs --kind semaphore/],
        [{ writers: Option.some(0.1) }, /--writers needs --kind shared/],
        [{ kind: "semaphore", writers: Option.some(0.1) }, /--writers needs --kind shared/],
        [{ kind: "semaphore", protocol: "dex" }, /Dex has no --kind semaphore: leave out --protocol dex/],
        [{ kind: "shared", compare: true }, /Dex has no --kind shared: leave out --compare/]
      ] as const) {
        const error = yield* Effect.flip(flags.toSettings({ ...given, ...part }))
        assert.match(error.message, message)
      }
    })
  )
})

describe("turns", () => {
  it("are a warm-up and the measurement for a single protocol", () => {
    assert.deepStrictEqual(turnsOf({ protocols: ["dex"], seconds: 60 }), [
      { protocol: "dex", seconds: 3, warmUp: true },
      { protocol: "dex", seconds: 60, warmUp: false }
    ])
  })

  it("alternate, and add up to the duration for each of two, after both have warmed up", () => {
    const turns = turnsOf({ protocols: ["kubelock", "dex"], seconds: 10 })
    assert.deepStrictEqual(
      turns.map(({ protocol, seconds, warmUp }) => [protocol, seconds, warmUp]),
      [
        ["kubelock", 2, true],
        ["dex", 2, true],
        ["kubelock", 5, false],
        ["dex", 5, false],
        ["dex", 5, false],
        ["kubelock", 5, false]
      ]
    )
    for (const seconds of [1, 10, 30, 60]) {
      for (const wanted of ["kubelock", "dex"]) {
        const all = turnsOf({ protocols: ["kubelock", "dex"], seconds })
          .filter(({ protocol, warmUp }) => protocol === wanted && !warmUp)
          .map((turn) => turn.seconds)
        assert.closeTo(
          all.reduce((sum, one) => sum + one),
          seconds,
          0.001
        )
      }
    }
  })
})

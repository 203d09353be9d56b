import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Workers from "../../../src/cli/bench/harness/workers.ts"

interface Sum {
  readonly numbers: Int32Array
  readonly millis: number
}

const program = (source: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import * as Effect from "${import.meta.resolve("effect/Effect")}"
      import * as Workers from "${new URL("../../../src/cli/bench/harness/workers.ts", import.meta.url)}"
      ${source}
    `)}`
  )

const adder = program(`
  Workers.main(Workers.serve(({ millis, numbers }) => {
    if (numbers.length === 0) return Effect.fail({ message: "nothing to add" })
    numbers[0] += numbers[1]
    return Effect.as(Effect.sleep(millis), numbers[0])
  }))
`)

const start = (file: URL) => Workers.start<Sum, number>("the adder", () => Workers.thread(file))

describe("workers", () => {
  it.live("answer, several questions at a time, and share memory", () =>
    Effect.gen(function* () {
      const ask = yield* start(adder)
      const numbers = new Int32Array(new SharedArrayBuffer(8))
      numbers.set([1, 2])
      const order: Array<string> = []
      const [slow, fast] = yield* Effect.all(
        [
          Effect.tap(ask({ numbers, millis: 200 }), () => Effect.sync(() => order.push("slow"))),
          Effect.tap(ask({ numbers: Int32Array.of(5, 5), millis: 0 }), () => Effect.sync(() => order.push("fast")))
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([slow, fast, numbers[0]], [3, 10, 3])
      assert.deepStrictEqual(order, ["fast", "slow"])
    }).pipe(Effect.scoped)
  )

  it.live("say why they failed at a question, and go on", () =>
    Effect.gen(function* () {
      const ask = yield* start(adder)
      const error = yield* Effect.flip(ask({ numbers: Int32Array.of(), millis: 0 }))
      assert.strictEqual(error.message, "nothing to add")
      assert.strictEqual(yield* ask({ numbers: Int32Array.of(1, 1), millis: 0 }), 2)
    }).pipe(Effect.scoped)
  )

  it.live("fail all questions if they end", () =>
    Effect.gen(function* () {
      const ask = yield* start(program(`throw new Error("broken")`))
      const error = yield* Effect.flip(ask({ numbers: Int32Array.of(1, 1), millis: 0 }))
      assert.strictEqual(error.message, "the adder failed: broken")
    }).pipe(Effect.scoped)
  )
})

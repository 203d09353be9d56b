/** etcd is restored once, as `docs/guarantees.md` asks for it. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeRestore } from "./describeRestore.ts"
import * as Restore from "./restore.ts"

describeRestore(() => {
  it.live("with a bumped revision lets every fencing token grow, and the holder is told within its renewal", () =>
    Effect.gen(function* () {
      const restored = yield* Restore.play("bumped", 5, 15_000)
      assert.deepStrictEqual(Restore.problems("bumped", restored), [])
    })
  )
})

/** etcd is restored again and again: plainly, and as `docs/guarantees.md` asks for it. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeRestore } from "./describeRestore.ts"
import { record, repeatedly } from "./options.ts"
import * as Restore from "./restore.ts"

describeRestore(() => {
  it.live.each([
    ["with a bumped revision lets every fencing token grow, and the holder is told within its renewal", "bumped"],
    ["without one costs no more than an overlap until the holder's renewal, and tokens that go back", "plain"]
  ] as const)("%s", ([, how]) =>
    repeatedly(
      Effect.fnUntraced(function* (seed) {
        const restored = yield* Effect.scoped(Restore.play(how, seed))
        yield* record({ kind: `restore, ${how}`, seed, ...restored })
        assert.deepStrictEqual([seed, Restore.problems(how, restored)], [seed, []])
      })
    )
  )
})

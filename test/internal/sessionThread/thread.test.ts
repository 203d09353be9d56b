/** The thread as the main thread has it. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as thread from "../../../src/internal/sessionThread/thread.ts"
import { logged } from "../../utils/logged.ts"

const times = { ttl: Duration.seconds(10), renewDeadline: Duration.seconds(10), renewEvery: Duration.seconds(3) }

/** A session in a thread of `fakeThread.ts`. */
const open = Effect.fnUntraced(function* (identity: string) {
  const open = yield* thread.start({
    file: new URL("fakeThread.ts", import.meta.url),
    leases: { server: "", kubeConfig: { yaml: "" }, requestTimeout: 1000, clock: "server" },
    namespace: "jobs",
    maxStall: 1000
  })
  return yield* open({ identity, ...times }, () => {})
})

describe("a session in a thread", () => {
  it.live("that says nothing any more is told to be lost once it has run out", () =>
    Effect.gen(function* () {
      const { isValid, lost } = yield* open("says nothing")
      assert.strictEqual(yield* Effect.flip(lost), "Expired")
      assert.isFalse(isValid())
    }).pipe(Effect.scoped)
  )

  it.live("that gives it up without a word is lost at once, however long it would last", () =>
    Effect.gen(function* () {
      const { isValid, lost } = yield* open("gives up")
      assert.strictEqual(yield* Effect.flip(lost), "Expired")
      assert.isFalse(isValid())
    }).pipe(Effect.scoped, logged)
  )
})

/** Real API servers still answer the conversations as they were recorded. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import { comparable } from "../testing/conversations/comparable.ts"
import { type Answer, converse } from "../testing/conversations/converse.ts"
import { file, sendTo, talks } from "../testing/conversations/talks.ts"
import { describeServers } from "./describeServers.ts"

describeServers("the recorded conversation", (server) => {
  const { steps } = talks.find((talk) => talk.server === server)!
  it.live("gets the same answers again", () =>
    Effect.gen(function* () {
      const recorded: ReadonlyArray<Answer> = JSON.parse(readFileSync(file(server), "utf8")).answers
      const api = yield* Envtest.start({ server, fsync: false })
      const answers = yield* converse(steps, sendTo(api))
      assert.deepStrictEqual(answers.map(comparable), recorded.map(comparable))
    })
  )
})

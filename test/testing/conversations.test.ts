/**
 * The embedded server answers the conversations as the real servers did: status, reason, causes and the whole body.
 *
 * Left out is the wording of Go's JSON decoder, which changes from version to version.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import type { Answer } from "./conversations/converse.ts"
import { converse } from "./conversations/converse.ts"
import { comparable } from "./conversations/comparable.ts"
import { file, parse, talks } from "./conversations/talks.ts"
import { send } from "./http.ts"

describe("conversations", () => {
  for (const { server, steps } of talks) {
    it.live(`recorded on ${server} get the same answers`, () =>
      Effect.gen(function* () {
        const recorded: ReadonlyArray<Answer> = JSON.parse(readFileSync(file(server), "utf8")).answers
        const { url } = yield* ApiServer.ApiServer
        const answers = yield* converse(steps, ({ body, ...request }) =>
          Effect.map(send(url, body === undefined ? request : { ...request, body }), ({ status, text }) => ({
            status,
            body: parse(text)
          }))
        )
        assert.deepStrictEqual(
          answers.map(({ title }) => title),
          recorded.map(({ title }) => title),
          "npm run record"
        )
        for (const [index, answer] of answers.entries()) {
          const { title } = recorded[index]!
          assert.deepStrictEqual(comparable(answer), comparable(recorded[index]!), `${index}: ${title}`)
        }
      }).pipe(Effect.provide(ApiServer.layer({ namespaces: server === "kube-apiserver" ? [] : ["talk"] })))
    )
  }
})

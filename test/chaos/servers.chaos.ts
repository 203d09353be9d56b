/** Chaos on each installed API server, and the proof that the witness sees a violation. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeServers } from "../cluster/describeServers.ts"
import * as Arena from "./arena.ts"
import { run } from "./chaos.ts"
import * as Houses from "./houses.ts"
import { judge, kindsIn, options } from "./options.ts"
import * as settings from "./settings.ts"

describeServers("chaos", (server) => {
  const kinds = kindsIn(server)
  it.live.runIf(kinds.length > 0)("breaks no promise", () =>
    Effect.gen(function* () {
      yield* judge(yield* run({ server, kinds, ...(yield* options) }))
    })
  )

  it.live("lets the witness see the stale write of a holder that ignores its fencing token", () =>
    Effect.gen(function* () {
      const arena = yield* Arena.make({
        house: yield* Houses.open(server, 1),
        seed: 1,
        kinds: ["lock"],
        holders: [{ name: "careless", conduct: "careless" }, { name: "plain" }]
      })
      const { ledger } = arena.contested[0]!.witness
      const careless = arena.holders[0]!.process
      yield* until(arena, "the careless one is inside", () => ledger.inside === "careless")
      yield* careless.pause
      yield* until(arena, "the other is inside", () => ledger.inside === "plain")
      assert.strictEqual(ledger.findings.staleAccepted, 0)
      yield* careless.resume
      yield* until(arena, "a stale write was accepted", () => ledger.findings.staleAccepted > 0)
    })
  )
})

const until = ({ contested, holders }: Arena.Arena, what: string, condition: () => boolean) =>
  Effect.sleep("5 millis").pipe(
    Effect.repeat({ until: condition }),
    Effect.timeoutOrElse({
      duration: settings.recoveryOf(2),
      orElse: () =>
        Effect.map(
          Effect.forEach(holders, ({ process }) => process.log),
          (logs) =>
            assert.fail(
              [`never: ${what}`, JSON.stringify(contested[0]!.witness.ledger.findings.failures), ...logs].join("\n")
            )
        )
    })
  )

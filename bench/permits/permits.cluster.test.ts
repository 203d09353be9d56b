/** The benchmark of permits as a whole, in its shortest form. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Envtest } from "../../src/testing/index.ts"
import { wholeRun } from "../harness/wholeRun.ts"
import type { Measurements } from "./measurements.ts"

const program = new URL("permits.ts", import.meta.url)

const servers = await Effect.runPromise(Envtest.servers)

describe.skipIf(servers.length === 0)("npm run bench:permits", () => {
  it.live("measures permits and readers, and says what it left out", () =>
    Effect.gen(function* () {
      const { code, json, stderr } = yield* wholeRun(program, ["--quick"])
      assert.strictEqual(code, 0, stderr)
      const { redis, servers } = json() as Measurements
      for (const { cells } of servers) {
        for (const { rounds } of cells) {
          assert.isAbove(rounds[0]!.perSecond, 0)
          assert.strictEqual(rounds[0]!.overlaps, 0)
        }
      }
      if ("leftOut" in redis) assert.match(stderr, /SEMAPHORES ON REDIS ARE LEFT OUT/)
    }).pipe(Effect.scoped)
  )
})

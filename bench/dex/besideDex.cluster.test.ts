/** The benchmark beside Dex as a whole, in its shortest form. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Envtest } from "../../src/testing/index.ts"
import { wholeRun } from "../harness/wholeRun.ts"
import type { Measurements } from "./measurements.ts"

const program = new URL("besideDex.ts", import.meta.url)

const servers = await Effect.runPromise(Envtest.servers)

describe.skipIf(!servers.includes("kube-apiserver"))("npm run bench:dex", () => {
  it.live("kills a process with the lock, and follows the lock until kubelock has it", () =>
    Effect.gen(function* () {
      const { code, json, stderr } = yield* wholeRun(program, ["--quick"])
      assert.strictEqual(code, 0, stderr)
      const { crashes, mixes } = json() as Measurements
      assert.lengthOf(crashes, 2)
      for (const { chains } of crashes) assert.lengthOf(chains, 1)
      assert.isAbove(mixes[0]!.rounds[0]!.perSecond, 0)
      assert.strictEqual(mixes[0]!.rounds[0]!.overlaps, 0)
    }).pipe(Effect.scoped)
  )
})

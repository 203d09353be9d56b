/** The peers' benchmark as a whole, in its shortest form: it measures every kind that can run, and kubelock excludes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Envtest } from "../../src/testing/index.ts"
import { isAlone } from "../contest/kind.ts"
import { leftOut } from "../elsewhere/servers.ts"
import { wholeRun } from "../harness/wholeRun.ts"
import type { Measurements } from "./measurements.ts"
import * as plan from "./plan.ts"

const program = new URL("peers.ts", import.meta.url)

const servers = await Effect.runPromise(Envtest.servers)

describe.each([...servers])("npm run bench:peers on %s", (server) => {
  it.live(
    "measures every kind that can run",
    () =>
      Effect.gen(function* () {
        const flags = `--quick --contenders 2 --mixed-seconds 1 --server ${server}`.split(" ")
        const { code, json, stderr } = yield* wholeRun(program, flags)
        assert.strictEqual(code, 0, stderr)
        const { servers } = json() as Measurements
        const [{ cells, hold, mixed, threads, waiting, wire }] = servers as [Measurements["servers"][number]]
        assert.sameMembers(
          cells.map(({ kind }) => kind),
          [...plan.able(server, { ...plan.quick, absent: leftOut().map(({ kind }) => kind) })]
        )
        for (const { kind, rounds, wait } of [...cells, ...hold]) {
          for (const { acquisitions, errors, firstError, overlaps } of rounds) {
            assert.isAbove(acquisitions, 0, kind)
            assert.strictEqual(errors, 0, firstError)
            if (!isAlone(kind)) assert.strictEqual(overlaps, 0, kind)
          }
          assert.isNotEmpty(wait)
        }
        assert.lengthOf(threads, 2)
        assert.lengthOf(mixed!.kinds, 2)
        for (const { kind, requestsPerWaiterSecond, waiters } of waiting) {
          assert.strictEqual(waiters, plan.waiters, kind)
          assert.isNotNull(requestsPerWaiterSecond)
        }
        const bytesOf = (kind: string) => wire.find((figure) => figure.kind === kind)!.bytesPerCycle
        assert.isAbove(bytesOf("dex"), 4 * plan.wireObjectBytes)
        assert.isBelow(bytesOf("kubelock"), bytesOf("dex"))
      }).pipe(Effect.scoped),
    600_000
  )
})

/**
 * Runs a suite once on each real API server that is there.
 *
 * A suite that could not run must not look as if it had passed: where the binaries are missing it fails, and says what
 * is missing. `KUBELOCK_CLUSTER=optional` makes that a skipped test, for machines that cannot have them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Server } from "../../src/testing/envtest/Assets.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"

const found = await Effect.runPromise(Effect.result(Envtest.assets))

/** `describe`, once for each server. */
export const describeServers = (name: string, suite: (server: Server) => void): void => {
  if (Result.isSuccess(found)) {
    for (const { server } of found.success.servers) describe(`${name} on ${server}`, () => suite(server))
    return
  }
  const problem = `NOT RUN, no Kubernetes API server: ${found.failure.detail}`
  console.error(`\n  ${name}: ${problem}\n`)
  describe(name, () => {
    if (process.env["KUBELOCK_CLUSTER"] === "optional") it.skip(problem, () => {})
    else
      it("has a Kubernetes API server", () =>
        assert.fail(`${problem}. Get one with setup-envtest, or set KUBELOCK_CLUSTER=optional to skip.`))
  })
}

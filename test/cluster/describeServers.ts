/**
 * Runs a suite once on each real API server that is installed.
 *
 * A suite that cannot run must not look as if it passed: it fails and says which binaries are missing. On machines without
 * the binaries, `KUBELOCK_CLUSTER=optional` turns this into a skipped test.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Envtest } from "../../src/testing/index.ts"
import { describeMissing } from "../../tools/notRun.ts"

const found = await Effect.runPromise(Effect.result(Envtest.assets))

/** `describe`, once for each server, or only for those with a property. */
export const describeServers = (
  name: string,
  suite: (server: Envtest.Server) => void,
  isSuitable: (server: Envtest.Server) => boolean = () => true
): void => {
  if (Result.isSuccess(found)) {
    const servers = found.success.servers.map(({ server }) => server).filter(isSuitable)
    for (const server of servers) describe(`${name} on ${server}`, () => suite(server))
    return
  }
  const problem = `NOT RUN, no Kubernetes API server: ${found.failure.detail}`
  if (process.env["KUBELOCK_CLUSTER"] === "optional") return describeMissing(name, problem)
  const remedy = "Get one with setup-envtest, or set KUBELOCK_CLUSTER=optional to skip."
  describe(name, () => {
    it("has a Kubernetes API server", () => assert.fail(`${problem}. ${remedy}`))
  })
}

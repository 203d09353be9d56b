/** Holders that are suspended and killed, on a real API server. Leases last ten seconds, and so do these tests. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Envtest } from "../../src/testing/index.ts"
import * as elsewhere from "../elsewhere/servers.ts"
import * as Failures from "./failures.ts"
import * as plan from "./plan.ts"
import * as Tasks from "./tasks.ts"

const servers = await Effect.runPromise(Envtest.servers)

describe.skipIf(!servers.includes("kube-apiserver"))("holders that are suspended and killed", () => {
  it.live(
    "hear of it from kubelock, which frees nobody else's lock; Dex, etcdctl and redlock tell nobody",
    () =>
      Effect.gen(function* () {
        const api = yield* Envtest.start({ server: "kube-apiserver" })
        const absent = elsewhere.leftOut().map(({ kind }) => kind)
        const kinds = plan.able("kube-apiserver", { against: undefined, absent }, plan.failing)
        const { makeObject, taskOf } = yield* Tasks.make(api, kinds)
        const figures = yield* Failures.measure(kinds, (kind) =>
          Effect.map(makeObject(kind), (ids) => taskOf(kind, ids, { seconds: plan.failureSeconds }))
        )
        for (const { freedSuccessor, kind, killedAfter, takenAfter, workedOn } of figures) {
          assert.isNotNull(takenAfter, kind)
          assert.isNotNull(killedAfter, kind)
          if (kind === "kubelock") {
            assert.isNotNull(workedOn)
            assert.isFalse(freedSuccessor)
          }
          if (["dex", "etcdctl", "redlock"].includes(kind)) assert.isNull(workedOn, kind)
        }
      }).pipe(Effect.scoped),
    600_000
  )
})

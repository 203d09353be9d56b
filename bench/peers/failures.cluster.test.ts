/** Holders that are suspended and killed, on a real API server. Leases last ten seconds, and so do these tests. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Envtest } from "../../src/testing/index.ts"
import { isElsewhere, type Kind, resourceOf } from "../contest/kind.ts"
import type { Task } from "../contest/task.ts"
import * as elsewhere from "../elsewhere/servers.ts"
import * as Api from "../harness/api.ts"
import * as Connection from "../harness/connection.ts"
import * as Objects from "../harness/objects.ts"
import * as Failures from "./failures.ts"
import * as plan from "./plan.ts"

const namespace = "dex"

const servers = await Effect.runPromise(Envtest.servers)

describe.skipIf(!servers.includes("kube-apiserver"))("holders that are suspended and killed", () => {
  it.live(
    "hear of it from kubelock, which frees nobody else's lock; Dex, etcdctl and redlock tell nobody",
    () =>
      Effect.gen(function* () {
        const api = yield* Envtest.start({ server: "kube-apiserver" })
        const connection: Connection.Connection = { _tag: "KubeConfig", file: api.kubeConfigPath }
        const requests = yield* Effect.provideContext(Api.make, yield* Layer.build(Connection.layer(connection)))
        const absent = elsewhere.leftOut().map(({ kind }) => kind)
        const kinds = plan.able("kube-apiserver", { against: undefined, absent }, plan.failing)
        const others = yield* elsewhere.start(kinds.filter(isElsewhere), api.etcdUrl)
        const taskOf = Effect.fnUntraced(function* (kind: Kind) {
          const resource = resourceOf(kind)
          const task: Task = {
            kind,
            connection,
            address: isElsewhere(kind) ? others.addressOf(kind) : undefined,
            resource,
            namespace,
            ids: yield* Objects.make({ api: requests, resource, namespace }, 1),
            contenders: 1,
            first: 0,
            total: 1,
            holdMillis: 0,
            limit: 1,
            writers: 1,
            seconds: plan.failureSeconds,
            seed: "",
            sharedWithDex: false,
            warmUpCpuMillis: 0,
            settleSeconds: 0,
            records: undefined
          }
          return task
        })
        const figures = yield* Failures.measure(kinds, taskOf)
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

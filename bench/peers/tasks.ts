/** The tasks of contenders on one API server and beside it, and the objects that they lock. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Envtest } from "../../src/testing/index.ts"
import { isElsewhere, type Kind, resourceOf } from "../contest/kind.ts"
import { alone } from "../../src/cli/bench/contest/task.ts"
import type { Task } from "../contest/task.ts"
import * as elsewhere from "../elsewhere/servers.ts"
import * as Api from "../../src/cli/bench/harness/api.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as Objects from "../../src/cli/bench/harness/objects.ts"

/** The namespace that the servers are started with. */
export const namespace = "dex"

/** Connects to the API server, and starts the servers of the kinds that lock elsewhere. All ends with the scope. */
export const make = Effect.fnUntraced(function* (api: Envtest.ApiServerProcess, kinds: ReadonlyArray<Kind>) {
  const others = yield* elsewhere.start(kinds.filter(isElsewhere), api.etcdUrl)
  const connection: Connection.Connection = { _tag: "KubeConfig", file: api.kubeConfigPath }
  const requests = yield* Effect.provideContext(Api.make, yield* Layer.build(Connection.layer(connection)))

  return {
    others,
    connection,
    /** Each round has an object of its own, so that it inherits nothing from another. */
    makeObject: (kind: Kind, bytes?: number, count = 1) =>
      Objects.make({ api: requests, resource: resourceOf(kind), namespace }, count, bytes),
    taskOf: (kind: Kind, ids: ReadonlyArray<string>, part: Partial<Task> & Pick<Task, "seconds">): Task => ({
      ...alone,
      kind,
      connection,
      address: isElsewhere(kind) ? others.addressOf(kind) : undefined,
      resource: resourceOf(kind),
      namespace,
      ids,
      ...part
    })
  }
})

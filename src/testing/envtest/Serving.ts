/** When an API server serves, and what is installed in it at first: the CRD of Dex's RefreshToken, and a namespace `dex`. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Server } from "./Assets.ts"
import type * as Client from "./Client.ts"
import { EnvtestError } from "./EnvtestError.ts"
import type { Request } from "./Site.ts"

const namespace = "dex"

const crd = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "refreshtokens.dex.coreos.com" },
  spec: {
    group: "dex.coreos.com",
    names: { kind: "RefreshToken", listKind: "RefreshTokenList", plural: "refreshtokens", singular: "refreshtoken" },
    scope: "Namespaced",
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
      }
    ]
  }
}

/**
 * The waits of one API server. Each fails as soon as `died` does, and after a minute.
 *
 * - `ready`: it is ready, and serves RefreshTokens if they are installed.
 * - `install`: waits until it is ready, and installs what tests need. Answers the server's version.
 */
export interface Serving {
  readonly ready: Effect.Effect<void, EnvtestError>
  readonly install: Effect.Effect<string, EnvtestError>
}

export const make = (server: Server, request: Request, died: Effect.Effect<never, EnvtestError>): Serving => {
  const until = (step: string, ask: ReturnType<Request>, good: (reply: Client.Reply) => boolean) =>
    untilGood(server, step, ask, good).pipe(Effect.raceFirst(died))
  // /readyz of apiextensions-apiserver waits for Services, which it does not serve.
  const health = server === "kube-apiserver" ? "/readyz" : "/healthz"
  const healthy = until("becoming ready", request("GET", health), ({ status }) => status === 200)
  const served = until(
    "serving refreshtokens",
    request("GET", `/apis/dex.coreos.com/v1/namespaces/${namespace}/refreshtokens`),
    ({ status }) => status === 200
  )
  const create = (path: string, body: unknown) =>
    until(`POST ${path}`, request("POST", path, body), ({ status }) => status === 201 || status === 409)
  return {
    ready: Effect.andThen(healthy, Effect.asVoid(served)),
    install: Effect.gen(function* () {
      yield* healthy
      yield* create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
      yield* served
      if (server === "kube-apiserver") {
        yield* create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } })
      }
      const version = yield* until("GET /version", request("GET", "/version"), ({ status }) => status === 200)
      return String(version.body["gitVersion"])
    })
  }
}

/** Repeats a request until its reply is good. */
const untilGood = Effect.fnUntraced(function* (
  name: string,
  step: string,
  ask: ReturnType<Request>,
  good: (reply: Client.Reply) => boolean
) {
  let last = "no answer"
  const attempts = Effect.gen(function* () {
    while (true) {
      const reply = yield* Effect.result(Effect.timeout(ask, "5 seconds"))
      if (Result.isSuccess(reply) && good(reply.success)) return reply.success
      last = Result.isSuccess(reply)
        ? `${reply.success.status} ${JSON.stringify(reply.success.body)}`
        : reply.failure.message
      yield* Effect.sleep("50 millis")
    }
  })
  return yield* Effect.timeoutOrElse(attempts, {
    duration: "3 minutes",
    orElse: () =>
      new EnvtestError({ step: name, detail: `${step} takes over three minutes; the last answer was ${last}` })
  })
})

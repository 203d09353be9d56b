/**
 * A process that contends for one lock until it gets a signal (`contending.ts`). Its arguments are `flags` below.
 *
 * - `--unguarded`, `--careless`: its conduct.
 * - `--kind`: what it contends for (`settings.kinds`).
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schema from "effect/Schema"
import { parseArgs } from "node:util"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Resource from "../../src/Resource.ts"
import * as Dice from "../simulation/dice.ts"
import * as Acquiring from "./acquiring.ts"
import { contend } from "./contending.ts"
import * as settings from "./settings.ts"
import { Testimony } from "./testimony.ts"

const flags = parseArgs({
  options: {
    name: { type: "string", default: "holder" },
    kubeconfig: { type: "string", default: "" },
    id: { type: "string", default: "" },
    witness: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
    "long-stays": { type: "string", default: String(settings.longStays) },
    unguarded: { type: "boolean", default: false },
    careless: { type: "boolean", default: false },
    kind: { type: "string", default: "lock" }
  }
}).values

const encode = Schema.encodeEffect(Testimony)

/** Reports to the witness. Returns false if the witness refused a write. */
const tell = Effect.fnUntraced(function* (testimony: Testimony) {
  const body = yield* Effect.orDie(encode(testimony))
  const response = yield* HttpClientRequest.post(flags.witness).pipe(
    HttpClientRequest.bodyJsonUnsafe(body),
    HttpClient.execute,
    Effect.orDie
  )
  return response.status === 200
})

const main = Effect.gen(function* () {
  const acquire = yield* Acquiring.make({
    kind: flags.kind as settings.Kind,
    id: flags.id,
    identity: flags.name,
    resource: flags.kind === "session" ? Resource.configMap : Resource.refreshToken,
    dice: Dice.make(Number(flags.seed), `${flags.name}, permits`),
    ttl: settings.ttl,
    requestTimeout: settings.requestTimeout,
    patience: settings.patience
  })
  return yield* contend({
    name: flags.name,
    dice: Dice.make(Number(flags.seed), flags.name),
    longStays: Number(flags["long-stays"]),
    conduct: flags.careless ? "careless" : flags.unguarded ? "unguarded" : undefined,
    acquire,
    tell
  })
})

main.pipe(
  Effect.scoped,
  Effect.provide(KubernetesClient.layerKubeConfig({ file: flags.kubeconfig })),
  Effect.provide(FetchHttpClient.layer),
  NodeRuntime.runMain
)

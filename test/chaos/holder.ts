/**
 * A process that contends for locks until it gets a signal (`contending.ts`). Its arguments are `flags` below.
 *
 * - `--unguarded`, `--careless`: its conduct.
 * - `--kind` (`settings.kinds`), `--id`, `--witness`: what it contends for; all three once more for each further lock.
 * - `--thread`: a thread of its own renews its session.
 * - SIGUSR2 blocks its event loop for longer than the TTL.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { parseArgs } from "node:util"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Resource from "../../src/Resource.ts"
import * as Contender from "./contender.ts"
import * as settings from "./settings.ts"
import { tellTo } from "./telling.ts"

const flags = parseArgs({
  options: {
    name: { type: "string", default: "holder" },
    kubeconfig: { type: "string", default: "" },
    kind: { type: "string", default: ["lock"], multiple: true },
    id: { type: "string", default: [""], multiple: true },
    witness: { type: "string", default: [""], multiple: true },
    seed: { type: "string", default: "1" },
    "long-stays": { type: "string", default: String(settings.longStays) },
    unguarded: { type: "boolean", default: false },
    careless: { type: "boolean", default: false },
    thread: { type: "boolean", default: false }
  }
}).values

const blocked = new Int32Array(new SharedArrayBuffer(4))
process.on("SIGUSR2", () => void Atomics.wait(blocked, 0, 0, settings.stall))

const contendFor = (kind: settings.Kind, id: string, witness: string) => {
  let hurries = false
  return Contender.start({
    kind,
    id,
    name: flags.name,
    seed: Number(flags.seed),
    resource: kind === "session" || kind === "once" ? Resource.configMap : Resource.refreshToken,
    ttl: settings.ttl,
    requestTimeout: settings.requestTimeout,
    patience: settings.patience,
    thread: flags.thread,
    longStays: Number(flags["long-stays"]),
    hurries: () => hurries,
    conduct: flags.careless ? "careless" : flags.unguarded ? "unguarded" : undefined,
    tell: tellTo(witness, (is) => (hurries = is))
  })
}

const kinds = flags.kind as ReadonlyArray<settings.Kind>

Effect.forEach(kinds, (kind, place) => contendFor(kind, flags.id[place]!, flags.witness[place]!), {
  concurrency: "unbounded",
  discard: true
}).pipe(
  Effect.scoped,
  Effect.provide(KubernetesClient.layerKubeConfig({ file: flags.kubeconfig })),
  Effect.provide(FetchHttpClient.layer),
  NodeRuntime.runMain
)

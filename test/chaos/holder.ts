/**
 * A process that contends for one lock until it gets a signal (`contending.ts`). Its arguments are `flags` below.
 *
 * - `--unguarded`, `--careless`: its conduct.
 * - `--kind`: what it contends for (`settings.kinds`).
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { parseArgs } from "node:util"
import * as ElectionTiming from "../../src/ElectionTiming.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import * as Dice from "../simulation/dice.ts"
import { contend, type Held } from "./contending.ts"
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

const dice = Dice.make(Number(flags.seed), `${flags.name}, permits`)

const { semaphore: limit, shared: all } = settings.limits

const takePermits = Effect.suspend(() =>
  Semaphore.take(flags.id, { limit, permits: dice.chance(settings.takesAll) ? limit : 1 })
)

const readOrWrite = Effect.suspend((): Effect.Effect<Held, Lock.AcquireError, SharedLock.SharedLock | Scope.Scope> =>
  dice.chance(settings.takesAll)
    ? Effect.map(SharedLock.exclusive(flags.id), (held) => ({ ...held, permits: all }))
    : SharedLock.shared(flags.id)
)

const lead = Effect.map(LeaderElection.scoped(flags.id), (term): Held => ({
  ...term,
  holderId: term.identity
}))

const rounds = <E extends { readonly _tag: string }, R>(acquire: Effect.Effect<Held, E, R | Scope.Scope>) =>
  contend({
    name: flags.name,
    dice: Dice.make(Number(flags.seed), flags.name),
    longStays: Number(flags["long-stays"]),
    conduct: flags.careless ? "careless" : flags.unguarded ? "unguarded" : undefined,
    acquire,
    tell
  })

const policy = LockPolicy.make({
  ttl: Duration.millis(settings.ttl),
  waitSchedule: Schedule.spaced(Duration.millis(settings.pollInterval)).pipe(
    Schedule.upTo({ duration: settings.patience })
  )
})

const kubeConfig = { file: flags.kubeconfig }

const store = ObjectStoreKubernetes.layerKubeConfig({
  resource: Resource.refreshToken,
  kubeConfig,
  requestTimeout: Duration.millis(settings.requestTimeout)
})

const options = { policy, identity: flags.name }

const ElectionLive = LeaderElection.layer({
  identity: flags.name,
  namespace: "dex",
  timing: ElectionTiming.make({
    leaseDuration: settings.ttl,
    renewDeadline: settings.renewDeadline,
    retryPeriod: settings.ttl / 3
  })
}).pipe(Layer.provide(KubernetesClient.layerKubeConfig(kubeConfig)))

const loads = {
  lock: Effect.provide(rounds(Lock.scoped(flags.id)), Layer.provide(Lock.layer(options), store)),
  election: Effect.provide(rounds(lead), ElectionLive),
  semaphore: Effect.provide(rounds(takePermits), Layer.provide(Semaphore.layer(options), store)),
  shared: Effect.provide(rounds(readOrWrite), Layer.provide(SharedLock.layer(options), store))
} satisfies Record<settings.Kind, unknown>

loads[flags.kind as settings.Kind].pipe(Effect.provide(FetchHttpClient.layer), NodeRuntime.runMain)

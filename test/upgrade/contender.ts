/**
 * A process that contends for one lock of each of some kinds until it gets a signal:
 * `contender.ts NAME KUBECONFIG WITNESSES SEED LONG_STAYS`.
 *
 * The suite copies it into projects that have different versions of kubelock installed. So it uses only what all of them have.
 * WITNESSES is an object of JSON: a URL for each of these kinds. LONG_STAYS is the share of its stays that are long.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as kubelock from "kubelock"
import {
  ElectionTiming,
  KubernetesClient,
  LeaderElection,
  Lock,
  LockPolicy,
  ObjectStoreKubernetes,
  Once,
  RefreshOnce,
  Resource
} from "kubelock"
import { contend, type Held } from "../chaos/contending.ts"
import { limits, renewDeadlineOf, takesAll, ttl } from "../chaos/settings.ts"
import { tellTo } from "../chaos/telling.ts"
import * as Dice from "../simulation/dice.ts"

const [name = "", file = "", witnesses = "", seed = "", longStays = ""] = process.argv.slice(2)
const urls = JSON.parse(witnesses) as Readonly<
  Record<"configMap" | "dex" | "election" | "once" | "refresh" | "semaphore" | "session" | "shared", string>
>

const spend = (url: string, generation: number) =>
  HttpClientRequest.post(`${url}/refresh`).pipe(
    HttpClientRequest.bodyJsonUnsafe({ by: name, generation }),
    HttpClient.execute,
    Effect.orDie,
    Effect.flatMap(({ text }) => Effect.map(text, Number))
  )

const contendAt = <E extends { readonly _tag: string }, R>(
  url: string,
  acquire: Effect.Effect<Held, E, R | Scope.Scope>
) => {
  let hurries = false
  return contend({
    name,
    dice: Dice.make(Number(seed), `${name}/${url}`),
    acquire,
    longStays: Number(longStays),
    hurries: () => hurries,
    tell: tellTo(url, (is) => (hurries = is))
  })
}

const patient = { ttl, waitSchedule: LockPolicy.fixedPolls("100 millis", 600) } as const
const policy = LockPolicy.make(patient)
const lockOn = (resource: Resource.Resource, policyOfLock = policy) =>
  Lock.layer({ identity: name, policy: policyOfLock }).pipe(
    Layer.provide(ObjectStoreKubernetes.layer({ resource, namespace: "dex" }))
  )

const configMap = contendAt(urls.configMap, Lock.scoped("upgrade")).pipe(Effect.provide(lockOn(Resource.configMap)))

/** A version that knows no sessions has leases of its own. It must never have one beside a holder under a session. */
const session = contendAt(urls.session, Lock.scoped("upgrade-session")).pipe(
  Effect.provide(lockOn(Resource.configMap, LockPolicy.make({ ...patient, session: true })), { local: true })
)

const dex = contendAt(urls.dex, Lock.scoped("upgrade")).pipe(
  Effect.provide(lockOn(Resource.refreshToken), { local: true })
)

const election = contendAt(
  urls.election,
  Effect.map(LeaderElection.scoped("upgrade"), (term): Held => ({ ...term, holderId: term.identity }))
).pipe(
  Effect.provide(
    LeaderElection.layer({
      identity: name,
      namespace: "dex",
      timing: ElectionTiming.make({ leaseDuration: ttl, renewDeadline: renewDeadlineOf(ttl), retryPeriod: ttl / 3 })
    })
  )
)

/**
 * A version that knows no permits contends for the same objects with a lock, alone: as a holder of all permits. It must never have one
 * beside a holder of permits.
 */
const withoutPermits = (kind: "semaphore" | "shared") =>
  contendAt(
    urls[kind],
    Effect.map(Lock.scoped(`upgrade-${kind}`), (held): Held => ({ ...held, permits: limits[kind] }))
  ).pipe(Effect.provide(lockOn(Resource.configMap), { local: true }))

const configMaps = ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex" })
const dice = Dice.make(Number(seed), `${name}, permits`)

const semaphore =
  "Semaphore" in kubelock
    ? contendAt(
        urls.semaphore,
        Effect.suspend(() =>
          kubelock.Semaphore.take("upgrade-semaphore", {
            limit: limits.semaphore,
            permits: dice.chance(takesAll) ? limits.semaphore : 1
          })
        )
      ).pipe(Effect.provide(Layer.provide(kubelock.Semaphore.layer({ identity: name, policy }), configMaps)))
    : withoutPermits("semaphore")

const readOrWrite = Effect.suspend(
  (): Effect.Effect<Held, Lock.AcquireError, kubelock.SharedLock.SharedLock | Scope.Scope> =>
    dice.chance(takesAll)
      ? Effect.map(kubelock.SharedLock.exclusive("upgrade-shared"), (held) => ({ ...held, permits: limits.shared }))
      : kubelock.SharedLock.shared("upgrade-shared")
)
const shared =
  "SharedLock" in kubelock
    ? contendAt(urls.shared, readOrWrite).pipe(
        Effect.provide(Layer.provide(kubelock.SharedLock.layer({ identity: name, policy }), configMaps))
      )
    : withoutPermits("shared")

/**
 * A run is due each second. The witness counts those that are done twice. A process that loses its lease before it has recorded a run may
 * do that, so the lease is long.
 */
const period = 1000
const once = Clock.currentTimeMillis.pipe(
  Effect.flatMap((now) => {
    const due = Math.floor(now / period)
    return Once.run("upgrade-once", new Date(due * period).toISOString())(spend(urls.once, due))
  }),
  Effect.catch(() => Effect.void),
  Effect.andThen(Effect.sleep("150 millis")),
  Effect.forever,
  Effect.provide(lockOn(Resource.configMap, LockPolicy.make({ ...patient, ttl: "15 seconds" })), { local: true })
)

const Token = Schema.Struct({ generation: Schema.Int, until: Schema.Int })
const refresh = Effect.gen(function* () {
  const tokens = yield* RefreshOnce.make({
    schema: Token,
    identity: name,
    namespace: "dex",
    isFresh: ({ until }) => Effect.map(Clock.currentTimeMillis, (now) => now < until),
    refresh: (current) =>
      spend(urls.refresh, Option.match(current, { onNone: () => 0, onSome: ({ generation }) => generation })).pipe(
        Effect.map((generation) => ({ generation, until: Date.now() + 200 }))
      )
  })
  yield* tokens.get("upgrade-token").pipe(
    Effect.flatMap(({ until }) => Effect.sleep(Math.max(20, until - Date.now()))),
    Effect.catch(() => Effect.sleep("200 millis")),
    Effect.forever
  )
}).pipe(Effect.scoped)

const contenders = Object.entries({ configMap, dex, election, once, refresh, semaphore, session, shared }).flatMap(
  ([kind, contender]) => (kind in urls ? [contender] : [])
)

Effect.all(contenders, { concurrency: "unbounded", discard: true }).pipe(
  Effect.provide(KubernetesClient.layerKubeConfig({ file })),
  Effect.provide(FetchHttpClient.layer),
  NodeRuntime.runMain
)

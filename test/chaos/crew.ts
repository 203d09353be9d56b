/**
 * Contenders and users of a rotating token in this process, each with a client, a store and a lock of its own, and the ledger
 * of what they did. For faults that hit only the servers: they need no processes.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import * as Dice from "../simulation/dice.ts"
import { contend } from "./contending.ts"
import { type Findings, Ledger } from "./ledger.ts"
import { Provider, type Reuse } from "./provider.ts"
import * as settings from "./settings.ts"
import { now } from "./testimony.ts"

/** `ttl` and `requestTimeout` are in milliseconds. Their defaults are those of the chaos. */
export interface Options {
  readonly kubeConfig: string
  readonly seed: number
  readonly contenders?: number | undefined
  readonly refreshers?: number | undefined
  readonly ttl?: number | undefined
  readonly requestTimeout?: number | undefined
}

/** `entered` waits until every contender has entered after a moment. Answers false if that takes longer than `limit`. */
export interface Crew {
  readonly ledger: Ledger
  readonly provider: Provider
  readonly entered: (since: number, limit: number) => Effect.Effect<boolean>
}

/** The locked ConfigMap, and the Secret of the token. Each is made on first use. */
const id = "crew"
const tokenId = "crew-token"

/** Starts them. They end with the scope. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Crew, never, Scope.Scope> {
  const { contenders = 4, kubeConfig, refreshers = 2, seed, ttl = settings.ttl } = options
  const { requestTimeout = settings.requestTimeout } = options
  const ledger = new Ledger()
  const provider = new Provider()
  const client = KubernetesClient.layerKubeConfigYaml(kubeConfig)

  const policy = LockPolicy.make({
    ttl: Duration.millis(ttl),
    waitSchedule: Schedule.spaced(Duration.millis(settings.pollInterval)).pipe(
      Schedule.upTo({ duration: "20 seconds" })
    )
  })
  const names = Array.from({ length: contenders }, (_, index) => `contender-${index}`)
  for (const name of names) {
    const lock = Lock.layer({ policy, identity: name }).pipe(
      Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex", requestTimeout })),
      Layer.provide(client)
    )
    yield* contend({
      name,
      dice: Dice.make(seed, name),
      acquire: Lock.scoped(id),
      tell: (testimony) => Effect.sync(() => ledger.take(testimony))
    }).pipe(Effect.provide(lock, { local: true }), Effect.orDie, Effect.forkScoped)
  }

  for (let index = 0; index < refreshers; index++) {
    const name = `refresher-${index}`
    yield* Effect.gen(function* () {
      const tokens = yield* RefreshOnce.make({
        schema: Token,
        identity: name,
        namespace: "dex",
        requestTimeout,
        isFresh: ({ until }) => Effect.map(Clock.currentTimeMillis, (now) => now < until),
        refresh: (current) =>
          Effect.sync(() => ({
            generation: provider.spend(name, Option.match(current, { onNone: () => 0, onSome: generationOf })),
            until: Date.now() + settings.tokenLifetime
          }))
      })
      yield* tokens.get(tokenId).pipe(
        Effect.flatMap(({ until }) => Effect.sleep(Math.max(20, until - Date.now()))),
        Effect.catch(() => Effect.sleep("200 millis")),
        Effect.forever
      )
    }).pipe(Effect.scoped, Effect.provide(client, { local: true }), Effect.orDie, Effect.forkScoped)
  }

  return {
    ledger,
    provider,
    entered: (since, limit) =>
      Effect.sleep("20 millis").pipe(
        Effect.repeat({ until: () => names.every((name) => (ledger.lastEntered.get(name) ?? 0) > since) }),
        Effect.timeoutOption(limit),
        Effect.map(Option.isSome)
      )
  }
})

const Token = Schema.Struct({ generation: Schema.Int, until: Schema.Int })
const generationOf = ({ generation }: typeof Token.Type) => generation

/** The promises of exclusion that a run broke: one sentence each. */
export const broken = ({ exclusion, overlaps, staleAccepted }: Findings): ReadonlyArray<string> =>
  [
    staleAccepted === 0 ? "" : `${staleAccepted} stale writes were accepted`,
    exclusion.overlaps.length === 0 ? "" : `${exclusion.overlaps.length} pairs of locks were valid at the same time`,
    exclusion.disorder.length === 0
      ? ""
      : `${exclusion.disorder.length} fencing tokens were not greater than earlier ones`,
    overlaps["Unaccounted"] === undefined ? "" : `${overlaps["Unaccounted"]} holders never reported their loss`
  ].filter((sentence) => sentence !== "")

/** What a fault of the servers did to a crew. Times are in milliseconds. */
export interface Survival {
  /** The problems, one sentence each. */
  readonly broken: ReadonlyArray<string>
  /** For how long after the fault began somebody called the lock valid. */
  readonly validFor: number
  /** How long it took until everybody had had the lock, once the fault had ended. `undefined` if somebody did not. */
  readonly recovered: number | undefined
  /** How long it took until the token was rotated, once the fault had ended. `undefined` if it was not. */
  readonly rotated: number | undefined
  /** The values of the token that were spent twice. */
  readonly reuses: ReadonlyArray<Reuse>
  readonly losses: Findings["losses"]
}

/** A fault of the servers that lasts for a time, in milliseconds. */
export interface Fault<E, E2> {
  readonly begin: Effect.Effect<unknown, E>
  readonly end: Effect.Effect<unknown, E2>
  readonly millis: number
}

/** Lets a fault come, stay and end, and waits until everything has recovered by itself. */
export const survive = Effect.fnUntraced(function* <E, E2>(
  { entered, ledger, provider }: Crew,
  fault: Fault<E, E2>,
  limit: number
): Effect.fn.Return<Survival, E | E2, Scope.Scope> {
  yield* fault.begin
  const sound = now()
  yield* Effect.sleep(fault.millis)
  const validFor = Math.max(0, ...ledger.findings.stays.map(({ lastValid = sound }) => lastValid - sound))
  yield* fault.end
  const ended = now()
  const { rotations } = provider
  const rotated = yield* Effect.forkScoped(
    Effect.sleep("10 millis").pipe(
      Effect.repeat({ until: () => provider.rotations > rotations + 1 }),
      Effect.map(() => now() - ended),
      Effect.timeoutOption(limit)
    )
  )
  const isBack = yield* entered(ended, limit)
  const recovered = now() - ended
  const { losses, ...findings } = ledger.findings
  return {
    broken: broken({ losses, ...findings }),
    validFor,
    recovered: isBack ? recovered : undefined,
    rotated: Option.getOrUndefined(yield* Fiber.join(rotated)),
    reuses: provider.reuses,
    losses
  }
})

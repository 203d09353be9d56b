/**
 * Processes that contend for a lock of each kind, and users of a rotating token, all of them in this process, each with a client of its
 * own; and the ledgers of what they did. For faults that hit only the servers: they need no processes.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as Contender from "./contender.ts"
import { type Book, brokenBesides, type Findings, unserved, writtenAgain } from "./ledger.ts"
import { Provider, type Reuse } from "./provider.ts"
import * as settings from "./settings.ts"
import { bookOf } from "./shardLedger.ts"
import { now } from "./testimony.ts"

/** `ttl` and `requestTimeout` are in milliseconds. Their defaults are those of the chaos. `contenders` is how many want each lock. */
export interface Options {
  readonly kubeConfig: string
  readonly seed: number
  readonly contenders?: number | undefined
  readonly refreshers?: number | undefined
  readonly ttl?: number | undefined
  readonly requestTimeout?: number | undefined
}

/**
 * `names`: of the contenders. `ledgers`: one for each kind of lock. `entered` waits until every contender has been served with each lock after a moment; meanwhile their
 * stays are short. Answers false if that takes longer than `limit`.
 */
export interface Crew {
  readonly names: ReadonlyArray<string>
  readonly ledgers: Ledgers
  readonly provider: Provider
  readonly entered: (since: number, limit: number) => Effect.Effect<boolean>
}
export type Ledgers = Readonly<Record<settings.KindAtOnce, Book>>

/** The Secret of the token. It is made on first use, as the locked objects are. */
const tokenId = "crew-token"

/** Starts them, and waits until each has entered each lock. They end with the scope. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Crew, EnvtestError, Scope.Scope> {
  const { contenders = 4, kubeConfig, refreshers = 2, seed, ttl = settings.ttl } = options
  const { requestTimeout = settings.requestTimeout } = options
  const ledgers = Object.fromEntries(settings.kindsAtOnce.map((kind) => [kind, bookOf(kind)])) as unknown as Ledgers
  const provider = new Provider()
  const client = KubernetesClient.layerKubeConfigYaml(kubeConfig)

  const names = Array.from({ length: contenders }, (_, index) => `contender-${index}`)
  let hurries = false
  const contendFor = (kind: settings.KindAtOnce, place: number) =>
    Contender.start({
      kind,
      id: `crew-${kind}`,
      name: names[place]!,
      seed,
      resource: Resource.configMap,
      ttl,
      requestTimeout,
      patience: 20_000,
      thread: settings.hasThread(kind, place),
      hurries: () => hurries,
      tell: (testimony) => Effect.sync(() => ledgers[kind].take(testimony))
    })
  for (const place of names.keys()) {
    yield* Effect.forEach(settings.kindsAtOnce, (kind) => contendFor(kind, place), {
      concurrency: "unbounded",
      discard: true
    }).pipe(Effect.scoped, Effect.provide(client, { local: true }), Effect.orDie, Effect.forkScoped)
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

  const hurry = (is: boolean) => Effect.sync(() => (hurries = is))
  const entered = (since: number, limit: number) =>
    Effect.andThen(hurry(true), Effect.sleep("20 millis")).pipe(
      Effect.repeat({
        until: () => unserved(ledgers, names, since).length === 0
      }),
      Effect.timeoutOption(limit),
      Effect.map(Option.isSome),
      Effect.ensuring(hurry(false))
    )
  if (yield* entered(0, 120_000)) return { names, ledgers, provider, entered }
  const lacking = unserved(ledgers, names, 0).join(", ")
  return yield* new EnvtestError({ step: "crew", detail: `not had before any fault: ${lacking}` })
})

const Token = Schema.Struct({ generation: Schema.Int, until: Schema.Int })
const generationOf = ({ generation }: typeof Token.Type) => generation

/** The promises of exclusion, and those besides, that a run broke: one sentence each. */
export const broken = (findings: Findings): ReadonlyArray<string> => {
  const { exclusion, overlaps, staleAccepted } = findings
  return [
    ...brokenBesides(findings),
    staleAccepted === 0 ? "" : `${staleAccepted} stale writes were accepted`,
    exclusion.overlaps.length === 0 ? "" : `${exclusion.overlaps.length} pairs of locks were valid at the same time`,
    exclusion.disorder.length === 0
      ? ""
      : `${exclusion.disorder.length} fencing tokens were not greater than earlier ones`,
    overlaps["Unaccounted"] === undefined ? "" : `${overlaps["Unaccounted"]} holders never reported their loss`
  ].filter((sentence) => sentence !== "")
}

/** The same for each kind of lock. */
const brokenOf = (ledgers: Ledgers): ReadonlyArray<string> =>
  Object.entries(ledgers).flatMap(([kind, { findings }]) => broken(findings).map((sentence) => `${kind}: ${sentence}`))

/** When each of these was first served after a moment. */
const firstServed = ({ served }: Book, names: ReadonlyArray<string>, since: number): ReadonlyArray<number> =>
  names.map((one) => Math.min(...served.filter(({ at, name }) => name === one && at > since).map(({ at }) => at)))

/** What a fault of the servers did to a crew. Times are in milliseconds. */
export interface Survival {
  /** The problems, one sentence each. */
  readonly broken: ReadonlyArray<string>
  /** For how long after the fault began somebody called the lock valid. */
  readonly validFor: number
  /** How long it took until somebody wrote under a lock of each kind, once the fault had ended. `Infinity` if nobody did. */
  readonly resumed: number
  /** How long it took until everybody had had the lock of each kind, once the fault had ended. `Infinity` if somebody did not. */
  readonly recovered: Readonly<Record<string, number>>
  /** How long it took until the token was rotated, once the fault had ended. `undefined` if it was not. */
  readonly rotated: number | undefined
  /** The values of the token that were spent twice. */
  readonly reuses: ReadonlyArray<Reuse>
  readonly losses: Readonly<Record<string, Findings["losses"]>>
}

/** A fault of the servers that lasts for a time, in milliseconds. */
export interface Fault<E, E2> {
  readonly begin: Effect.Effect<unknown, E>
  readonly end: Effect.Effect<unknown, E2>
  readonly millis: number
}

/** Lets a fault come, stay and end, and waits until everything has recovered by itself. */
export const survive = Effect.fnUntraced(function* <E, E2>(
  { entered, ledgers, names, provider }: Crew,
  fault: Fault<E, E2>,
  limit: number
): Effect.fn.Return<Survival, E | E2, Scope.Scope> {
  yield* fault.begin
  const sound = now()
  yield* Effect.sleep(fault.millis)
  const validFor = Math.max(
    0,
    ...Object.values(ledgers).flatMap(({ findings }) =>
      findings.stays.map(({ lastValid = sound }) => lastValid - sound)
    )
  )
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
  yield* entered(ended, limit)
  const resumedAt = Object.values(ledgers).map(({ findings }) => writtenAgain(findings, ended))
  return {
    broken: brokenOf(ledgers),
    validFor,
    resumed: Math.max(...resumedAt) - ended,
    recovered: Object.fromEntries(
      Object.entries(ledgers).map(([kind, ledger]) => [kind, Math.max(...firstServed(ledger, names, ended)) - ended])
    ),
    rotated: Option.getOrUndefined(yield* Fiber.join(rotated)),
    reuses: provider.reuses,
    losses: Object.fromEntries(Object.entries(ledgers).map(([kind, { findings }]) => [kind, findings.losses]))
  }
})

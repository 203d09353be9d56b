/**
 * The proof from beginning to end: an API server, an OpenID provider, services in threads and processes, and the verdict
 * by the provider's own ledger.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { counted } from "../../src/cli/bench/harness/text.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Objects from "../../src/cli/bench/harness/objects.ts"
import { quantile, sorted, sum } from "../../src/cli/bench/harness/statistics.ts"
import * as Target from "../harness/target.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import * as Service from "./service.ts"
import * as Upstream from "./upstream.ts"

/** What the command line says. */
export interface Settings {
  readonly rounds: number
  readonly threads: number
  readonly processes: number
  readonly dex: boolean
  readonly lock: boolean
  readonly upstream: Duration.Duration
  readonly json: boolean
  readonly kubeconfig: Target.Options["kubeconfig"]
  readonly namespace: string | undefined
}

interface Percentiles {
  readonly p50: number
  readonly p99: number
}

/**
 * What was proved. `requestsAtStart` are those until each service had its first token, and `requestsPerRotation` those of all services
 * together for each rotation after that. `behindMillis`: from the provider's answer to the `get` that brings it, for each caller.
 */
export interface Verdict {
  readonly rotations: number
  readonly refreshes: number
  readonly refusals: number
  readonly revoked: number
  readonly callers: number
  readonly requestsAtStart: number
  readonly requestsPerRotation: number
  readonly getMillis: Percentiles
  readonly behindMillis: Percentiles
  readonly seconds: number
  readonly problems: ReadonlyArray<string>
}

/** How many fibers of each service ask for the token. */
export const callersPerService = 8

/** Runs the services until the token of the last round, and judges. Deletes what it made. */
export const prove = Effect.fnUntraced(function* (settings: Settings) {
  const { kubeconfig, namespace } = settings
  const location = Service.locationOf(settings.dex)
  const target = yield* Target.open({ kubeconfig, namespace, resource: location.resource.plural })
  const [id] = yield* Objects.make(target, 1)
  // What a load test writes there is not a token of ours.
  yield* Objects.request(target, "patch", id!, { [location.path[0]!]: null })
  const provider = yield* yield* Workers.start<void, string>("the provider", () =>
    Workers.thread(new URL("providerMain.ts", import.meta.url))
  ).pipe(Effect.map((ask) => ask()))
  const first = yield* Upstream.mint(provider)
  const jobs = Array.from({ length: settings.threads + settings.processes }, (_, index): Service.Job => ({
    service: `${index < settings.threads ? "thread" : "process"}-${index}`,
    way: wayOf(settings, index),
    connection: target.connection,
    dex: settings.dex,
    namespace: target.namespace,
    id: id!,
    provider,
    upstreamMillis: Duration.toMillis(settings.upstream),
    first,
    callers: callersPerService,
    rounds: settings.rounds,
    // A token that arrives later than it expires is got by nobody, and another rotation begins.
    lifetimeMillis: Service.lifetimeMillis + Duration.toMillis(settings.upstream) / 4,
    ttlMillis: 10_000,
    pollMillis: 5
  }))
  const began = yield* Clock.currentTimeMillis
  const outcomes = yield* Effect.forEach(
    jobs,
    (job, index) => Service.runIn(index < settings.threads ? Service.thread : Service.process, job),
    { concurrency: "unbounded" }
  )
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  return judge(outcomes, yield* Upstream.ledger(provider), seconds)
})

/** Proves and prints. Fails if a rotation was refreshed twice, or a grant was revoked. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const verdict = yield* prove(settings).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
  yield* settings.json
    ? Effect.andThen(Console.error(sentence(verdict)), Console.log(json(settings, verdict)))
    : Console.log([...figures(settings, verdict), "", sentence(verdict)].join("\n"))
  if (!isRight(verdict)) return yield* new LoadError({ message: "the value was not refreshed exactly once" })
})

/** One refresh for each rotation, nothing refused, nothing revoked, and no service ended early. */
export const isRight = (verdict: Verdict): boolean =>
  verdict.revoked === 0 &&
  verdict.refusals === 0 &&
  verdict.refreshes === verdict.rotations &&
  verdict.problems.length === 0

// With Dex, every second service is Dex.
const wayOf = ({ dex, lock }: Settings, index: number): Service.Job["way"] =>
  !lock ? "none" : dex && index % 2 === 1 ? "dex" : "kubelock"

const judge = (outcomes: ReadonlyArray<Service.Outcome>, ledger: Upstream.Ledger, seconds: number): Verdict => {
  const rotations = Math.max(...outcomes.map(({ rotation }) => rotation))
  return {
    rotations,
    refreshes: ledger.refreshes.length,
    refusals: ledger.refusals.length,
    revoked: ledger.revoked,
    callers: outcomes.length * callersPerService,
    requestsAtStart: sum(outcomes.map(({ first }) => first.requests)),
    requestsPerRotation: Number(sum(outcomes.map(requestsPerRotation)).toFixed(2)),
    getMillis: percentiles(outcomes.flatMap(({ millis }) => millis)),
    behindMillis: percentiles(outcomes.flatMap(({ behindMillis }) => behindMillis)),
    seconds,
    problems: outcomes.flatMap(({ problem, service }) => (problem === null ? [] : [`${service}: ${problem}`]))
  }
}

const requestsPerRotation = ({ first, requests, rotation }: Service.Outcome): number =>
  rotation === first.rotation ? 0 : (requests - first.requests) / (rotation - first.rotation)

const percentiles = (samples: ReadonlyArray<number>): Percentiles => {
  const millis = sorted(samples)
  const at = (share: number) => Number((quantile(millis, share) ?? 0).toFixed(3))
  return { p50: at(0.5), p99: at(0.99) }
}

const json = (settings: Settings, verdict: Verdict): string => {
  const { behindMillis, callers, getMillis, refreshes, requestsAtStart, requestsPerRotation, revoked } = verdict
  return JSON.stringify({
    rounds: settings.rounds,
    refreshes,
    revoked,
    callers,
    requestsAtStart,
    requestsPerRotation,
    getMillis,
    behindMillis
  })
}

const figures = (settings: Settings, verdict: Verdict): ReadonlyArray<string> => [
  `${counted(settings.threads, "thread")} and ${counted(settings.processes, "process")} of ${callersPerService} callers, ${settings.lock ? (settings.dex ? "half of them Dex" : "kubelock") : "no lock"}`,
  `${counted(verdict.rotations, "rotation")} in ${verdict.seconds.toFixed(1)} s`,
  `${verdict.requestsPerRotation} API requests for each rotation, by all services together, after ${verdict.requestsAtStart} until each had its first token`,
  `get: p50 ${verdict.getMillis.p50} ms, p99 ${verdict.getMillis.p99} ms`,
  `from the provider's answer to the get that brings it: p50 ${verdict.behindMillis.p50} ms, p99 ${verdict.behindMillis.p99} ms`,
  ...verdict.problems
]

const sentence = (verdict: Verdict): string =>
  isRight(verdict)
    ? `REFRESHED EXACTLY ONCE: the provider saw ${counted(verdict.refreshes, "refresh")} for ${counted(verdict.rotations, "rotation")}, and revoked no grant.`
    : `NOT REFRESHED ONCE: the provider saw ${counted(verdict.refreshes, "refresh")} for ${counted(verdict.rotations, "rotation")}, refused ${verdict.refusals}, and revoked ${counted(verdict.revoked, "grant")} after ${verdict.seconds.toFixed(1)} s.`

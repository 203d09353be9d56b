/**
 * The proof from beginning to end: an API server, an OpenID provider, services in threads and processes, and the verdict
 * by the provider's own ledger.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import * as exchanges from "../../src/internal/kubernetes/apiClient.ts"
import * as requests from "../../src/internal/kubernetes/encode.ts"
import type * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import { LoadError } from "../loadError.ts"
import * as Objects from "../objects.ts"
import * as Target from "../target.ts"
import type { Job, Outcome, Way } from "./job.ts"
import type { Ledger } from "./ledger.ts"
import * as Service from "./service.ts"
import * as Spawn from "./spawn.ts"
import * as Upstream from "./upstream.ts"

/** What the command line says. */
export interface Settings {
  readonly rounds: number
  readonly threads: number
  readonly processes: number
  readonly dex: boolean
  readonly lock: boolean
  readonly json: boolean
  readonly kubeconfig: Target.Options["kubeconfig"]
  readonly namespace: string | undefined
}

/** What came of it. */
export interface Verdict {
  readonly rotations: number
  readonly refreshes: number
  readonly refusals: number
  readonly revoked: number
  readonly callers: number
  readonly requestsPerRotation: number
  readonly getMillis: { readonly p50: number; readonly p99: number }
  readonly seconds: number
  readonly problems: ReadonlyArray<string>
}

/** How many fibers of each service ask for the token. */
export const callersPerService = 8

/** Runs the services until the token of the last round, and judges. Whatever was made is deleted. */
export const prove = Effect.fnUntraced(function* (settings: Settings) {
  const { kubeconfig, namespace } = settings
  const place = Service.placeOf(settings.dex)
  const target = yield* Target.open({ kubeconfig, namespace, resource: place.resource.plural })
  const [id] = yield* Objects.make(target, 1)
  yield* empty(target, id!, place.path)
  const provider = yield* Spawn.provider
  const first = Redacted.value(yield* Upstream.mint(provider))
  const jobs = Array.from({ length: settings.threads + settings.processes }, (_, index): Job => ({
    service: `${index < settings.threads ? "thread" : "process"}-${index}`,
    way: wayOf(settings, index),
    connection: target.connection,
    dex: settings.dex,
    namespace: target.namespace,
    id: id!,
    provider,
    first,
    callers: callersPerService,
    rounds: settings.rounds,
    lifetime: Service.lifetime,
    ttl: Duration.seconds(10),
    poll: Duration.millis(5)
  }))
  const began = yield* Clock.currentTimeMillis
  const outcomes = yield* Effect.forEach(
    jobs,
    (job, index) => (index < settings.threads ? Spawn.thread : Spawn.process)(job),
    { concurrency: "unbounded" }
  )
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  return judge(outcomes, yield* Upstream.ledger(provider), seconds)
})

// What a load test puts there is no token of ours.
const empty = Effect.fnUntraced(function* (target: Target.Target, id: string, [field]: RefreshOnce.Location["path"]) {
  const { exchange, namespace, resource } = target
  const path = Resource.objectPath(resource, namespace, id)
  const request = requests.withJson("PATCH", path, { [field]: null }, "application/merge-patch+json")
  const about = { id, verb: "patch", object: Resource.describe(resource, namespace, id) }
  yield* Effect.flatMap(exchange.request(request, about), (answer) => exchanges.snapshotOf(answer, about))
})

/** Proves and tells. Fails where a rotation was refreshed twice, or a grant was revoked. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const verdict = yield* prove(settings).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
  yield* settings.json
    ? Effect.andThen(Console.error(sentence(verdict)), Console.log(json(settings, verdict)))
    : Console.log([...figures(settings, verdict), "", sentence(verdict)].join("\n"))
  if (!isRight(verdict)) return yield* new LoadError({ message: "the value was not refreshed exactly once" })
})

/** One refresh for each rotation, nothing refused, nothing revoked, nobody gave up. */
export const isRight = (verdict: Verdict): boolean =>
  verdict.revoked === 0 &&
  verdict.refusals === 0 &&
  verdict.refreshes === verdict.rotations &&
  verdict.problems.length === 0

// Of every two services one is Dex where Dex takes part.
const wayOf = ({ dex, lock }: Settings, index: number): Way =>
  !lock ? "none" : dex && index % 2 === 1 ? "dex" : "kubelock"

const judge = (outcomes: ReadonlyArray<Outcome>, ledger: Ledger, seconds: number): Verdict => {
  const rotations = Math.max(...outcomes.map(({ rotation }) => rotation))
  const millis = outcomes.flatMap((outcome) => outcome.millis).toSorted((a, b) => a - b)
  const at = (share: number) => Number((millis[Math.max(0, Math.ceil(millis.length * share) - 1)] ?? 0).toFixed(3))
  const requests = outcomes.reduce((sum, outcome) => sum + outcome.requests, 0)
  return {
    rotations,
    refreshes: ledger.refreshes.length,
    refusals: ledger.refusals.length,
    revoked: ledger.revoked,
    callers: outcomes.length * callersPerService,
    requestsPerRotation: rotations === 0 ? 0 : Number((requests / rotations).toFixed(2)),
    getMillis: { p50: at(0.5), p99: at(0.99) },
    seconds,
    problems: outcomes.flatMap(({ problem, service }) => (problem === null ? [] : [`${service}: ${problem}`]))
  }
}

const json = (settings: Settings, verdict: Verdict): string => {
  const { callers, getMillis, refreshes, requestsPerRotation, revoked } = verdict
  return JSON.stringify({ rounds: settings.rounds, refreshes, revoked, callers, requestsPerRotation, getMillis })
}

const figures = (settings: Settings, verdict: Verdict): ReadonlyArray<string> => [
  `${settings.threads} threads and ${settings.processes} processes of ${callersPerService} callers, ${settings.lock ? (settings.dex ? "half of them Dex" : "kubelock") : "no lock"}`,
  `${verdict.rotations} rotations in ${verdict.seconds.toFixed(1)} s`,
  `${verdict.requestsPerRotation} API requests for each rotation, by all services together`,
  `get: p50 ${verdict.getMillis.p50} ms, p99 ${verdict.getMillis.p99} ms`,
  ...verdict.problems
]

const sentence = (verdict: Verdict): string =>
  isRight(verdict)
    ? `REFRESHED EXACTLY ONCE: the provider saw ${verdict.refreshes} refreshes for ${verdict.rotations} rotations, and revoked no grant.`
    : `NOT REFRESHED ONCE: the provider saw ${verdict.refreshes} refreshes for ${verdict.rotations} rotations, refused ${verdict.refusals}, and revoked ${verdict.revoked} grants after ${verdict.seconds.toFixed(1)} s.`

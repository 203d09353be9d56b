/**
 * Services that are killed and suspended while they refresh, era by era. Each era has a grant of its own. It ends with the
 * grant or after its time, and then says how the grant was lost.
 */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type { ChildProcess } from "node:child_process"
import * as refreshValue from "../../src/internal/refresh/location.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import * as Provider from "./provider.ts"
import * as Service from "./service.ts"
import * as Upstream from "./upstream.ts"
import type { Way } from "./ways.ts"

/**
 * Where to play, how many eras of which length, and the seed of all chance. In every other era a crash strikes between the
 * provider's answer and the write. `way` is that of kubelock by default.
 */
export interface Options {
  readonly way?: Way | undefined
  readonly connection: Connection.Connection
  readonly namespace: string
  readonly eras: number
  readonly millis: number
  readonly seed: number
}

/**
 * How an era went: how many refreshes there were, how many signals the services got, how the grant was lost, and what the
 * services printed.
 *
 * `LeaseRanOut`: another service took the lock over from the one that had refreshed and had not written yet, since its lease
 * had expired without a signal. That happens to a process that a busy machine keeps waiting for longer than its lease.
 */
export interface Era {
  readonly refreshes: number
  readonly injections: number
  readonly lost: "No" | "CrashBetweenAnswerAndWrite" | "LeaseRanOut" | "Otherwise"
  readonly printed: string
}

const services = 3
const ttl = 1000
/** Longer than the lease, its rounding, the grace, and the uncertainty about the clock of the server. */
const pause = 5000

interface Injection {
  readonly service: string
  readonly signal: "SIGKILL" | "SIGSTOP"
  readonly at: number
}

/** Starts a service as a process, which is killed when the scope closes. */
const start = Effect.fnUntraced(function* (job: Service.Job, onPrinted: (text: string) => void) {
  const child = Service.process("pipe")
  child.stderr!.on("data", (chunk) => onPrinted(String(chunk)))
  const ask = yield* Workers.start<Service.Job, Service.Outcome>(job.service, () => child)
  yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
  yield* Effect.forkScoped(Effect.ignore(ask(job)))
  return child
})

/** Plays all eras. */
export const play = (options: Options) =>
  Effect.gen(function* () {
    const running = new Map<string, ChildProcess>()
    const injections: Array<Injection> = []
    let strike = false

    const inject = (service: string, signal: Injection["signal"]) => {
      const child = running.get(service)
      if (child === undefined || !child.kill(signal)) return
      injections.push({ service, signal, at: Date.now() })
      if (signal === "SIGKILL") running.delete(service)
    }

    const provider = yield* Provider.start((service) => {
      if (!strike) return
      strike = false
      inject(service, "SIGKILL")
    })

    const value = refreshValue.make(["data", "token"], Upstream.Token)
    const store = yield* ObjectStoreKubernetes.make({
      resource: Resource.secret,
      namespace: options.namespace,
      content: true
    })
    const storedToken = (id: string) =>
      store.read(id).pipe(
        Effect.flatMap(({ content }) => value.read(content ?? {})),
        Effect.map(
          Option.match({ onNone: () => undefined, onSome: ({ refresh }) => Upstream.digest(Redacted.value(refresh)) })
        ),
        Effect.orDie
      )

    const era = (number: number): Effect.Effect<Era, Upstream.Unreachable, HttpClient.HttpClient> =>
      Effect.scoped(
        Effect.gen(function* () {
          const first = yield* Upstream.mint(provider)
          const id = `refresh-chaos-${process.pid}-${options.way ?? "kubelock"}-${number}`
          // Only kubelock makes what is missing.
          if (options.way !== undefined) yield* Effect.orDie(store.create(id, {}))
          let printed = ""
          let incarnation = 0
          const startIn = (slot: number) =>
            Effect.gen(function* () {
              const service = `era-${number}-${slot}-${++incarnation}`
              const job: Service.Job = {
                service,
                way: options.way ?? "kubelock",
                connection: options.connection,
                dex: false,
                namespace: options.namespace,
                id,
                provider,
                first,
                callers: 4,
                rounds: 1_000_000,
                upstreamMillis: 0,
                lifetimeMillis: Service.lifetimeMillis,
                ttlMillis: ttl,
                pollMillis: 20
              }
              const started = yield* start(job, (text) => (printed += text))
              started.once("exit", () => running.delete(service))
              running.set(service, started)
            })
          for (let slot = 0; slot < services; slot++) yield* startIn(slot)

          const ledgerOfEra = Effect.map(Upstream.ledger(provider), ({ refreshes, refusals }) => ({
            refreshes: refreshes.filter(({ service }) => service.startsWith(`era-${number}-`)),
            refusals: refusals.filter(({ service }) => service.startsWith(`era-${number}-`))
          }))
          const before = injections.length
          // An era begins once the services are under way, however long the machine takes to start them.
          let ledger = yield* Effect.repeat(Effect.delay(ledgerOfEra, "50 millis"), {
            until: ({ refreshes, refusals }) => refreshes.length >= 5 || refusals.length > 0
          })
          const until = Date.now() + options.millis
          while (Date.now() < until && ledger.refusals.length === 0) {
            yield* Effect.sleep(yield* Random.nextIntBetween(200, 600))
            ledger = yield* ledgerOfEra
            if (number % 2 === 1 && ledger.refreshes.length < 100) strike = true
            if (running.size === 0) continue
            const victim = [...running.keys()][yield* Random.nextIntBetween(0, running.size - 1)]!
            if (yield* Random.nextBoolean) {
              inject(victim, "SIGKILL")
            } else {
              inject(victim, "SIGSTOP")
              yield* Effect.forkScoped(
                Effect.andThen(
                  Effect.sleep(pause),
                  Effect.sync(() => running.get(victim)?.kill("SIGCONT"))
                )
              )
            }
            while (running.size < services) yield* startIn(running.size)
          }
          strike = false
          const stored = yield* storedToken(id)
          for (const child of running.values()) child.kill("SIGCONT")
          yield* Effect.sleep("1 second")
          ledger = yield* ledgerOfEra
          return {
            refreshes: ledger.refreshes.length,
            injections: injections.length - before,
            lost: account(ledger, injections, stored, printed),
            printed
          } satisfies Era
        })
      )

    const eras: Array<Era> = []
    for (let number = 0; number < options.eras; number++) eras.push(yield* era(number))
    return eras
  }).pipe(
    Effect.scoped,
    Random.withSeed(options.seed),
    Effect.provide(Layer.merge(FetchHttpClient.layer, Connection.layer(options.connection)))
  )

/** How a grant was lost: did the service that first spent the refused token fail to write what it got for it? */
const account = (
  { refreshes, refusals }: Pick<Upstream.Ledger, "refreshes" | "refusals">,
  injections: ReadonlyArray<Injection>,
  stored: string | undefined,
  printed: string
): Era["lost"] => {
  const [refusal] = refusals
  if (refusal === undefined) return "No"
  const spender = refreshes.find(({ spent }) => spent === refusal.token)
  if (spender === undefined) return "Otherwise"
  const struck = injections.find(
    ({ at, service, signal }) =>
      service === spender.service &&
      at >= spender.at - slack &&
      at <= Math.min(refusal.at, spender.at + writing) &&
      // A suspended process writes when it continues, unless another process has written.
      (stored === spender.spent || (signal === "SIGSTOP" && stored === spender.issued))
  )
  if (struck !== undefined) return "CrashBetweenAnswerAndWrite"
  return printed.includes(`Its holder was ${spender.service}/`) ? "LeaseRanOut" : "Otherwise"
}

// A signal may be sent while the answer of the provider is on its way. The write takes no longer than `writing`.
const slack = 100
const writing = 1000

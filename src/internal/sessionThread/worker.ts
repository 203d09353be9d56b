/** The thread that renews sessions: the file that it runs. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Formatter from "effect/Formatter"
import type { Severity } from "effect/LogLevel"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import { parentPort, workerData } from "node:worker_threads"
import * as KubernetesClient from "../../KubernetesClient.ts"
import * as LockError from "../../LockError.ts"
import { ObjectStore } from "../../ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../ObjectStoreKubernetes.ts"
import * as Resource from "../../Resource.ts"
import { retriesPerInterval } from "../protocol/holding.ts"
import * as answers from "../session/answers.ts"
import * as session from "../session/session.ts"
import * as sessionLease from "../session/sessionLease.ts"
import type { Open, SessionNews, Start, ThreadNews } from "./messages.ts"
import * as sharedTimes from "./sharedTimes.ts"

const { leases, life, maxStall } = workerData as Start

const main = sharedTimes.signsOfLife(life)

const mainThread = parentPort!

const tell = (news: ThreadNews): void => mainThread.postMessage(news, [])

const logger = Logger.make(({ fiber, logLevel, message }) =>
  tell({
    _tag: "Logged",
    level: logLevel as Severity,
    message: [message].flat().map((part) => (typeof part === "string" ? part : Formatter.format(part))),
    annotations: fiber.getRef(References.CurrentLogAnnotations)
  })
)

// Renews a session for as long as the main thread lives. It counts from when a renewal was sent, as the lease does.
const renewing = Effect.fnUntraced(function* (
  { renewEvery }: Open,
  { renew }: session.Session,
  publish: Effect.Effect<void>,
  tellRenewed: Effect.Effect<void>
) {
  let pause = renewEvery
  let wasSilent = false
  for (;;) {
    yield* Effect.sleep(pause)
    const isSilent = main.silence() > maxStall
    if (isSilent && !wasSilent) yield* Effect.logWarning(silent)
    wasSilent = isSilent
    const [took, isRenewed] = yield* Effect.timed(isSilent ? Effect.succeed(false) : renew)
    yield* publish
    if (isRenewed) yield* tellRenewed
    pause = Math.max(0, (isRenewed ? renewEvery : renewEvery / retriesPerInterval) - Duration.toMillis(took))
  }
})

const silent = `The event loop of this process has been blocked for ${Duration.format(Duration.millis(maxStall))}. Its session is not renewed until it goes on.`

// Opens a session and keeps it until it is lost. When it is interrupted, it ends the session in order.
const keep = Effect.fnUntraced(
  function* (open: Open) {
    const { identity, namespace, port, validity: memory } = open
    const [ttl, renewDeadline] = [Duration.millis(open.ttl), Duration.millis(open.renewDeadline)]
    const validity = sharedTimes.validity(memory)
    const news = (news: SessionNews) => Effect.sync(() => port.postMessage(news))

    const sessions = yield* session.make({ namespace, identity, ttl, renewDeadline, renewEvery: false })
    const opened = yield* sessions.open
    const publish = Effect.sync(() => {
      if (opened.isValid()) validity.relyFor(opened.remaining)
    })
    yield* publish
    yield* news({ _tag: "Opened", session: sessionLease.format(opened.reference) })
    const lost = Effect.tapError(opened.lost, ({ reason }) => {
      validity.end()
      return news({ _tag: "Lost", reason })
    })
    yield* Effect.raceFirst(renewing(open, opened, publish, news({ _tag: "Renewed" })), lost)
  },
  (keeping, open) =>
    keeping.pipe(
      Effect.scoped,
      Effect.provideServiceEffect(ObjectStore, storeFor(open)),
      Effect.catchTag("LockLost", () => Effect.void),
      Effect.catch((error) =>
        Effect.sync(() =>
          open.port.postMessage({ _tag: "Failed", error: Schema.encodeSync(LockError.StoreError)(error) }, [])
        )
      )
    )
)

// The Leases. The main thread has to know what others have broken of its session.
const storeFor = ({ namespace, port }: Open) =>
  Effect.map(
    ObjectStoreKubernetes.make({
      resource: Resource.lease,
      namespace,
      createIfMissing: true,
      requestTimeout: leases.requestTimeout,
      clock: leases.clock
    }),
    (store) =>
      answers.heard(store, (name, lease) =>
        Effect.sync(() => {
          if (sessionLease.brokenOn(lease).length > 0) port.postMessage({ _tag: "Broken", name, lease })
        })
      )
  )

const serve = (open: Open) => {
  const { port } = open
  const ended = Deferred.makeUnsafe<void>()
  for (const event of ["message", "close"]) port.on(event, () => Deferred.doneUnsafe(ended, Effect.void))
  return Effect.ensuring(
    Effect.raceFirst(keep(open), Deferred.await(ended)),
    Effect.sync(() => port.close())
  )
}

const serveAll = Effect.gen(function* () {
  const { server } = yield* KubernetesClient.KubernetesClient
  if (server !== leases.server) {
    return tell({ _tag: "Refused", detail: `its kubeconfig now names another server, ${JSON.stringify(server)}` })
  }
  const fork = yield* FiberSet.makeRuntime<KubernetesClient.KubernetesClient>()
  mainThread.on("message", (open: Open) => fork(serve(open)))
  main.showClock()
  tell({ _tag: "Ready" })
  return yield* Effect.never
}).pipe(Effect.scoped)

const { kubeConfig } = leases
const client =
  "yaml" in kubeConfig
    ? KubernetesClient.layerKubeConfigYaml(kubeConfig.yaml)
    : KubernetesClient.layerKubeConfig(kubeConfig)

serveAll.pipe(
  Effect.provide(client),
  Effect.catch(({ detail }) =>
    Effect.sync(() => tell({ _tag: "Refused", detail: `its kubeconfig cannot be used: ${detail}` }))
  ),
  Effect.provide(Logger.layer([logger])),
  Effect.runFork
)

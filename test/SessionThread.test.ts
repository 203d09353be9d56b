/**
 * Sessions that a thread of its own renews. The API server is in this process. Where an event loop is blocked, it is that of another one.
 */
import { KubeConfig } from "@kubernetes/client-node"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Worker } from "node:worker_threads"
import * as leaseSpec from "../src/internal/election/leaseSpec.ts"
import * as sessionLease from "../src/internal/session/sessionLease.ts"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as LockMetrics from "../src/LockMetrics.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockQueue from "../src/LockQueue.ts"
import * as LockRecord from "../src/LockRecord.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as ObjectStoreMemory from "../src/ObjectStoreMemory.ts"
import * as Resource from "../src/Resource.ts"
import * as SessionThread from "../src/SessionThread.ts"
import { ApiServer } from "../src/testing/index.ts"
import { run } from "./utils/installedPackage.ts"
import { root } from "./utils/publicModules.ts"
import { contend } from "./utils/contend.ts"
import { logged } from "./utils/logged.ts"
import * as stalls from "./sessionThread/stalls.ts"

describe.concurrent("a process whose event loop is blocked", () => {
  const ttl = 3000

  // Up to which TTL the machine may be too busy to renew every third of it.
  const longest = 24_000

  layer(ApiServer.layer(), { excludeTestServices: true })((it) => {
    it.effect("keeps its lock for longer than the TTL", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        const isKept = (ttl: number) =>
          stalls.isKept(kubeConfig, { ttl, maxStall: 60_000, blockedFor: 2 * ttl + 1000, by: "Loop" })
        let tried = ttl
        while (!(yield* isKept(tried))) {
          tried *= 2
          assert.isAtMost(tried, longest)
        }
      })
    )

    it.effect("loses it without a thread of its own for the session, and is told", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        yield* stalls.isLost(kubeConfig, { ttl, maxStall: 0, blockedFor: 2 * ttl, by: "Sleep" })
      })
    )

    it.effect("loses it if that lasts for longer than maxStall, and is told", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        const { logged, withSession } = yield* stalls.isLost(kubeConfig, {
          ttl,
          maxStall: 1000,
          blockedFor: 2 * ttl + 2000,
          by: "Sleep"
        })
        assert.isTrue(withSession)
        assert.include(
          logged,
          "The event loop of this process has been blocked for 1s. Its session is not renewed until it goes on."
        )
        const told = logged.filter((line) =>
          /^Lost session "kubelock-session-\d+" .*: its lease expired before it was renewed\.$/.test(line)
        )
        assert.lengthOf(told, 1)
      })
    )

    it.effect("loses it to another process if it hangs for good", () =>
      Effect.gen(function* () {
        const { kubeConfig } = yield* ApiServer.ApiServer
        yield* stalls.isTaken(kubeConfig, { ttl, maxStall: 1000 })
      })
    )
  })
})

type Store = ObjectStore["Service"]

// The store of a process of this kubeconfig.
const storeOf = (kubeConfig: string) =>
  ObjectStoreKubernetes.layer({ resource: Resource.configMap }).pipe(
    Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
  )

// Several processes in this one, each with a client of its own. `session`: whether a thread renews the session under which it holds locks.
const aProcess = Effect.fnUntraced(function* (
  identity: string,
  { session = true, ...options }: LockPolicy.Options = {}
) {
  const { kubeConfig } = yield* ApiServer.ApiServer
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const store = storeOf(kubeConfig)
  const context = yield* Layer.buildWithScope(session ? Layer.provide(SessionThread.layer(), store) : store, scope)
  const policy = LockPolicy.make({ session, waitSchedule: LockPolicy.fixedPolls("1 second", 600), ...options })
  const lock = yield* Lock.make({ identity, policy }).pipe(Effect.provideContext(context), Scope.provide(scope))
  return {
    store: Context.get(context, ObjectStore),
    lock,
    wants: (id: string) => contend(lock, id),
    ends: Scope.close(scope, Exit.void)
  }
})

const key = LockPolicy.neutralAnnotation

const isAwaited = (store: Store, id: string) =>
  Effect.map(store.read(id), ({ annotations }) =>
    Object.keys(annotations).some((name) => name.startsWith(LockQueue.queueKey(key)))
  )

const until = <E>(condition: Effect.Effect<boolean, E>) =>
  Effect.repeat(Effect.delay(condition, "20 millis"), { until: (is) => is })

/** The session that the record of a lock names. */
const sessionOf = Effect.fnUntraced(function* (store: Store, id: string) {
  const { annotations } = yield* store.read(id)
  const session = LockRecord.leaseOf(LockRecord.fromAnnotations(key, annotations))?.session
  return session === undefined ? undefined : sessionLease.parse(session)
})

const hasEnded = Effect.fnUntraced(function* (store: Store, session: sessionLease.SessionReference) {
  const leases = store.sessionLeases!.leases(session.namespace)
  return sessionLease.standing(session, yield* leases.read(session.name), yield* leases.now)._tag === "Ended"
})

/** The threads that are started from now on. */
const threads: Effect.Effect<ReadonlyArray<Worker>, never, Scope.Scope> = Effect.gen(function* () {
  const started: Array<Worker> = []
  const onStart = (message: unknown) => void started.push((message as { readonly worker: Worker }).worker)
  yield* Effect.acquireRelease(
    Effect.sync(() => subscribe("worker_threads", onStart)),
    () => Effect.sync(() => unsubscribe("worker_threads", onStart))
  )
  return started
})

layer(ApiServer.layer(), { excludeTestServices: true })("a session that a thread of its own renews", (it) => {
  it.effect("has each lock from its acquisition on, also one that was handed over, and ends with its layer", () =>
    Effect.gen(function* () {
      const us = yield* aProcess("us")
      const them = yield* aProcess("them", { session: false })
      yield* (yield* us.wants("first")).held
      const session = (yield* sessionOf(us.store, "first"))!
      assert.match(session.incarnation, /^us\//)
      const theirs = yield* them.wants("handed-over")
      yield* theirs.held
      const ours = yield* us.wants("handed-over")
      yield* until(isAwaited(us.store, "handed-over"))
      yield* theirs.letGo
      yield* ours.held
      assert.deepStrictEqual(yield* sessionOf(us.store, "handed-over"), session)
      assert.isFalse(yield* hasEnded(us.store, session))
      yield* us.ends
      assert.isTrue(yield* hasEnded(them.store, session))
    }).pipe(Effect.scoped)
  )

  it.effect("is lost if the thread dies, which is told at once, and the next one has a new thread", () =>
    Effect.gen(function* () {
      const started = yield* threads
      const lines = yield* logged(
        Effect.gen(function* () {
          // It is not told because the session expires.
          const us = yield* aProcess("us", { ttl: "1 hour" })
          const { isValid, lost } = yield* (yield* us.wants("a")).held
          assert.lengthOf(started, 1)
          yield* Effect.promise(() => started[0]!.terminate())
          assert.deepInclude(yield* Effect.flip(lost), { _tag: "LockLost", reason: "Expired", withSession: true })
          assert.isFalse(yield* isValid)
          const next = yield* (yield* us.wants("b")).held
          assert.isTrue(yield* next.isValid)
          assert.lengthOf(started, 2)
          assert.isDefined(yield* sessionOf(us.store, "b"))
        })
      )
      assert.deepStrictEqual(lines, [
        "Error The thread that renews the session of this process has died. The session is lost."
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("goes on when another process breaks one of its locks, whose holder is told before", () =>
    Effect.gen(function* () {
      const us = yield* aProcess("us")
      const them = yield* aProcess("them", { session: false })
      const broken = yield* (yield* us.wants("broken")).held
      const kept = yield* (yield* us.wants("kept")).held
      const breaking = yield* Effect.forkChild(them.lock.break("broken"), { startImmediately: true })
      assert.deepInclude(yield* Effect.flip(broken.lost), { _tag: "LockLost", reason: "Removed" })
      assert.isFalse(yield* broken.isValid)
      assert.strictEqual((yield* Fiber.join(breaking))._tag, "Held")
      assert.isTrue(yield* kept.isValid)
      assert.strictEqual((yield* them.lock.inspect("broken"))._tag, "Free")
    }).pipe(Effect.scoped)
  )

  it.effect("is lost if another process ends it, and counts as a lock", () =>
    Effect.gen(function* () {
      const us = yield* aProcess("us")
      const { isValid, lost } = yield* (yield* us.wants("c")).held
      const { name, namespace } = (yield* sessionOf(us.store, "c"))!
      const leases = us.store.sessionLeases!.leases(namespace)
      const { resourceVersion } = yield* leases.read(name)
      yield* leases.compareAndSwap(name, {
        expect: { resourceVersion },
        annotations: {},
        content: leaseSpec.fieldsIn(leaseSpec.released(Date.now()))
      })
      assert.deepInclude(yield* Effect.flip(lost), { reason: "Removed", withSession: true })
      assert.isFalse(yield* isValid)
      const [acquired, removed] = [
        Metric.withAttributes(LockMetrics.acquisitions, { kind: "lock" }),
        Metric.withAttributes(LockMetrics.losses, { kind: "lock", reason: "Removed" })
      ]
      assert.strictEqual((yield* Metric.value(acquired)).count, 2)
      assert.strictEqual((yield* Metric.value(removed)).count, 2)
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

layer(ApiServer.layer(), { excludeTestServices: true })("without the right to Leases", (it) => {
  it.effect("each lock is renewed by itself, which is said once", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* server.inject(ApiServer.Fault.Forbid({}), { when: ({ path }) => path.includes("/leases") })
      const lines = yield* logged(
        Effect.gen(function* () {
          const us = yield* aProcess("us")
          for (const id of ["a", "b"]) {
            assert.isTrue(yield* (yield* (yield* us.wants(id)).held).isValid)
            assert.isUndefined(yield* sessionOf(us.store, id))
          }
        })
      )
      assert.lengthOf(lines, 1)
      assert.match(
        lines[0]!,
        /^Warn Each lock is renewed by itself, since this process can have no session\. Not allowed to get /
      )
    }).pipe(Effect.scoped)
  )
})

layer(ApiServer.layer(), { excludeTestServices: true })("a thread for sessions", (it) => {
  const refusal = <E>(store: Layer.Layer<ObjectStore, E>) =>
    Effect.map(Effect.flip(Effect.scoped(Layer.build(Layer.provide(SessionThread.layer(), store)))), (error) =>
      error instanceof SessionThread.SessionThreadError ? error.message : error
    )

  const aFolder = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-thread-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

  const needsItsOwn =
    "No thread of its own can renew the session: it needs a store of ObjectStoreKubernetes, on a client of KubernetesClient.layerKubeConfig or layerKubeConfigYaml."

  it.effect("needs a store whose client it can make anew", () =>
    Effect.gen(function* () {
      const { kubeConfig } = yield* ApiServer.ApiServer
      assert.strictEqual(yield* refusal(ObjectStoreMemory.layer()), needsItsOwn)
      const clientNode = new KubeConfig()
      clientNode.loadFromString(kubeConfig)
      const store = ObjectStoreKubernetes.layer({ resource: Resource.configMap })
      assert.strictEqual(yield* refusal(Layer.provide(store, KubernetesClient.layer(clientNode))), needsItsOwn)
      const wrapped = Layer.effect(
        KubernetesClient.KubernetesClient,
        Effect.map(KubernetesClient.KubernetesClient, (client) => ({ ...client }))
      ).pipe(Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig)))
      assert.strictEqual(yield* refusal(Layer.provide(store, wrapped)), needsItsOwn)
    })
  )

  it.effect("says why it cannot connect, and connects to no other server", () =>
    Effect.gen(function* () {
      const { kubeConfig, url } = yield* ApiServer.ApiServer
      const file = join(yield* aFolder, "kubeconfig")
      const refusalOnce = Effect.fnUntraced(function* (change: () => void) {
        writeFileSync(file, kubeConfig)
        const store = ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, kubeConfig: { file } })
        return yield* refusal(Layer.tap(store, () => Effect.sync(change)))
      })
      assert.strictEqual(
        yield* refusalOnce(() => rmSync(file)),
        `No thread of its own can renew the session: its kubeconfig cannot be used: ${file} does not exist.`
      )
      assert.strictEqual(
        yield* refusalOnce(() => writeFileSync(file, kubeConfig.replaceAll(url, "http://127.0.0.1:1"))),
        `No thread of its own can renew the session: its kubeconfig now names another server, "http://127.0.0.1:1".`
      )
    }).pipe(Effect.scoped)
  )

  it.effect("keeps no process alive", () =>
    Effect.gen(function* () {
      const { kubeConfig } = yield* ApiServer.ApiServer
      const env = { KUBECONFIG: join(yield* aFolder, "kubeconfig") }
      writeFileSync(env.KUBECONFIG, kubeConfig)
      yield* Effect.promise(() => run(root, env, process.execPath, join("test", "sessionThread", "idle.ts")))
    }).pipe(Effect.scoped)
  )

  it("has a maxStall from 1 second to 1 day", () => {
    for (const maxStall of ["999 millis", "25 hours"] as const) {
      assert.throws(
        () => SessionThread.layer({ maxStall }),
        RangeError,
        /maxStall must be from 1 second to 1 day, but is/
      )
    }
  })
})

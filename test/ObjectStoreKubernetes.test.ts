import { assert, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as Http from "../src/internal/kubernetes/http.ts"
import * as leaseSpec from "../src/internal/election/leaseSpec.ts"
import * as KubernetesClient from "../src/KubernetesClient.ts"
import * as Lock from "../src/Lock.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { type Content, type WatchEvent, ObjectStore } from "../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../src/ObjectStoreKubernetes.ts"
import * as Resource from "../src/Resource.ts"
import * as Semaphore from "../src/Semaphore.ts"
import * as SharedLock from "../src/SharedLock.ts"
import * as ApiServer from "../src/testing/ApiServer.ts"
import { election } from "./contract/election.ts"
import { content } from "./contract/content.ts"
import { fieldTracking } from "./contract/fieldTracking.ts"
import { lateWatch } from "./contract/lateWatch.ts"
import { behaviour } from "./contract/lock.ts"
import { mixed } from "./contract/mixed.ts"
import { contract } from "./contract/objectStore.ts"
import { semaphore } from "./contract/semaphore.ts"
import { session } from "./contract/session.ts"
import { sharedLock } from "./contract/sharedLock.ts"
import { twoKeys } from "./contract/twoKeys.ts"
import { contend } from "./utils/contend.ts"
import * as WorldKubernetes from "./utils/WorldKubernetes.ts"

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, (server) => KubernetesClient.layerKubeConfigYaml(server.kubeConfig))
)
const embedded = (options?: ApiServer.Options) =>
  client.pipe(Layer.provideMerge(ApiServer.layer({ namespaces: ["dex"], ...options })))

const Thing = Resource.make({
  group: "example.com",
  version: "v1beta1",
  plural: "things",
  kind: "Thing",
  namespaced: false
})

layer(embedded(), { excludeTestServices: true })("on the embedded server", (it) => {
  it.layer(WorldKubernetes.layer({ resource: Resource.secret, namespace: "dex", content: true }))(
    "the store of Secrets with their content",
    content
  )

  it.layer(WorldKubernetes.layer({ resource: Resource.lease, namespace: "dex", content: true }))("elections", election)

  for (const resource of [Resource.refreshToken, Resource.configMap, Resource.secret, Resource.lease, Thing]) {
    const world = WorldKubernetes.layer({ resource, namespace: "dex" })
    it.layer(world)(`the store of ${Resource.name(resource)}`, contract)
    it.layer(world)(`the API server and ${Resource.name(resource)}`, fieldTracking(resource, "dex"))
    if (resource === Resource.configMap) {
      it.layer(world)("two keys", twoKeys)
      it.layer(world)("locks under sessions", session)
      const underSessions = Lock.layer({ policy: LockPolicy.make({ session: true }) })
      it.layer(Layer.provideMerge(underSessions, world))("a lock under a session", behaviour(resource.annotation))
    }
    if (resource === Resource.configMap || resource === Resource.refreshToken) {
      const limited = Layer.provideMerge(Semaphore.layer(), world)
      it.layer(limited)(`semaphores on ${Resource.name(resource)}`, semaphore)
      it.layer(world)(`late watches of ${Resource.name(resource)}`, lateWatch)
      const shared = Layer.provideMerge(SharedLock.layer(), world)
      it.layer(shared)(`shared locks on ${Resource.name(resource)}`, sharedLock)
    }
    if (resource === Resource.refreshToken || resource === Resource.lease) {
      const locked = Layer.provideMerge(Lock.layer(), world)
      it.layer(locked)(`the lock on ${Resource.name(resource)}`, behaviour(resource.annotation))
      if (resource.sharedWithDex) it.layer(locked)("beside Dex", mixed)
    }
  }
})

layer(embedded(), { excludeTestServices: true })("a lock on a Lease", (it) => {
  const locks = (identity: string) =>
    Lock.layer({ identity }).pipe(
      Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.lease, namespace: "dex" }))
    )

  it.effect("shows its holder in the fields that kubectl prints, without a request more", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const spec = Effect.map(server.get(Resource.lease, "dex", "shown"), (lease) =>
        leaseSpec.fromContent(Option.getOrThrow(lease) as unknown as Content)
      )
      const hold = Effect.gen(function* () {
        const { holderId } = yield* Lock.scoped("shown", { ttl: "3 seconds", renewEvery: "200 millis" })
        const { acquireTime, renewTime, ...held } = yield* spec
        assert.deepInclude(held, { holderIdentity: holderId })
        assert.include([3, 4, 5, 6], held.leaseDurationSeconds)
        assert.strictEqual(acquireTime, renewTime)
        yield* Effect.sleep("1500 millis")
        const renewed = yield* spec
        assert.strictEqual(renewed.acquireTime, acquireTime)
        assert.isAbove(Date.parse(renewed.renewTime!), Date.parse(renewTime!))
      })
      yield* Effect.provide(Effect.scoped(hold), locks("us"), { local: true })
      assert.propertyVal(yield* spec, "holderIdentity", "")
      yield* Effect.provide(Effect.scoped(hold), locks("us"), { local: true })
      yield* server.clearRequests
      yield* Effect.gen(function* () {
        yield* Effect.scoped(Lock.scoped("shown"))
        yield* Effect.scoped(Lock.scoped("shown"))
      }).pipe(Effect.provide(locks("us"), { local: true }))
      const verbs = (yield* server.requests).map(({ method }) => method)
      assert.deepStrictEqual(verbs, ["GET", "PATCH", "PATCH", "PATCH", "PATCH"])
      assert.strictEqual(yield* Effect.provide(Lock.removeIdle("shown"), locks("us"), { local: true }), "Removed")
    })
  )

  it.effect("shows the holder also if the lock is handed over or taken over from one key to the other", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const holder = Effect.map(server.get(Resource.lease, "dex", "keys"), (lease) =>
        leaseSpec.holderOf(leaseSpec.fromContent(Option.getOrThrow(lease) as unknown as Content))
      )
      const annotations = [LockPolicy.dexAnnotation, LockPolicy.neutralAnnotation]
      const [us, them] = yield* Effect.forEach(annotations, (annotation) =>
        Lock.make({ policy: LockPolicy.make({ annotation, renewEvery: false, ttl: "1 second" }) })
      )
      const first = yield* contend(us!, "keys", { ttl: "10 seconds" })
      yield* first.held
      const second = yield* contend(them!, "keys")
      yield* Effect.repeat(server.get(Resource.lease, "dex", "keys"), {
        until: (lease) => JSON.stringify(lease).includes(`${LockPolicy.neutralAnnotation}-queue-`)
      })
      yield* first.letGo
      assert.strictEqual((yield* second.held).holderId, yield* holder)
      assert.strictEqual((yield* us!.scoped("keys")).holderId, yield* holder)
    }).pipe(Effect.scoped, Effect.provide(ObjectStoreKubernetes.layer({ resource: Resource.lease, namespace: "dex" })))
  )
})

let count = 0

/** A server with one RefreshToken, and a store of RefreshTokens in one namespace. */
const aToken = Effect.gen(function* () {
  const server = yield* ApiServer.ApiServer
  const id = `token-${++count}`
  yield* server.put(Resource.refreshToken, "dex", {
    metadata: { name: id },
    token: "s3cr3t"
  })
  return { id, server, store: yield* ObjectStore }
})

const tokens = { resource: Resource.refreshToken, namespace: "dex" }
const store = ObjectStoreKubernetes.layer(tokens)

const { Fault } = ApiServer

layer(Layer.provideMerge(store, embedded()), { excludeTestServices: true })("ObjectStoreKubernetes", (it) => {
  it.effect("never reads or changes the content of an object", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      const snapshot = yield* store.read(id)
      assert.notInclude(JSON.stringify(snapshot), "s3cr3t")
      const { resourceVersion } = snapshot
      const written = yield* store.compareAndSwap(id, {
        expect: { resourceVersion },
        annotations: { "example.com/a": "1" }
      })
      assert.notInclude(JSON.stringify(written), "s3cr3t")
      const object = Option.getOrThrow(yield* server.get(Resource.refreshToken, "dex", id))
      assert.deepInclude(object, { token: "s3cr3t" })
    })
  )

  it.effect(
    "obeys the Retry-After of an overloaded server, but not of a starting one, which is ready long before",
    () =>
      Effect.gen(function* () {
        const { id, server, store } = yield* aToken
        const starting = Fault.Answer({
          at: "Request",
          status: 503,
          body: "starting",
          headers: { "retry-after": "10" }
        })
        yield* server.inject(starting, { times: 1 })
        const error = yield* Effect.flip(store.read(id))
        assert.deepInclude(error, { _tag: "LockUnavailable", status: 503 })
        assert.notProperty(error, "retryAfter")
      }).pipe(Effect.scoped)
  )

  it.effect("lets the server answer from its cache if a reading may be stale, and only then", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      yield* server.clearRequests
      assert.deepStrictEqual(yield* store.read(id, { mayBeStale: true }), yield* store.read(id))
      const versions = (yield* server.requests).map(({ query }) => query.get("resourceVersion"))
      assert.deepStrictEqual(versions, ["0", null])
    })
  )

  it.effect("reads and writes the content if `content` is set", () =>
    Effect.gen(function* () {
      const { id, server } = yield* aToken
      const before = yield* Effect.flatMap(ObjectStore, (store) =>
        Effect.gen(function* () {
          const { resourceVersion } = yield* store.read(id)
          const annotations = { "example.com/a": "1" }
          const marked = Option.getOrThrow(
            yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations })
          )
          assert.deepStrictEqual(marked.content, { token: "s3cr3t" })
          return yield* store.compareAndSwap(id, {
            expect: { annotations },
            annotations: { "example.com/a": null },
            content: [
              { path: ["token"], value: null },
              { path: ["claims"], value: { email: "a@example.com" } },
              { path: ["claims", "a/b~c"], value: 1 }
            ]
          })
        })
      ).pipe(Effect.provide(ObjectStoreKubernetes.layer({ ...tokens, content: true }), { local: true }))
      assert.deepStrictEqual(Option.getOrThrow(before).content, { claims: { email: "a@example.com", "a/b~c": 1 } })
      const object = Option.getOrThrow(yield* server.get(Resource.refreshToken, "dex", id))
      assert.deepInclude(object, { claims: { email: "a@example.com", "a/b~c": 1 } })
      assert.notProperty(object, "token")
    })
  )

  it.effect("maps each kind of answer to its own error", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      const answers: ReadonlyArray<readonly [fault: ApiServer.Fault, expected: object]> = [
        [Fault.Answer({ at: "Request", status: 500, body: "oops" }), { _tag: "LockUnavailable", status: 500 }],
        [Fault.Answer({ at: "Request", status: 503, body: "<html>Bad gateway</html>" }), { _tag: "LockUnavailable" }],
        [ApiServer.tooManyRequests(7), { _tag: "LockUnavailable", status: 429, retryAfter: Duration.seconds(7) }],
        [Fault.Answer({ at: "Request", status: 401, body: "" }), { _tag: "LockUnauthorized" }],
        [Fault.Forbid({ user: "lab-user" }), { _tag: "LockForbidden", verb: "get", refusedBy: "Authorizer" }],
        [
          Fault.Answer({ at: "Request", status: 404, body: "404 page not found\n" }),
          { _tag: "LockNotFound", missing: "resource" }
        ],
        [
          Fault.Answer({ at: "Request", status: 418, body: JSON.stringify({ kind: "Status", code: 418 }) }),
          { _tag: "LockRejected", status: 418 }
        ],
        [Fault.Answer({ at: "Request", status: 200, body: "<html>welcome</html>" }), { _tag: "LockUnavailable" }],
        [
          Fault.Answer({ at: "Request", status: 200, body: '{"metadata":{"uid":"1","resour' }),
          { _tag: "LockUnavailable" }
        ],
        [
          Fault.Answer({ at: "Request", status: 200, body: '{"metadata":{"uid":1,"resourceVersion":2}}' }),
          { _tag: "LockUnavailable" }
        ],
        [Fault.Answer({ at: "Request", status: 200, body: "" }), { _tag: "LockUnavailable" }],
        [Fault.Answer({ at: "Request", status: 200, body: "null" }), { _tag: "LockUnavailable" }],
        [Fault.Answer({ at: "Request", status: 200, body: "x".repeat(9_000_000) }), { _tag: "LockUnavailable" }],
        [Fault.Drop({ at: "Request" }), { _tag: "LockUnavailable" }]
      ]
      for (const [fault, expected] of answers) {
        const error = yield* Effect.scoped(Effect.andThen(server.inject(fault), Effect.flip(store.read(id))))
        assert.deepInclude(error, expected, JSON.stringify(fault).slice(0, 200))
        assert.match(error.message, /^[A-Z].*\.$/)
      }
      assert.isDefined(yield* store.read(id))
    })
  )

  it.effect("takes the page of a proxy for no answer, whatever its status", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      for (const status of [400, 403, 404, 405, 406, 413, 418, 422]) {
        for (const body of ["", "<html>Not here</html>", '{"message":"no"}']) {
          const page = Fault.Answer({ at: "Request", status, body, contentType: "text/html; charset=utf-8" })
          yield* server.inject(page, { times: 1 })
          assert.deepInclude(yield* Effect.flip(store.read(id)), {
            _tag: "LockUnavailable",
            status,
            detail: `something in front of the API server answered ${status} (text/html)`
          })
        }
      }
    }).pipe(Effect.scoped)
  )

  it.effect("reads and watches the objects of an API that does not know the metadata-only form", () =>
    Effect.gen(function* () {
      const { id } = yield* aToken
      yield* Effect.gen(function* () {
        const store = yield* ObjectStore
        const found = yield* store.read(id)
        assert.notProperty(found, "content")
        const [changed] = yield* store.watch(id).pipe(Stream.take(1), Stream.runCollect)
        assert.deepStrictEqual(changed, { _tag: "Changed", snapshot: found })
        yield* Effect.scoped(Lock.scoped(id))
      }).pipe(
        Effect.provide(Layer.provideMerge(Lock.layer(), Layer.fresh(store)).pipe(Layer.provide(plainOnly)), {
          local: true
        })
      )
    })
  )

  it.effect("deletes nothing that changes between the look and the deletion", () =>
    Effect.gen(function* () {
      const { server, store } = yield* aToken
      const id = `token-${++count}`
      const made = Option.getOrThrow(yield* store.create(id, { "example.com/a": "1" }))
      const delayed = yield* server.inject(Fault.Delay({ at: "Request", duration: "300 millis" }), {
        times: 1,
        when: ({ method }) => method === "DELETE"
      })
      const removal = yield* Effect.forkChild(store.remove(id, made), { startImmediately: true })
      yield* Effect.repeat(delayed, { until: (hits) => hits === 1 })
      yield* store.compareAndSwap(id, {
        expect: { annotations: { "example.com/a": "1" } },
        annotations: { "example.com/a": "2" }
      })
      assert.strictEqual(yield* Fiber.join(removal), "Changed")
      assert.propertyVal((yield* store.read(id)).annotations, "example.com/a", "2")
    }).pipe(Effect.scoped)
  )

  it.effect("gives up a request that takes too long", () =>
    Effect.gen(function* () {
      const { id, server } = yield* aToken
      yield* server.inject(Fault.Delay({ at: "Request", duration: "1 minute" }))
      const error = yield* Effect.flatMap(ObjectStore, (store) => store.read(id)).pipe(
        Effect.flip,
        Effect.provide(ObjectStoreKubernetes.layer({ ...tokens, requestTimeout: "50 millis" }), { local: true })
      )
      assert.isTrue(error._tag === "LockUnavailable" && error.detail.endsWith(" within 50ms"), String(error))
    }).pipe(Effect.scoped)
  )

  it.effect("never repeats a message that may quote the object", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      const status = {
        kind: "Status",
        status: "Failure",
        reason: "Invalid",
        code: 422,
        message: 'invalid: {"token":"s3cr3t"}',
        details: { causes: [{ reason: "FieldValueInvalid", message: 'Invalid value: "s3cr3t"', field: "metadata.x" }] }
      }
      yield* server.inject(Fault.Answer({ at: "Request", status: 422, body: JSON.stringify(status) }), { times: 1 })
      const error = yield* Effect.flip(
        store.compareAndSwap(id, { expect: { resourceVersion: "1" }, annotations: { "example.com/a": "1" } })
      )
      assert.deepInclude(error, { _tag: "LockRejected", status: 422, detail: "Invalid (metadata.x)" })
      assert.notInclude(JSON.stringify(error), "s3cr3t")
    }).pipe(Effect.scoped)
  )

  it.effect("reports that nothing listens", () =>
    Effect.gen(function* () {
      const nowhere = KubernetesClient.layerKubeConfigYaml(kubeConfigFor("http://127.0.0.1:1"))
      const error = yield* Effect.flatMap(ObjectStore, (store) => store.read("a")).pipe(
        Effect.flip,
        Effect.provide(Layer.provide(Layer.fresh(store), nowhere), { local: true })
      )
      assert.deepInclude(error, { _tag: "LockUnavailable", detail: "no connection (ECONNREFUSED)" })
    })
  )

  it.effect("distinguishes a write that may have happened from one that has not", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      const { resourceVersion } = yield* store.read(id)
      const write = store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/a": "1" } })
      yield* server.inject(Fault.Drop({ at: "Answer" }), { when: ({ method }) => method === "PATCH", times: 1 })
      assert.strictEqual((yield* Effect.flip(write))._tag, "LockUnavailable")
      assert.isTrue(Option.isNone(yield* write))
      assert.propertyVal((yield* store.read(id)).annotations, "example.com/a", "1")
    }).pipe(Effect.scoped)
  )

  it.effect("gives the time of the server, which may differ much from the clock of this machine", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      yield* server.setClockOffset("-1 hour")
      const truth = Effect.map(Clock.currentTimeMillis, (now) => now - 3_600_000)
      const { before, now, after } = yield* Effect.gen(function* () {
        const store = yield* ObjectStore
        for (let i = 0; i < 20; i++) yield* Effect.ignore(store.read("nothing"))
        return { before: yield* truth, now: yield* store.now, after: yield* truth }
      }).pipe(Effect.provide(Layer.fresh(store), { local: true }))
      yield* server.setClockOffset("0 seconds")
      assert.isAtMost(now.earliest, after)
      assert.isAtLeast(now.latest, before)
      assert.isAtMost(now.latest - now.earliest, 1500)
    })
  )

  it.effect("goes on reporting changes after a watch ends, breaks, or has expired", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      const changes = yield* Queue.unbounded<WatchEvent>()
      yield* store.watch(id).pipe(
        Stream.runForEach((change) => Queue.offer(changes, change)),
        Effect.forkScoped({ startImmediately: true })
      )
      const annotate = (value: string) =>
        server.put(Resource.refreshToken, "dex", {
          metadata: { name: id, annotations: { "example.com/a": value } }
        })
      const seen = (value: string) =>
        Queue.take(changes).pipe(
          Effect.repeat({
            until: (change) => change._tag === "Changed" && change.snapshot.annotations["example.com/a"] === value
          })
        )
      yield* annotate("first")
      yield* seen("first")
      yield* server.endWatches("Cleanly")
      yield* annotate("after a clean end")
      yield* seen("after a clean end")
      yield* server.endWatches("Abruptly")
      yield* annotate("after a broken connection")
      yield* seen("after a broken connection")
      yield* server.inject(Fault.Answer({ at: "Request", status: 200, body: "{}\n<html>\n" }), {
        times: 1,
        when: isWatch
      })
      yield* server.endWatches()
      yield* annotate("after nonsense")
      yield* seen("after nonsense")
      yield* server.inject(ApiServer.tooManyRequests(), { times: 2, when: isWatch })
      yield* server.endWatches()
      yield* annotate("while it was forgotten")
      yield* server.compact
      yield* seen("while it was forgotten")
      yield* server.remove(Resource.refreshToken, "dex", id)
      yield* Queue.take(changes).pipe(Effect.repeat({ until: (change) => change._tag === "Deleted" }))
    }).pipe(Effect.scoped)
  )

  it.effect("fails if watching is forbidden", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      yield* server.inject(Fault.Forbid({}), { when: isWatch })
      const error = yield* Effect.flip(Stream.runDrain(store.watch(id)))
      assert.deepInclude(error, { _tag: "LockForbidden", verb: "watch" })
    }).pipe(Effect.scoped)
  )

  it.effect("closes a watch that is no longer used", () =>
    Effect.gen(function* () {
      const { id, server, store } = yield* aToken
      const before = yield* server.openWatches
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkScoped(Stream.runDrain(store.watch(id)), { startImmediately: true })
          yield* Effect.repeat(server.openWatches, { until: (open) => open === before + 1 })
        })
      )
      yield* Effect.repeat(server.openWatches, { until: (open) => open === before })
    })
  )
})

layer(embedded({ resources: [Resource.refreshToken] }), { excludeTestServices: true })("what is missing", (it) => {
  const missing = (options: ObjectStoreKubernetes.Options) =>
    Effect.flatMap(ObjectStore, (store) => store.create("a", {})).pipe(
      Effect.flip,
      Effect.provide(ObjectStoreKubernetes.layer(options), { local: true })
    )
  it.effect("is the namespace, or the resource", () =>
    Effect.gen(function* () {
      const { refreshToken, secret } = Resource
      const errors = [
        yield* missing({ resource: refreshToken, namespace: "nope" }),
        yield* missing({ resource: secret, namespace: "dex" })
      ]
      assert.deepStrictEqual(
        errors.map((error) => error._tag === "LockNotFound" && error.missing),
        ["namespace", "resource"]
      )
      const error = yield* Effect.flip(
        Layer.build(ObjectStoreKubernetes.layer({ resource: secret, namespace: "../x" }))
      )
      assert.strictEqual(error._tag, "LockInvalidName")
    }).pipe(Effect.scoped)
  )
})

/** A client of an API that does not know `PartialObjectMetadata`. */
const plainOnly = Layer.effect(
  KubernetesClient.KubernetesClient,
  Effect.map(KubernetesClient.KubernetesClient, (client) => {
    const plain = (request: Http.Request): Http.Request => ({
      ...request,
      headers: {
        ...request.headers,
        accept: (request.headers["accept"] ?? "*/*")
          .split(",")
          .map((form) => (form.includes("as=PartialObjectMetadata") ? "application/unknown" : form))
          .join(",")
      }
    })
    return KubernetesClient.KubernetesClient.of({
      ...client,
      request: (request, limits) => client.request(plain(request), limits),
      watch: (request, limits) => client.watch(plain(request), limits)
    })
  })
)

const isWatch = ({ query }: ApiServer.SeenRequest) => query.has("watch")

const kubeConfigFor = (server: string) =>
  JSON.stringify({
    clusters: [{ name: "c", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x"
  })

/** Which objects the API server stops tracking the fields of, and what it never forgets, as tests. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as encode from "../../src/internal/kubernetes/encode.ts"
import type { Request } from "../../src/internal/kubernetes/http.ts"
import { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as Resource from "../../src/Resource.ts"
import { written } from "../utils/store.ts"
import { anObject, freshId, World } from "../utils/World.ts"

interface Listed {
  readonly metadata: {
    readonly managedFields?: ReadonlyArray<{ readonly manager: string; readonly operation: string }>
  }
}

/** Declares the suite. `it` is that of a layer that provides the world of the resource, without content. */
export const fieldTracking =
  (resource: Resource.Resource, namespace: string) =>
  (it: Vitest.MethodsNonLive<World | ObjectStore | KubernetesClient>) => {
    const send = (request: Request) =>
      Effect.gen(function* () {
        const client = yield* KubernetesClient
        const { body, status } = yield* client.request(request, { timeoutMillis: 15_000, maxBytes: 1 << 22 })
        return { status, body: JSON.parse(body) as Listed }
      })

    const path = (id: string) => Resource.objectPath(resource, namespace, id)

    /** The managers that the object lists. */
    const managersOf = (id: string) =>
      Effect.map(send(encode.get(path(id))), ({ body }) =>
        (body.metadata.managedFields ?? []).map(({ manager, operation }) => [manager, operation])
      )

    const apply = (id: string, labels: Readonly<Record<string, string>>) =>
      Effect.map(
        send(
          encode.withJson(
            "PATCH",
            `${path(id)}?fieldManager=gitops`,
            { apiVersion: Resource.apiVersion(resource), kind: resource.kind, metadata: { name: id, labels } },
            "application/apply-patch+yaml"
          )
        ),
        ({ status }) => status
      )

    const cycle = (id: string) =>
      Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* Lock.make()
          yield* Effect.scoped(lock.scoped(id))
        })
      )

    it.effect("of an object that a lock made, the next write makes it forget who owns which field, for good", () =>
      Effect.gen(function* () {
        const store = yield* ObjectStore
        const id = freshId()
        written(yield* store.create(id, { "example.com/a": "1" }))
        assert.deepStrictEqual(yield* managersOf(id), [["kubelock", "Update"]])
        const write = { expect: { annotations: { "example.com/a": "1" } }, annotations: { "example.com/a": "2" } }
        const { resourceVersion } = written(yield* store.compareAndSwap(id, write))
        assert.deepStrictEqual(yield* managersOf(id), [])
        written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/b": "1" } }))
        assert.deepStrictEqual(yield* managersOf(id), [])
        yield* (yield* World).delete(id)
      })
    )

    it.effect("of an object of others, a lock makes it forget that only if the resource says so", () =>
      Effect.gen(function* () {
        const id = yield* anObject({ "example.com/a": "1" })
        const before = yield* managersOf(id)
        assert.isNotEmpty(before)
        yield* cycle(id)
        const after = yield* managersOf(id)
        if (resource.tracksFields) assert.deepStrictEqual(after, before)
        else assert.isEmpty(after)
      })
    )

    it.effect("whoever applies an object keeps its fields, also if a lock is beside it", () =>
      Effect.gen(function* () {
        const id = yield* anObject()
        assert.strictEqual(yield* apply(id, { "example.com/l": "1" }), 200)
        yield* cycle(id)
        assert.deepInclude(yield* managersOf(id), ["gitops", "Apply"])
        assert.strictEqual(yield* apply(id, { "example.com/l": "2" }), 200)
        yield* cycle(id)
        assert.strictEqual(yield* apply(id, {}), 200)
        assert.notProperty((yield* (yield* ObjectStore).read(id)).labels, "example.com/l")
      })
    )

    it.effect("whoever applies an object after a lock has made it, keeps its fields from then on", () =>
      Effect.gen(function* () {
        const store = yield* ObjectStore
        const id = freshId()
        const { resourceVersion } = written(yield* store.create(id, {}))
        written(yield* store.compareAndSwap(id, { expect: { resourceVersion }, annotations: { "example.com/a": "1" } }))
        assert.strictEqual(yield* apply(id, { "example.com/l": "1" }), 200)
        yield* cycle(id)
        assert.deepInclude(yield* managersOf(id), ["gitops", "Apply"])
        assert.strictEqual(yield* apply(id, { "example.com/l": "2" }), 200)
        yield* (yield* World).delete(id)
      })
    )
  }

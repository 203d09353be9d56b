/** A process in which many locks change hands at once, from one layer to another. It holds no other work. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as Resource from "../../src/Resource.ts"
import * as Build from "../contest/build.ts"
import { now } from "../../src/cli/bench/contest/task.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"

/** The build that is measured (this one by default), and the objects that it locks. */
export interface Question {
  readonly build: Build.Build | undefined
  readonly kubeConfig: string
  readonly namespace: string
  readonly ids: ReadonlyArray<string>
  /** How long the new holders keep their locks, in seconds. */
  readonly keepSeconds: number
}

/** `millis` is the time from the first release to the last entry. `lost` counts the locks that were lost, or not acquired. */
export interface Answer {
  readonly millis: number
  readonly lost: number
  readonly firstError: string | undefined
}

const Objects = Schema.fromJsonString(
  Schema.Struct({
    items: Schema.Array(
      Schema.Struct({
        metadata: Schema.Struct({
          name: Schema.String,
          annotations: Schema.optional(Schema.Record(Schema.String, Schema.String))
        })
      })
    )
  })
)

/** Waits until somebody waits for each of the locks, as their objects show. */
const untilAwaited = Effect.fnUntraced(function* (namespace: string, ids: ReadonlySet<string>) {
  const client = yield* KubernetesClient.KubernetesClient
  const path = Resource.collectionPath(Resource.refreshToken, namespace)
  const request = { method: "GET", path, headers: {} } as const
  const isAwaited = (annotations: Readonly<Record<string, string>> = {}) =>
    Object.keys(annotations).some((key) => key.includes("-queue-"))
  yield* client.request(request, { timeoutMillis: 60_000, maxBytes: 2 ** 26 }).pipe(
    Effect.flatMap(({ body }) => Schema.decodeEffect(Objects)(body)),
    Effect.map(({ items }) =>
      items.filter(({ metadata: { annotations, name } }) => ids.has(name) && isAwaited(annotations))
    ),
    Effect.repeat({ until: (awaited) => awaited.length === ids.size, schedule: Schedule.spaced("500 millis") })
  )
})

const measure = Effect.fnUntraced(function* ({ build, ids, keepSeconds, kubeConfig, namespace }: Question) {
  const modules = build === undefined ? Build.own : yield* Build.load(build)
  const policy = modules.LockPolicy.make({ sharedWithDex: false, waitSchedule: LockPolicy.fixedPolls("1 second", 300) })
  const client = yield* Layer.build(modules.KubernetesClient.layerKubeConfigYaml(kubeConfig))
  const store = yield* Effect.provideContext(
    modules.ObjectStoreKubernetes.make({ resource: Resource.refreshToken, namespace, createIfMissing: false }),
    client
  )
  const layer = Effect.provideService(modules.Lock.make({ policy }), modules.ObjectStore.ObjectStore, store)
  const [old, next] = [yield* layer, yield* layer]

  const scopes = yield* Effect.forEach(
    ids,
    Effect.fnUntraced(function* (id) {
      const scope = yield* Scope.make()
      yield* Scope.provide(old.scoped(id), scope)
      return scope
    }),
    { concurrency: 16 }
  )

  let last = 0
  let lost = 0
  let firstError: string | undefined
  const fail = (error: { readonly message: string }) =>
    Effect.sync(() => {
      lost++
      firstError ??= error.message
    })
  const ended = yield* Scope.make()
  const wanted = yield* Effect.forEach(ids, (id) =>
    next.scoped(id).pipe(
      Effect.tap((held) => {
        last = now()
        return Effect.forkIn(Effect.catch(held.lost, fail), ended)
      }),
      Effect.catch(fail),
      Scope.provide(ended),
      Effect.forkIn(ended)
    )
  )
  yield* Effect.provide(untilAwaited(namespace, new Set(ids)), KubernetesClient.layerKubeConfigYaml(kubeConfig))

  const began = now()
  yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { concurrency: "unbounded", discard: true })
  yield* Fiber.awaitAll(wanted)
  yield* Effect.sleep(keepSeconds * 1000)
  const answer: Answer = { millis: last - began, lost, firstError }
  yield* Scope.close(ended, Exit.void)
  return answer
}, Effect.scoped)

Workers.main(Workers.serve((question: Question) => Effect.mapError(measure(question), ({ message }) => ({ message }))))

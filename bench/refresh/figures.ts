/**
 * What a rotation costs on a real API server, for kubelock and for Dex's protocol in one run:
 * `node bench/refresh/figures.ts`, with `KUBEBUILDER_ASSETS` set.
 *
 * The upstream answers at once, so that only the protocols are measured.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import type * as LockError from "../../src/LockError.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import * as countingClient from "../countingClient.ts"
import type { Protocol } from "../contest.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import * as Tally from "../tally.ts"
import * as careless from "./careless.ts"
import type { Token } from "./upstream.ts"
import * as Upstream from "./upstream.ts"

const namespace = "dex"
const millis = Number(process.env["REFRESH_FIGURES_MILLIS"] ?? 5000)

/** What is asked for: values from this rotation on are fresh. One for each id. */
type Wanted = Map<string, number>

type Get = (id: string) => Effect.Effect<Token, unknown>

const getter = Effect.fnUntraced(function* (
  protocol: Protocol,
  wanted: Wanted
): Effect.fn.Return<Get, LockError.InvalidName, KubernetesClient.KubernetesClient | Scope.Scope> {
  const place = RefreshOnce.inRefreshToken
  const isFresh = (token: Token) => Effect.sync(() => token.rotation >= (wanted.get(Redacted.value(token.access)) ?? 0))
  const next = (id: string, current: Option.Option<Token>): Token => ({
    access: Redacted.make(id),
    refresh: Redacted.make("x".repeat(700)),
    expiresAt: DateTime.makeUnsafe(0),
    rotation: Option.match(current, { onNone: () => 0, onSome: ({ rotation }) => rotation }) + 1
  })
  if (protocol === "kubelock") {
    const tokens = yield* RefreshOnce.make({
      location: place,
      namespace,
      schema: Upstream.Token,
      isFresh,
      refresh: (current, { id }) => Effect.sync(() => next(id, current))
    })
    return tokens.get
  }
  const client = yield* DexClient.make({ resource: place.resource, namespace })
  return (id: string) =>
    careless.make({
      client,
      place,
      locked: true,
      isFresh,
      refresh: (current) => Effect.sync(() => next(id, current))
    })(id)
})

const percentile = (all: ReadonlyArray<number>, share: number): number => {
  const sorted = all.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

const timed = <A, E, R>(into: Array<number>, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = yield* Clock.monotonicTimeNanos
    yield* effect
    into.push(Number((yield* Clock.monotonicTimeNanos) - began) / 1e6)
  })

const requestsOf = (tally: Tally.Tally) =>
  (["get", "put", "patch", "watch", "other"] as const).reduce((sum, verb) => sum + Tally.counted(tally, verb), 0)

const all = { concurrency: "unbounded", discard: true } as const

/** Rotates ids again and again, one after the other or side by side, each for all callers of all instances. */
const rotations = Effect.fnUntraced(function* (
  protocol: Protocol,
  ids: ReadonlyArray<string>,
  instances: number,
  callers: number
) {
  const tally = Tally.make(1)
  const context = yield* Layer.build(Layer.fresh(countingClient.layer(tally)))
  const wanted: Wanted = new Map()
  const gets = yield* Effect.forEach(Array.from({ length: instances }), () =>
    Effect.provideContext(getter(protocol, wanted), context)
  )
  // Not counted: the first value, and the first connection.
  yield* Effect.forEach(ids, (id) => Effect.forEach(gets, (get) => get(id)), { ...all, concurrency: 8 })
  const round = (id: string, into: Array<number>) =>
    Effect.suspend(() => {
      wanted.set(id, (wanted.get(id) ?? 1) + 1)
      return Effect.forEach(
        gets.flatMap((get) => Array.from({ length: callers }, () => get)),
        (get) => timed(into, get(id)),
        all
      )
    })
  const warm: Array<number> = []
  yield* Effect.forEach(ids, (id) => round(id, warm), all)
  Tally.reset(tally)
  const took: Array<number> = []
  const began = yield* Clock.currentTimeMillis
  let count = 0
  yield* Effect.forEach(
    ids,
    (id) =>
      Effect.gen(function* () {
        while ((yield* Clock.currentTimeMillis) - began < millis) {
          yield* round(id, took)
          count++
        }
      }),
    all
  )
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  const requests = requestsOf(tally)
  const fresh: Array<number> = []
  for (let n = 0; n < 100; n++) {
    yield* Effect.forEach(
      gets.flatMap((get) => Array.from({ length: callers }, () => get)),
      (get) => timed(fresh, get(ids[0]!)),
      all
    )
  }
  return {
    protocol,
    ids: ids.length,
    instances,
    callers: callers * instances,
    "rotations/s": Number((count / seconds).toFixed(1)),
    "requests/rotation": Number((requests / count).toFixed(2)),
    "get p50 ms": Number(percentile(took, 0.5).toFixed(2)),
    "get p99 ms": Number(percentile(took, 0.99).toFixed(2)),
    "fresh p50 ms": Number(percentile(fresh, 0.5).toFixed(4)),
    "fresh p99 ms": Number(percentile(fresh, 0.99).toFixed(4))
  }
})

const create = (api: Envtest.ApiServerProcess, name: string) =>
  api.request("POST", Resource.collectionPath(Resource.refreshToken, namespace), {
    apiVersion: Resource.apiVersion(Resource.refreshToken),
    kind: Resource.refreshToken.kind,
    metadata: { name },
    clientID: "figures",
    scopes: ["openid", "profile", "email", "groups", "offline_access"],
    claims: { userID: "1", username: "figures", email: "figures@example.com", groups: ["developers", "operators"] }
  })

const main = Effect.gen(function* () {
  const api = yield* Envtest.start({ server: "kube-apiserver" })
  const client = KubernetesClient.layerKubeConfigYaml(api.kubeConfig)
  const rows = yield* Effect.gen(function* () {
    const dex = yield* DexClient.make({ resource: Resource.refreshToken, namespace })
    yield* Effect.ignore(dex.get("warm-up"))
    const rows = []
    let made = 0
    for (const [ids, instances, callers] of [
      [1, 1, 1],
      [1, 1, 32],
      [1, 4, 8],
      [100, 1, 1]
    ] as const) {
      for (const protocol of ["kubelock", "dex"] as const) {
        const names = Array.from({ length: ids }, () => `figures-${++made}`)
        yield* Effect.forEach(names, (name) => create(api, name), { concurrency: 8, discard: true })
        const row = yield* Effect.scoped(rotations(protocol, names, instances, callers))
        yield* Console.error(JSON.stringify(row))
        rows.push(row)
      }
    }
    return rows
  }).pipe(Effect.provide(client))
  yield* Console.table(rows)
})

main.pipe(Effect.scoped, NodeRuntime.runMain)

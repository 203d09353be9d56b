/**
 * What a rotation costs on a real API server, for kubelock and for Dex's protocol in one run:
 * `node bench/refresh/figures.ts`, with `KUBEBUILDER_ASSETS` set.
 *
 * The upstream answers at once, so only the protocols are measured.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import * as Api from "../../src/cli/bench/harness/api.ts"
import * as Objects from "../../src/cli/bench/harness/objects.ts"
import * as realServer from "../harness/realServer.ts"
import * as requests from "../../src/cli/bench/harness/requests.ts"
import { quantile, sorted, timed } from "../../src/cli/bench/harness/statistics.ts"
import type { Token } from "./upstream.ts"
import * as Ways from "./ways.ts"

const namespace = "dex"
const millis = Number(process.env["REFRESH_FIGURES_MILLIS"] ?? 5000)

/** For each id, the rotation from which on values are fresh. */
type Wanted = Map<string, number>

const getter = (way: Ways.Way, wanted: Wanted) =>
  Ways.make(way, {
    location: RefreshOnce.inRefreshToken,
    namespace,
    isFresh: (token) => Effect.sync(() => token.rotation >= (wanted.get(Redacted.value(token.access)) ?? 0)),
    refresh: (current, id) =>
      Effect.sync((): Token => ({
        access: Redacted.make(id),
        refresh: Redacted.make("x".repeat(700)),
        expiresAt: DateTime.makeUnsafe(0),
        rotation: Option.match(current, { onNone: () => 0, onSome: ({ rotation }) => rotation }) + 1
      }))
  })

const percentile = (samples: ReadonlyArray<number>, share: number, digits: number): number =>
  Number((quantile(sorted(samples), share) ?? Number.NaN).toFixed(digits))

const all = { concurrency: "unbounded", discard: true } as const

/** Rotates each id again and again, for all callers of all instances, the ids side by side. */
const rotations = Effect.fnUntraced(function* (
  protocol: "kubelock" | "dex",
  ids: ReadonlyArray<string>,
  instances: number,
  callers: number
) {
  const wanted: Wanted = new Map()
  const gets = yield* Effect.forEach(Array.from({ length: instances }), () => getter(protocol, wanted))
  const everyCaller = gets.flatMap((get) => Array.from({ length: callers }, () => get))
  const askAll = (id: string, samples: Array<number>) =>
    Effect.forEach(everyCaller, (get) => timed(samples, get(id)), all)
  const rotate = (id: string, samples: Array<number>) =>
    Effect.suspend(() => {
      wanted.set(id, (wanted.get(id) ?? 1) + 1)
      return askAll(id, samples)
    })
  // The first value, the first connection and a first rotation do not count.
  yield* Effect.forEach(ids, (id) => Effect.forEach(gets, (get) => get(id)), { ...all, concurrency: 8 })
  yield* Effect.forEach(ids, (id) => rotate(id, []), all)

  const before = requests.counted()
  const took: Array<number> = []
  const began = yield* Clock.currentTimeMillis
  let count = 0
  const rotateOn = (id: string) =>
    Effect.gen(function* () {
      while ((yield* Clock.currentTimeMillis) - began < millis) {
        yield* rotate(id, took)
        count++
      }
    })
  yield* Effect.forEach(ids, rotateOn, all)
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  const sent = requests.total(requests.since(before))

  const fresh: Array<number> = []
  for (let n = 0; n < 100; n++) yield* askAll(ids[0]!, fresh)
  return {
    protocol,
    ids: ids.length,
    instances,
    callers: callers * instances,
    "rotations/s": Number((count / seconds).toFixed(1)),
    "requests/rotation": Number((sent / count).toFixed(2)),
    "get p50 ms": percentile(took, 0.5, 2),
    "get p99 ms": percentile(took, 0.99, 2),
    "fresh p50 ms": percentile(fresh, 0.5, 4),
    "fresh p99 ms": percentile(fresh, 0.99, 4)
  }
})

const main = Effect.gen(function* () {
  const place = { api: yield* Api.make, resource: Resource.refreshToken, namespace }
  const rows = []
  for (const [ids, instances, callers] of [
    [1, 1, 1],
    [1, 1, 32],
    [1, 4, 8],
    [100, 1, 1]
  ] as const) {
    for (const protocol of ["kubelock", "dex"] as const) {
      const row = yield* Objects.make(place, ids).pipe(
        Effect.tap((names) =>
          Effect.forEach(names, (name) => Objects.request(place, "patch", name, { connectorData: null }), {
            concurrency: 8
          })
        ),
        Effect.flatMap((names) => rotations(protocol, names, instances, callers)),
        Effect.scoped
      )
      yield* Console.error(JSON.stringify(row))
      rows.push(row)
    }
  }
  yield* Console.table(rows)
})

main.pipe(Effect.provide(realServer.layer), NodeRuntime.runMain)

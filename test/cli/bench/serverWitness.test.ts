/** The witness on the API server, told by contenders with a lock and without. */
import { assert, describe, it as plainly, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as ServerWitness from "../../../src/cli/bench/contest/serverWitness.ts"
import * as Api from "../../../src/cli/bench/harness/api.ts"
import * as requests from "../../../src/cli/bench/harness/requests.ts"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Resource from "../../../src/Resource.ts"
import * as ApiServer from "../../../src/testing/ApiServer.ts"

const client = Layer.unwrap(
  Effect.map(ApiServer.ApiServer, ({ kubeConfig }) => KubernetesClient.layerKubeConfigYaml(kubeConfig))
)

let made = 0

/** The witness of each of two machines on a fresh object, and what is left on it. */
const witnesses = Effect.fnUntraced(function* (most: number) {
  const server = yield* ApiServer.ApiServer
  const api = yield* Api.make
  const name = `witness-${++made}`
  yield* server.put(Resource.configMap, "default", { metadata: { name } })
  const of = (machine: number) => ServerWitness.make(api, { namespace: "default", names: [name], machine, most })
  const left = Effect.flatMap(
    api({
      method: "GET",
      path: Resource.objectPath(Resource.configMap, "default", name),
      id: name,
      verb: "get",
      object: name
    }),
    ServerWitness.read
  )
  return { machines: [of(0), of(1)] as const, left }
})

const visit = { id: 0, who: 0, isSole: true, token: undefined }

describe("the contender that must not be inside", () => {
  const sole = { who: "1.0", isSole: true }
  const reader = { who: "1.1", isSole: false }

  plainly("is anybody beside one that must be alone, a writer beside a reader, and one more than may be", () => {
    const intruder = (isSole: boolean, most: number, ...inside: ReadonlyArray<{ who: string; isSole: boolean }>) =>
      ServerWitness.intruder("0.0", { isSole, most }, { inside: [{ who: "0.0", isSole }, ...inside] })
    assert.isUndefined(intruder(true, 1))
    assert.strictEqual(intruder(true, 1, sole), "1.0")
    assert.strictEqual(intruder(true, 9, reader), "1.1")
    assert.isUndefined(intruder(false, 2, reader))
    assert.strictEqual(intruder(false, 1, reader), "1.1")
    assert.strictEqual(intruder(false, 9, reader, sole), "1.0")
    assert.isUndefined(intruder(false, Number.POSITIVE_INFINITY, reader, { ...reader, who: "1.2" }))
  })
})

layer(Layer.provideMerge(client, ApiServer.layer()), { excludeTestServices: true })("the witness", (it) => {
  it.effect("sees each visit, and nothing wrong, if one comes after the other", () =>
    Effect.gen(function* () {
      const { left, machines } = yield* witnesses(1)
      const lock = yield* Semaphore.make(1)
      let token = 1n
      const contender = (machine: 0 | 1, who: number) =>
        Effect.replicateEffect(
          lock.withPermits(1)(
            Effect.suspend(() => machines[machine].during({ ...visit, who, token: ++token }, Effect.yieldNow))
          ),
          5
        )
      const before = requests.counted()
      yield* Effect.all([contender(0, 0), contender(0, 1), contender(1, 0)], { concurrency: "unbounded" })
      const seen = ServerWitness.sum(machines.map((one) => one.seen()))
      assert.deepStrictEqual(seen, { ...ServerWitness.nothing, visits: 15, mostInside: 1, updates: 15 })
      assert.deepStrictEqual(yield* left, { count: 15, token: 16n, inside: [] })
      assert.strictEqual(requests.since(before).patch, 0)
    })
  )

  it.effect("sees those that are inside together, and the update that they lose", () =>
    Effect.gen(function* () {
      const { left, machines } = yield* witnesses(1)
      const first = yield* Effect.forkChild(machines[0].during(visit, Effect.sleep("300 millis")))
      yield* Effect.sleep("100 millis")
      yield* machines[1].during({ ...visit, who: 3 }, Effect.void)
      yield* Fiber.join(first)
      const seen = ServerWitness.sum(machines.map((one) => one.seen()))
      assert.include(seen, { visits: 2, mostInside: 2, overlaps: 1, updates: 2 })
      assert.deepStrictEqual(seen.incidents, [{ id: 0, who: "1.3", other: "0.0" }])
      assert.strictEqual((yield* left).count, 1)
    })
  )

  it.effect("lets as many in as there are permits, and readers, and sees what a reader should not have read", () =>
    Effect.gen(function* () {
      const { machines } = yield* witnesses(2)
      const reader = { ...visit, isSole: false }
      const readers = [0, 1].map((who) => machines[0].during({ ...reader, who }, Effect.sleep("300 millis")))
      yield* Effect.all(readers, { concurrency: "unbounded" })
      assert.include(machines[0].seen(), { mostInside: 2, overlaps: 0, staleReads: 0, updates: 0 })
      const slow = yield* Effect.forkChild(machines[0].during(reader, Effect.sleep("300 millis")))
      yield* Effect.sleep("100 millis")
      yield* machines[1].during(visit, Effect.void)
      yield* Fiber.join(slow)
      assert.include(machines[1].seen(), { overlaps: 1 })
      assert.include(machines[0].seen(), { overlaps: 0, staleReads: 1 })
    })
  )

  it.effect("sees a fencing token that is not greater than the last", () =>
    Effect.gen(function* () {
      const { machines } = yield* witnesses(1)
      for (const token of [5n, 6n, 6n, 4n, 7n]) yield* machines[0].during({ ...visit, token }, Effect.void)
      assert.include(machines[0].seen(), { staleTokens: 2, overlaps: 0 })
    })
  )

  it.effect("leaves also if it is interrupted, and writes again what was not answered", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.ApiServer
      const { left, machines } = yield* witnesses(1)
      const running = yield* Effect.forkChild(machines[0].during(visit, Effect.never))
      yield* Effect.sleep("100 millis")
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* server.inject(ApiServer.Fault.Drop({ at: "Answer" }), {
            when: ({ verb }) => verb === "patch",
            times: 1
          })
          yield* Fiber.interrupt(running)
        })
      )
      assert.deepStrictEqual(yield* left, { count: 1, token: 0n, inside: [] })
      assert.include(machines[0].seen(), { visits: 1, updates: 1, unsure: 0 })
    })
  )
})

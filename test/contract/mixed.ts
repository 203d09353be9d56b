/** Dex and kubelock contend for the lock of one token. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Dex from "../../src/testing/dex/Dex.ts"
import * as DexClient from "../../src/testing/dex/DexClient.ts"
import type { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import type { ObjectStore } from "../../src/ObjectStore.ts"
import * as Resource from "../../src/Resource.ts"
import { anObject, type World } from "../utils/World.ts"

const contenders = 3
const rounds = 8

/** Declares the suite. `it` is that of a layer with the world of RefreshTokens in the namespace `dex`. */
export const mixed = (it: Vitest.MethodsNonLive<World | ObjectStore | Lock.Lock | KubernetesClient>) => {
  it.effect("Dex and kubelock exclude each other on one token, and neither starves", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const dex = yield* DexClient.make({ resource: Resource.refreshToken, namespace: "dex" })

      let inside: string | undefined
      const enter = (name: string) =>
        Effect.gen(function* () {
          assert.isUndefined(inside, `${name} entered while ${inside} was inside`)
          inside = name
          yield* Effect.sleep("2 millis")
          assert.strictEqual(inside, name)
          inside = undefined
        })
      const asDex = (name: string) => Effect.scoped(Effect.andThen(Dex.scoped(dex, id), enter(name)))
      const asKubelock = (name: string) => Lock.withLock(id)(enter(name))

      const contender = (once: (name: string) => Effect.Effect<void, unknown, Lock.Lock>, name: string) =>
        Effect.gen(function* () {
          for (let round = 0; round < rounds; round++) {
            yield* once(name)
            yield* Effect.sleep(yield* Random.nextIntBetween(1, 20))
          }
          return rounds
        })
      const finished = yield* Effect.all(
        Array.from({ length: contenders }, (_, n) => [
          contender(asDex, `dex ${n}`),
          contender(asKubelock, `kubelock ${n}`)
        ]).flat(),
        { concurrency: "unbounded" }
      ).pipe(Random.withSeed("mixed"))
      assert.deepStrictEqual(
        finished,
        finished.map(() => rounds)
      )
      assert.deepStrictEqual(yield* Lock.inspect(id), { _tag: "Free" })
    })
  )
}

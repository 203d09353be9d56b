/** Leases in memory, and processes with sessions and faults of their own. In virtual time. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { fromContent, type LeaseSpec } from "../../src/internal/election/leaseSpec.ts"
import type { SessionReference } from "../../src/internal/session/sessionLease.ts"
import * as session from "../../src/internal/session/session.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import * as FaultyStore from "./FaultyStore.ts"

export const namespace = "jobs"

export const ttl = Duration.seconds(10)

export const setUp = Effect.gen(function* () {
  const memory = yield* ObjectStoreMemory.make()
  const { store } = memory

  const spec = ({ name }: SessionReference): Effect.Effect<LeaseSpec> =>
    Effect.orDie(Effect.map(store.read(name), ({ content }) => fromContent(content)))

  /** A process that opens sessions. `change` stands between it and its store. `lasts` is the TTL of its sessions. */
  const aProcess = Effect.fnUntraced(function* (
    identity: string,
    change: (store: ObjectStore["Service"]) => ObjectStore["Service"] = (store) => store,
    lasts: Duration.Duration = ttl
  ) {
    const faulty = FaultyStore.over(memory)
    const scope = yield* Scope.make()
    const sessions = yield* session
      .make({ identity, namespace, ttl: lasts })
      .pipe(Effect.provideService(ObjectStore, ObjectStore.of(change(faulty.store))), Scope.provide(scope))
    return {
      ...faulty,
      ...sessions,
      opens: Effect.gen(function* () {
        const own = yield* Scope.fork(scope)
        const session = yield* Scope.provide(sessions.open, own)
        return { ...session, close: Scope.close(own, Exit.void) }
      }),
      /** From now on nothing that it sends arrives. */
      crashes: Effect.sync(() => FaultyStore.failAll(faulty, "Hangs")),
      ends: Scope.close(scope, Exit.void)
    }
  })

  return { ...memory, spec, aProcess }
})

/** The same with two processes. */
export const setUpTwo = Effect.gen(function* () {
  const world = yield* setUp
  return { ...world, us: yield* world.aProcess("us"), them: yield* world.aProcess("them") }
})

/** One Lease in memory, candidates that are kubelocks, and what a controller in Go writes to the Lease. In virtual time. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { fieldsIn, fromContent, type LeaseSpec } from "../../src/internal/election/leaseSpec.ts"
import * as rfc3339 from "../../src/internal/time/rfc3339.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import type { Content } from "../../src/ObjectStore.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import * as FaultyStore from "./FaultyStore.ts"

export const name = "reports"

/** The annotations of the Lease that no election has written. */
export const foreign = { "example.com/other": "o" }

export const setUp = Effect.gen(function* () {
  const memory = yield* ObjectStoreMemory.make()
  const { store } = memory

  const spec: Effect.Effect<LeaseSpec> = Effect.orDie(
    Effect.map(store.read(name), ({ content }) => fromContent(content))
  )

  /** Writes fields of the spec, as another program does. Makes the Lease if it is missing. */
  const writes = (fields: Content, annotations: Readonly<Record<string, string>> = {}) =>
    Effect.gen(function* () {
      const made = yield* store.create(name, { ...foreign, ...annotations }, { spec: fields })
      if (Option.isSome(made)) return
      const { resourceVersion } = yield* store.read(name)
      yield* store.compareAndSwap(name, {
        expect: { resourceVersion },
        annotations,
        content: fieldsIn(fields)
      })
    }).pipe(Effect.orDie)

  /** A controller in Go takes the Lease, or renews it. Its clock is off by `skew` milliseconds. */
  const goHolds = (identity: string, { skew = 0, seconds = 15 } = {}) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      writes({
        holderIdentity: identity,
        leaseDurationSeconds: seconds,
        acquireTime: rfc3339.formatMicros(now + skew),
        renewTime: rfc3339.formatMicros(now + skew),
        leaseTransitions: 0
      })
    )

  /** A process with elections of its own, and faults of its own. */
  const aProcess = Effect.fnUntraced(function* (identity: string, options: LeaderElection.Options = {}) {
    const faulty = FaultyStore.over(memory)
    const scope = yield* Scope.make()
    const elections = yield* LeaderElection.make({ identity, ...options }).pipe(
      Effect.provideService(ObjectStore, faulty.store),
      Scope.provide(scope)
    )
    /** Campaigns in the background. */
    const campaigns = Effect.gen(function* () {
      const own = yield* Scope.make()
      const won = yield* Deferred.make<LeaderElection.Term>()
      const fiber = yield* Effect.forkChild(
        Effect.flatMap(Scope.provide(elections.scoped(name), own), (term) => Deferred.succeed(won, term)),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 millis")
      return {
        leads: Effect.map(Deferred.poll(won), Option.isSome),
        term: Deferred.await(won),
        fiber,
        ends: Effect.andThen(Fiber.interrupt(fiber), Scope.close(own, Exit.void))
      }
    })
    /** Leads again and again with this work, in the background. */
    const works = <A, E>(work: LeaderElection.Work<A, E, never>) =>
      Effect.tap(
        Effect.forkChild(
          Effect.provideService(LeaderElection.lead(name)(work), LeaderElection.LeaderElection, elections),
          { startImmediately: true }
        ),
        () => TestClock.adjust("1 millis")
      )
    return { ...faulty, elections, campaigns, works, scope }
  })

  return { ...memory, spec, writes, goHolds, aProcess }
})

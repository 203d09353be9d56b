/** How semaphores behave on any store, with live clocks. */
import { assert, type Vitest } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import type { ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import { annotate, annotationsOf, anObject, freshId, type World } from "../utils/World.ts"

const key = LockPolicy.neutralAnnotation

const longAgo = "2001-01-01T00:00:00Z"
const farAway = "2999-01-01T00:00:00Z"

/** A long wait, and a lease that is renewed often. */
const patient = { waitSchedule: LockPolicy.fixedPolls("20 millis", 3000), renewEvery: "200 millis" } as const

/** Another process. It ends with the scope of the caller. */
const aProcess = (identity: string) =>
  Effect.map(Semaphore.make({ identity }), (semaphore) => ({
    take: (id: string, options: Semaphore.TakeOptions) => semaphore.take(id, { ...patient, ...options }),
    takeIfAvailable: semaphore.takeIfAvailable
  }))

/** Begins to take permits, in a scope of its own. */
const wants = (take: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const fiber = yield* take.pipe(Scope.provide(scope), Effect.forkChild({ startImmediately: true }))
    return {
      has: Effect.sync(() => fiber.pollUnsafe() !== undefined),
      had: Fiber.join(fiber),
      giveUp: Fiber.interrupt(fiber),
      letGo: Scope.close(scope, Exit.void)
    }
  })

const waiting = (id: string, holders: number, waiters: number) =>
  Semaphore.inspect(id).pipe(
    Effect.repeat({ until: (line) => line.holders.length === holders && line.waiters.length === waiters }),
    Effect.timeout("30 seconds")
  )

/** Declares the suite. `it` is that of a layer that provides `World | ObjectStore | Semaphore`, on live clocks. */
export const semaphore = (it: Vitest.MethodsNonLive<World | ObjectStore | Semaphore.Semaphore>) => {
  it.effect("writes a lease with its permits, and leaves the object as it was when they are given back", () =>
    Effect.gen(function* () {
      const id = yield* anObject({ "example.com/other": "o" })
      yield* Effect.gen(function* () {
        const permit = yield* Semaphore.take(id, { limit: 4, permits: 3 })
        assert.strictEqual(permit.permits, 3)
        assert.isTrue(yield* permit.isValid)
        const line = yield* Semaphore.inspect(id)
        assert.strictEqual(line.limit, 4)
        assert.deepInclude(line.holders[0], { holder: permit.holderId, permits: 3, granted: 3, isExpired: false })
        assert.strictEqual((yield* annotationsOf(id))[key], "semaphore of 4")
      }).pipe(Effect.scoped)
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, { "example.com/other": "o" })
      assert.deepStrictEqual(yield* Semaphore.inspect(id), { limit: undefined, holders: [], waiters: [] })
    })
  )

  it.effect("lets in as many as there are permits, and no more", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      let inside = 0
      let most = 0
      let total = 0
      const work = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++inside)
        }),
        () => Effect.sleep("5 millis"),
        () =>
          Effect.sync(() => {
            inside--
            total++
          })
      )
      yield* Effect.forEach(
        Array.from({ length: 8 }, (_, index) => `p${index}`),
        (name) =>
          Effect.gen(function* () {
            const process = yield* aProcess(name)
            for (let round = 0; round < 3; round++) {
              yield* Effect.scoped(
                Effect.flatMap(process.take(id, { limit: 3, releaseInBackground: true }), (permit) =>
                  permit.guard(work)
                )
              )
            }
          }).pipe(Effect.scoped),
        { concurrency: "unbounded", discard: true }
      )
      assert.strictEqual(total, 24)
      assert.isAtMost(most, 3)
      assert.deepStrictEqual((yield* Semaphore.inspect(id)).holders, [])
    })
  )

  it.effect("serves in the order in which contenders came, and none passes one that asks for more than is free", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const order: Array<string> = []
      const enter = (name: string, permits: number) =>
        Effect.gen(function* () {
          const process = yield* aProcess(name)
          return yield* wants(
            Effect.tap(process.take(id, { limit: 2, permits }), () => Effect.sync(() => order.push(name)))
          )
        })
      const first = yield* enter("first", 1)
      yield* first.had
      const second = yield* enter("second", 2)
      yield* waiting(id, 1, 1)
      const third = yield* enter("third", 1)
      yield* waiting(id, 1, 2)
      const fresh = yield* aProcess("fresh")
      assert.strictEqual((yield* Effect.flip(fresh.takeIfAvailable(id, { limit: 2 })))._tag, "LockConflict")
      assert.isFalse(yield* third.has)
      yield* first.letGo
      yield* second.had
      assert.isFalse(yield* third.has)
      yield* second.letGo
      yield* third.had
      assert.deepStrictEqual(order, ["first", "second", "third"])
      yield* third.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("a release of several permits lets in several with one write", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const holder = yield* wants((yield* aProcess("holder")).take(id, { limit: 3, permits: 3 }))
      yield* holder.had
      const waiters = yield* Effect.forEach(["a", "b", "c"], (name) =>
        Effect.flatMap(aProcess(name), (process) => wants(process.take(id, { limit: 3 })))
      )
      yield* waiting(id, 1, 3)
      yield* holder.letGo
      for (const waiter of waiters) yield* waiter.had
      assert.lengthOf((yield* Semaphore.inspect(id)).holders, 3)
      for (const waiter of waiters) yield* waiter.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("a contender that gives up leaves the line, and those behind it come forward", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const holder = yield* wants((yield* aProcess("holder")).take(id, { limit: 2 }))
      yield* holder.had
      const greedy = yield* wants((yield* aProcess("greedy")).take(id, { limit: 2, permits: 2 }))
      yield* waiting(id, 1, 1)
      const modest = yield* wants((yield* aProcess("modest")).take(id, { limit: 2 }))
      yield* waiting(id, 1, 2)
      yield* greedy.giveUp
      yield* Effect.timeout(modest.had, "30 seconds")
      yield* holder.letGo
      yield* modest.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("fibers of one process share a lease, and hand their permits on", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      let inside = 0
      let most = 0
      const leases = new Set<string>()
      yield* Effect.forEach(
        Array.from({ length: 24 }),
        () =>
          Semaphore.withPermits(id, { ...patient, limit: 4 })((permit) =>
            Effect.gen(function* () {
              leases.add(permit.holderId)
              most = Math.max(most, ++inside)
              yield* Effect.sleep("2 millis")
              inside--
            })
          ),
        { concurrency: "unbounded", discard: true }
      )
      assert.isAtMost(most, 4)
      assert.isBelow(leases.size, 4)
      yield* waiting(id, 0, 0)
    })
  )

  it.effect("runs with permits that are free, and not with others", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const options = { limit: 1 }
      assert.deepStrictEqual(yield* Semaphore.withPermitsIfAvailable(id, options)(Effect.succeed(1)), Option.some(1))
      const holder = yield* wants((yield* aProcess("holder")).take(id, options))
      yield* holder.had
      assert.deepStrictEqual(yield* Semaphore.withPermitsIfAvailable(id, options)(Effect.succeed(1)), Option.none())
      yield* holder.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("fencing tokens grow with each holder of a permit", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const [a, b] = [yield* aProcess("a"), yield* aProcess("b")]
      const token = (process: typeof a) =>
        Effect.scoped(Effect.map(process.take(id, { limit: 1 }), ({ fencingToken }) => fencingToken))
      const tokens = [yield* token(a), yield* token(b), yield* token(a)]
      assert.isTrue(tokens[0]! < tokens[1]! && tokens[1]! < tokens[2]!)
    }).pipe(Effect.scoped)
  )

  it.effect("takes the permits of a holder whose lease has expired", () =>
    Effect.gen(function* () {
      const id = yield* anObject({
        [key]: "semaphore of 1",
        [`${key}-lease-deaddeaddead.1`]: `dead/deaddeaddead.1 1 ${longAgo}`,
        [`${key}-place-deaddeaddead.1`]: "1"
      })
      assert.isTrue((yield* Semaphore.inspect(id)).holders[0]!.isExpired)
      yield* Effect.scoped(Semaphore.take(id, { limit: 1 }))
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
    })
  )

  it.effect("leaves an object whose permits have all expired to an exclusive lock", () =>
    Effect.gen(function* () {
      const dead = {
        [`${key}-lease-deaddeaddead.1`]: `dead/deaddeaddead.1 1 ${longAgo}`,
        [`${key}-place-deaddeaddead.1`]: "1"
      }
      const id = yield* anObject({ [key]: "semaphore of 1", ...dead })
      const lock = yield* Lock.make({ policy: LockPolicy.make({ annotation: key }) })
      yield* Effect.scoped(lock.scoped(id))
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
    }).pipe(Effect.scoped)
  )

  it.effect("an operator takes permits away, the holder loses them, and the next contender gets them", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const lost = yield* Deferred.make<unknown>()
      const process = yield* aProcess("holder")
      const holder = yield* process.take(id, { limit: 1 })
      yield* Effect.forkChild(Effect.flatMap(Effect.flip(holder.lost), (error) => Deferred.succeed(lost, error)))
      const next = yield* wants((yield* aProcess("next")).take(id, { limit: 1 }))
      yield* waiting(id, 1, 1)
      assert.isFalse(yield* Semaphore.break(id, "nobody/aaaaaaaaaaaa.1"))
      assert.isTrue(yield* Semaphore.break(id, holder.holderId))
      yield* Effect.timeout(next.had, "30 seconds")
      assert.deepInclude(yield* Effect.timeout(Deferred.await(lost), "30 seconds"), { _tag: "LockLost" })
      yield* next.letGo
    }).pipe(Effect.scoped)
  )

  it.effect("refuses another limit, and another kind of lock, for as long as it is in use", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const lock = yield* Lock.make({ policy: LockPolicy.make({ annotation: key }) })
      yield* Effect.gen(function* () {
        yield* Semaphore.take(id, { limit: 4 })
        const found = "a semaphore of 4 permits"
        const other = yield* aProcess("other")
        const disagreeing = yield* Effect.flip(other.take(id, { limit: 8 }))
        assert.deepInclude(disagreeing, { _tag: "LockMismatch", found, wanted: "a semaphore of 8 permits" })
        assert.match(disagreeing.message, /semaphore of 4 permits and in use, not a semaphore of 8 permits/)
        const exclusive = yield* Effect.flip(lock.scoped(id))
        assert.deepInclude(exclusive, { _tag: "LockMismatch", found, wanted: "an exclusive lock" })
        assert.deepInclude(yield* Effect.flip(lock.tryScoped(id)), { _tag: "LockMismatch" })
        assert.deepInclude(yield* Effect.flip(lock.break(id)), { _tag: "LockMismatch" })
        assert.deepInclude(yield* Effect.flip(lock.inspect(id)), { _tag: "LockMismatch", found })
        assert.notStrictEqual(yield* lock.removeIdle(id), "Removed")
        const shared = yield* SharedLock.make()
        for (const asked of [shared.tryExclusive(id), shared.inspect(id), shared.break(id, "nobody")]) {
          const error = yield* Effect.flip(asked as Effect.Effect<unknown, LockError.LockError, Scope.Scope>)
          assert.deepInclude(error, { _tag: "LockMismatch", found, wanted: "a shared lock" })
        }
      }).pipe(Effect.scoped)
      yield* Effect.scoped(Semaphore.take(id, { limit: 8 }))
      yield* Effect.gen(function* () {
        yield* lock.scoped(id)
        const error = yield* Effect.flip(Semaphore.take(id, { limit: 4 }))
        assert.deepInclude(error, { _tag: "LockMismatch", found: "an exclusive lock" })
        assert.deepInclude(yield* Effect.flip(Semaphore.inspect(id)), { _tag: "LockMismatch" })
        assert.deepInclude(yield* Effect.flip(Semaphore.break(id, "nobody")), { _tag: "LockMismatch" })
        assert.deepInclude(yield* Effect.flip(Semaphore.takeIfAvailable(id, { limit: 4 })), { _tag: "LockMismatch" })
      }).pipe(Effect.scoped)
      yield* annotate(id, { [LockPolicy.dexAnnotation]: farAway })
      for (const asked of [Semaphore.inspect(id), Semaphore.break(id, "nobody"), Semaphore.take(id, { limit: 4 })]) {
        const error = yield* Effect.flip(
          asked as Effect.Effect<unknown, LockError.LockError, Scope.Scope | Semaphore.Semaphore>
        )
        assert.deepInclude(error, { _tag: "LockMismatch", key: LockPolicy.dexAnnotation, found: "an exclusive lock" })
      }
      yield* annotate(id, { [LockPolicy.dexAnnotation]: null })
      yield* annotate(id, { [key]: longAgo })
      yield* Effect.scoped(Semaphore.take(id, { limit: 8 }))
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
    }).pipe(Effect.scoped)
  )

  it.effect("makes a missing object if it may", () =>
    Effect.gen(function* () {
      const id = freshId()
      yield* Effect.scoped(Semaphore.take(id, { limit: 2, createIfMissing: true }))
      assert.deepStrictEqual({ ...(yield* annotationsOf(id)) }, {})
      const lock = yield* Lock.make({ policy: LockPolicy.make({ annotation: key, sharedWithDex: false }) })
      yield* annotate(id, {
        [key]: "semaphore of 1",
        [`${key}-lease-deaddeaddead.1`]: `dead/deaddeaddead.1 1 ${farAway}`,
        [`${key}-place-deaddeaddead.1`]: "1"
      })
      assert.strictEqual(yield* lock.removeIdle(id), "InUse")
      yield* annotate(id, { [`${key}-lease-deaddeaddead.1`]: `dead/deaddeaddead.1 1 ${longAgo}` })
      assert.strictEqual(yield* lock.removeIdle(id), "Removed")
    })
  )

  it.effect("leaves what a stranger writes alone", () =>
    Effect.gen(function* () {
      const id = yield* anObject()
      const process = yield* aProcess("p")
      const holder = yield* wants(process.take(id, { limit: 2 }))
      yield* holder.had
      yield* annotate(id, { "example.com/stranger": "s" })
      yield* holder.letGo
      assert.deepStrictEqual((yield* annotationsOf(id))["example.com/stranger"], "s")
      assert.deepStrictEqual((yield* Semaphore.inspect(id)).holders, [])
    }).pipe(Effect.scoped)
  )
}

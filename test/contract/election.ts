/** What elections do on every store of Leases: the record, hand-overs, and what is left alone. */
import { assert, type Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ElectionTiming from "../../src/ElectionTiming.ts"
import { fieldsIn, fromContent } from "../../src/internal/election/leaseSpec.ts"
import * as rfc3339 from "../../src/internal/time/rfc3339.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as Lock from "../../src/Lock.ts"
import type * as LockError from "../../src/LockError.ts"
import { type Content, ObjectStore } from "../../src/ObjectStore.ts"
import * as Semaphore from "../../src/Semaphore.ts"
import * as SharedLock from "../../src/SharedLock.ts"
import { freshId, World } from "../utils/World.ts"

const timing = ElectionTiming.make({
  leaseDuration: "4 seconds",
  renewDeadline: "3 seconds",
  retryPeriod: "200 millis"
})

/** Elections of one process, and its terms, each of which ends when its `end` runs. */
const aProcess = Effect.fnUntraced(function* (identity: string) {
  const elections = yield* LeaderElection.make({ identity, timing })
  return {
    ...elections,
    leads: Effect.fnUntraced(function* (name: string) {
      const scope = yield* Scope.make()
      const term = yield* Scope.provide(elections.scoped(name), scope)
      return { ...term, end: Scope.close(scope, Exit.void) }
    })
  }
})

const specOf = (name: string) =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    return fromContent((yield* store.read(name)).content)
  })

/** Writes fields of the spec as another program does, on any version. */
const writes = (name: string, fields: Content) =>
  Effect.gen(function* () {
    const store = yield* ObjectStore
    const { resourceVersion } = yield* store.read(name)
    return yield* store.compareAndSwap(name, {
      expect: { resourceVersion },
      annotations: {},
      content: fieldsIn(fields)
    })
  }).pipe(Effect.repeat({ until: Option.isSome }), Effect.asVoid)

const goHolds = (name: string) =>
  writes(name, {
    holderIdentity: "go_1",
    leaseDurationSeconds: 4,
    acquireTime: rfc3339.formatMicros(Date.now()),
    renewTime: rfc3339.formatMicros(Date.now()),
    leaseTransitions: 3
  })

/** Declares the suite. The store is one of Leases, with their content. */
export const election = (it: Vitest.MethodsNonLive<World | ObjectStore>) => {
  const aLease = Effect.gen(function* () {
    const name = freshId()
    yield* (yield* World).make(name, { "example.com/a": "1" })
    return name
  })

  it.effect("are written as client-go writes them, and released so", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const name = freshId()
      const us = yield* aProcess("us")
      const term = yield* us.leads(name)
      const { acquireTime, leaseDurationSeconds, renewTime, ...rest } = yield* specOf(name)
      assert.deepStrictEqual(rest, { holderIdentity: term.identity, leaseTransitions: 0 })
      // Rounded, and longer by what is not known of the server's time.
      assert.isAtLeast(leaseDurationSeconds!, 5)
      assert.isAtMost(leaseDurationSeconds!, 7)
      assert.match(String(renewTime), /\.\d{6}Z$/)
      assert.match(String(acquireTime), /\.\d{6}Z$/)
      yield* term.end
      const released = yield* specOf(name)
      assert.deepInclude(released, { holderIdentity: "", leaseDurationSeconds: 1, leaseTransitions: 0 })
      const again = yield* us.leads(name)
      assert.propertyVal(yield* specOf(name), "leaseTransitions", 1)
      assert.isAbove(Number(again.fencingToken), Number(term.fencingToken))
      yield* again.end
      assert.deepStrictEqual({ ...(yield* store.read(name)).annotations }, {})
      yield* (yield* World).delete(name)
    })
  )

  it.effect("hand over to the candidates in their order, each time with one write", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const name = yield* aLease
      const leader = yield* (yield* aProcess("a")).leads(name)
      const waiting = yield* Effect.forEach(["b", "c"], (who) =>
        Effect.gen(function* () {
          const process = yield* aProcess(who)
          const fiber = yield* Effect.forkChild(process.leads(name), { startImmediately: true })
          yield* store.watch(name).pipe(
            Stream.filter((event) => event._tag === "Changed" && JSON.stringify(event.snapshot).includes(`${who}/`)),
            Stream.runHead
          )
          return fiber
        })
      )
      const tokens = [leader.fencingToken]
      let current = leader
      for (const fiber of waiting) {
        yield* current.end
        current = yield* Fiber.join(fiber)
        tokens.push(current.fencingToken)
        assert.propertyVal(yield* specOf(name), "holderIdentity", current.identity)
      }
      assert.propertyVal(yield* specOf(name), "leaseTransitions", 3)
      yield* current.end
      assert.deepStrictEqual(
        tokens,
        tokens.toSorted((a, b) => Number(a - b))
      )
      assert.deepStrictEqual({ ...(yield* store.read(name)).annotations }, { "example.com/a": "1" })
    })
  )

  it.effect("leave a Lease alone that a controller in Go holds, and take it once that has released it", () =>
    Effect.gen(function* () {
      const store = yield* ObjectStore
      const name = yield* aLease
      yield* goHolds(name)
      const { resourceVersion } = yield* store.read(name)
      const fiber = yield* Effect.forkChild((yield* aProcess("us")).leads(name), { startImmediately: true })
      yield* Effect.sleep("500 millis")
      assert.strictEqual((yield* store.read(name)).resourceVersion, resourceVersion)
      yield* writes(name, { holderIdentity: "", leaseDurationSeconds: 1 })
      const term = yield* Fiber.join(fiber)
      assert.deepInclude(yield* specOf(name), { holderIdentity: term.identity, leaseTransitions: 4 })
      yield* term.end
    })
  )

  it.effect("tell a leader that the Lease was taken, and by whom", () =>
    Effect.gen(function* () {
      const name = yield* aLease
      const term = yield* (yield* aProcess("us")).leads(name)
      yield* goHolds(name)
      assert.deepInclude(yield* Effect.flip(term.lost), { reason: "TakenOver", holder: "go_1" })
      assert.isFalse(yield* term.isValid)
      yield* term.end
      assert.propertyVal(yield* specOf(name), "holderIdentity", "go_1")
    })
  )

  it.effect("have Leases of their own: neither a lock nor an election writes to one of the other", () =>
    Effect.gen(function* () {
      const memory = yield* ObjectStore
      const lock = yield* Lock.make({ identity: "locker" }).pipe(
        Effect.provideService(ObjectStore, { ...memory, holdsLeases: true })
      )
      const us = yield* aProcess("us")
      const asFound = (name: string) => Effect.map(memory.read(name), ({ resourceVersion }) => resourceVersion)

      const held = yield* aLease
      const scope = yield* Scope.make()
      const { holderId } = yield* Scope.provide(lock.scoped(held), scope)
      const heldVersion = yield* asFound(held)
      assert.deepInclude(yield* Effect.flip(Effect.scoped(us.scoped(held))), {
        _tag: "LockOccupied",
        by: "lock",
        holder: holderId
      })
      assert.strictEqual(yield* asFound(held), heldVersion)
      yield* Scope.close(scope, Exit.void)

      const semaphore = yield* Semaphore.make({ identity: "taker" }).pipe(
        Effect.provideService(ObjectStore, { ...memory, holdsLeases: true })
      )
      const shared = yield* SharedLock.make({ identity: "reader" }).pipe(
        Effect.provideService(ObjectStore, { ...memory, holdsLeases: true })
      )
      const takes: ReadonlyArray<(id: string) => Effect.Effect<{ readonly holderId: string }, unknown, Scope.Scope>> = [
        (id) => semaphore.take(id, { limit: 2 }),
        (id) => shared.shared(id),
        (id) => shared.exclusive(id)
      ]
      for (const take of takes) {
        const id = yield* aLease
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { holderId } = yield* take(id)
            const version = yield* asFound(id)
            assert.deepInclude(yield* Effect.flip(Effect.scoped(us.scoped(id))), {
              _tag: "LockOccupied",
              by: "lock",
              holder: holderId
            })
            assert.strictEqual(yield* asFound(id), version)
          })
        )
        yield* (yield* us.leads(id)).end
      }

      const led = yield* aLease
      const leaders: ReadonlyArray<readonly [string | undefined, Effect.Effect<unknown, unknown, ObjectStore>]> = [
        ["go_1", goHolds(led)],
        [undefined, writes(led, { holderIdentity: "" })]
      ]
      for (const [holder, lead] of leaders) {
        yield* lead
        const version = yield* asFound(led)
        for (const want of [lock.scoped(led), lock.tryScoped(led), ...takes.map((take) => take(led))].map(
          Effect.scoped
        )) {
          const error = yield* Effect.flip(want as Effect.Effect<unknown, LockError.LockError>)
          assert.deepInclude(error, { _tag: "LockOccupied", by: "election" })
          assert.strictEqual(error._tag === "LockOccupied" ? error.holder : "", holder)
        }
        assert.strictEqual(yield* lock.removeIdle(led), "Foreign")
        assert.strictEqual(yield* asFound(led), version)
      }
    })
  )

  it.effect("tell those who observe who leads", () =>
    Effect.gen(function* () {
      const name = freshId()
      const us = yield* aProcess("us")
      const seen = yield* Queue.unbounded<string | undefined>()
      yield* Effect.forkScoped(
        Stream.runForEach(us.observe(name), (leader) =>
          Queue.offer(seen, Option.getOrUndefined(Option.map(leader, ({ identity }) => identity)))
        )
      )
      assert.isUndefined(yield* Queue.take(seen))
      const term = yield* us.leads(name)
      assert.strictEqual(yield* Queue.take(seen), term.identity)
      yield* term.end
      assert.isUndefined(yield* Queue.take(seen))
      yield* (yield* World).delete(name)
    })
  )
}

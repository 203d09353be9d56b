/** What the store of elections knows of a Lease when it writes: a write that has to read first costs two requests more. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import * as electionStore from "../../../src/internal/election/electionStore.ts"
import { fromContent, type LeaseSpec } from "../../../src/internal/election/leaseSpec.ts"
import * as LockRecord from "../../../src/LockRecord.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import * as FaultyStore from "../../utils/FaultyStore.ts"

const key = "kubelock.dev/leader"
const name = "reports"
const kind = electionStore.kind(key)
const lease = (second: number) => ({ holderId: "us/000000000000.1", expiry: `1970-01-01T00:01:2${second}Z` })

/** A store of elections over one of Leases, in which a leader holds one. */
const setUp = Effect.gen(function* () {
  yield* TestClock.adjust("1 minute")
  const leases = yield* FaultyStore.make(["another", "and another"])
  const behind = { store: leases.store }
  const slowPaths: Array<string> = []
  const store = electionStore.make(
    ObjectStore.of({
      ...leases.store,
      read: (id) => Effect.suspend(() => behind.store.read(id)),
      compareAndSwap: (id, patch) => Effect.suspend(() => behind.store.compareAndSwap(id, patch))
    }),
    {
      key,
      leaseDuration: 15,
      onSlowPath: (id) => Effect.sync(() => void slowPaths.push(id)),
      onLongLease: () => Effect.void
    }
  )
  yield* store.create(name, kind.encode(lease(0)))
  /** The renewal that follows on the one of the second before. */
  const renews = (second: number) =>
    Effect.map(
      store.compareAndSwap(name, {
        expect: { annotations: kind.encode(lease(second - 1)) },
        annotations: kind.encode(lease(second))
      }),
      Option.isSome
    )
  return { leases, behind, slowPaths, store, renews }
})

describe("a renewal", () => {
  it.effect("is one write, also if an older version of the Lease arrives after the last one", () =>
    Effect.gen(function* () {
      const { behind, leases, renews, slowPaths, store } = yield* setUp
      const old = yield* leases.sound.read(name)
      assert.isTrue(yield* renews(1))
      behind.store = { ...leases.store, read: () => Effect.succeed(old) }
      yield* store.read(name)
      behind.store = leases.store
      leases.requests.length = 0
      assert.isTrue(yield* renews(2))
      assert.deepStrictEqual(leases.requests, ["write"])
      assert.deepStrictEqual(slowPaths, [])
    })
  )

  it.effect("is one write, also if the Lease was made anew where versions are lower", () =>
    Effect.gen(function* () {
      const { behind, leases, renews, slowPaths, store } = yield* setUp
      assert.isTrue(yield* renews(1))
      const before = yield* leases.sound.read(name)
      const restored = yield* FaultyStore.make([])
      const after = Option.getOrThrow(yield* restored.sound.create(name, {}, before.content))
      assert.isBelow(Number(after.resourceVersion), Number(before.resourceVersion))
      assert.notStrictEqual(after.uid, before.uid)
      behind.store = restored.store
      yield* store.read(name)
      restored.requests.length = 0
      assert.isTrue(yield* renews(2))
      assert.deepStrictEqual(restored.requests, ["write"])
      assert.deepStrictEqual(slowPaths, [])
    })
  )
})

describe("a write", () => {
  it.effect("gives up if the Lease changes between each reading and the write that follows", () =>
    Effect.gen(function* () {
      const { behind, leases, store } = yield* setUp
      let readings = 0
      behind.store = {
        ...leases.store,
        read: (id) => {
          readings++
          return leases.store.read(id)
        },
        compareAndSwap: () => Effect.succeedNone
      }
      const write = { expect: { annotations: kind.encode(lease(0)) }, annotations: kind.encode(lease(1)) }
      const error = yield* Effect.flip(store.compareAndSwap(name, write))
      assert.strictEqual(error._tag, "LockUnavailable")
      assert.strictEqual(readings, 5)
    })
  )

  it.effect("shows a duration that client-go counts from then on for no shorter than the lease lasts", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      const { store: leases } = yield* ObjectStoreMemory.make()
      // The server's clock may be anywhere in four seconds.
      const now = Effect.map(leases.now, ({ earliest, latest }) => ({
        earliest: earliest - 2000,
        latest: latest + 2000
      }))
      const options = { key, leaseDuration: 15, onSlowPath: () => Effect.void, onLongLease: () => Effect.void }
      const store = electionStore.make(ObjectStore.of({ ...leases, now }), options)
      const lasts = (spec: LeaseSpec) => assert.isAtLeast(spec.leaseDurationSeconds!, 22)
      // It was the 58th second at the earliest.
      yield* store.create(name, kind.encode(lease(0)))
      lasts(fromContent((yield* leases.read(name)).content))
      const write = { expect: { annotations: kind.encode(lease(0)) }, annotations: kind.encode(lease(1)) }
      assert.isTrue(Option.isSome(yield* store.compareAndSwap(name, write)))
      lasts(fromContent((yield* leases.read(name)).content))
    })
  )
})

describe("a holder that is no kubelock", () => {
  it.effect("is not taken for gone early by a process that is suspended while it reads the time", () =>
    Effect.gen(function* () {
      const { store: leases } = yield* ObjectStoreMemory.make()
      let isSuspended = false
      const store = electionStore.make(
        ObjectStore.of({
          ...leases,
          now: Effect.tap(leases.now, () => (isSuspended ? TestClock.adjust("10 seconds") : Effect.void))
        }),
        { key, leaseDuration: 15, onSlowPath: () => Effect.void, onLongLease: () => Effect.void }
      )
      yield* leases.create(name, {}, { spec: { holderIdentity: "go", leaseDurationSeconds: 15 } })
      yield* store.read(name)
      isSuspended = true
      const { annotations } = yield* store.read(name)
      const expiresAt = LockRecord.leaseOf(kind.decode(annotations))?.expiresAt
      assert.isAtLeast(expiresAt ?? 0, 15_000)
    })
  )
})

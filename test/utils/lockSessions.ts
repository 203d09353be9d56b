/** Locks in memory, and processes that hold them under sessions. Each has faults of its own, with locks and with Leases. In virtual time. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { fieldsIn, fromContent } from "../../src/internal/election/leaseSpec.ts"
import * as sessionLease from "../../src/internal/session/sessionLease.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import { type ConditionalPatch, type MetadataPatch, ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import { contend } from "./contend.ts"
import * as FaultyStore from "./FaultyStore.ts"

export const key = LockPolicy.neutralAnnotation

export const namespace = "memory"

type Store = ObjectStore["Service"]

/** What stands between a process and its stores. */
export interface Between {
  readonly locks?: (store: Store) => Store
  readonly leases?: (store: Store) => Store
}

export const setUp = Effect.gen(function* () {
  const objects = yield* ObjectStoreMemory.make()
  const leases = yield* ObjectStoreMemory.make()

  const annotations = (id: string) => Effect.orDie(Effect.map(objects.store.read(id), ({ annotations }) => annotations))
  const record = (id: string) =>
    Effect.map(annotations(id), (annotations) => LockRecord.leaseOf(LockRecord.fromAnnotations(key, annotations)))
  const write = (store: Store, id: string, change: Pick<ConditionalPatch, "annotations" | "content">) =>
    Effect.orDie(
      Effect.flatMap(store.read(id), ({ resourceVersion }) =>
        store.compareAndSwap(id, { expect: { resourceVersion }, ...change })
      )
    )
  const annotate = (id: string, annotations: MetadataPatch) => write(objects.store, id, { annotations })

  /** A process. `knows: false`: it is of a version that knows no sessions. */
  const aProcess = Effect.fnUntraced(function* (
    identity: string,
    {
      between = {},
      knows = true,
      ...options
    }: LockPolicy.Options & { readonly between?: Between; readonly knows?: boolean } = {}
  ) {
    const ownLocks = FaultyStore.over(objects)
    const ownLeases = FaultyStore.over(leases)
    const leaseStore = between.leases?.(ownLeases.store) ?? ownLeases.store
    const lockStore: Store = {
      ...(between.locks?.(ownLocks.store) ?? ownLocks.store),
      sessionLeases: knows ? { namespace, leases: () => leaseStore } : undefined
    }
    const scope = yield* Scope.make()
    const lock = yield* Lock.make({ identity, policy: LockPolicy.make({ session: knows, ...options }) }).pipe(
      Effect.provideService(ObjectStore, ObjectStore.of(lockStore)),
      Scope.provide(scope)
    )
    const wants = (id: string, options?: Lock.AcquireOptions) =>
      Effect.tap(contend(lock, id, options), () => TestClock.adjust("1 millis"))
    return {
      lock,
      locks: ownLocks,
      leases: ownLeases,
      wants,
      /** Has the lock, under a session. */
      has: (id: string) => Effect.flatMap(wants(id), (one) => Effect.as(one.held, one)),
      /** Nothing of it arrives any more. */
      crashes: Effect.sync(() => {
        for (const store of [ownLocks, ownLeases]) FaultyStore.failAll(store, "Hangs")
      }),
      recovers: Effect.sync(() => {
        for (const { faults } of [ownLocks, ownLeases]) faults.length = 0
      }),
      forgets: Effect.sync(() => {
        for (const { requests } of [ownLocks, ownLeases]) requests.length = 0
      }),
      ends: Scope.close(scope, Exit.void)
    }
  })

  return {
    objects,
    leases,
    annotations,
    record,
    annotate,
    aProcess,
    /** Writes fields of the spec of a Lease by hand. */
    writeLease: (name: string, spec: Readonly<Record<string, string>>, annotations: MetadataPatch = {}) =>
      write(leases.store, name, { annotations, content: fieldsIn(spec) }),
    holder: (id: string) => Effect.map(record(id), (lease) => lease?.holderId?.split("/")[0]),
    waiting: (id: string) =>
      Effect.map(annotations(id), (annotations) =>
        LockQueue.fromAnnotations(key, annotations).waiters.map((name) => name.split("/")[0])
      ),
    /** The Lease of the session that a lock is under. */
    leaseOf: (id: string) =>
      Effect.gen(function* () {
        const { session } = (yield* record(id)) ?? {}
        const reference = session === undefined ? undefined : sessionLease.parse(session)
        if (reference === undefined) return undefined
        const { content } = yield* Effect.orDie(leases.store.read(reference.name))
        return { reference, spec: fromContent(content) }
      })
  }
})

/** One of the processes. */
export type Process = Effect.Success<ReturnType<Effect.Success<typeof setUp>["aProcess"]>>

/** A process that has opened its session. */
export const withSession = (process: Effect.Effect<Process>) =>
  Effect.tap(process, (process) =>
    Effect.gen(function* () {
      yield* (yield* process.has("first")).letGo
      yield* TestClock.adjust("100 millis")
      yield* process.forgets
    })
  )

/** The same with two processes, of which the first has opened its session. */
export const setUpTwo = Effect.gen(function* () {
  const world = yield* setUp
  return { ...world, us: yield* withSession(world.aProcess("us")), them: yield* world.aProcess("them") }
})

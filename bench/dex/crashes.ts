/** Processes are killed with the lock in their hands, while kubelock and Dex wait for it: who breaks the lock, and when. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChildProcess } from "node:child_process"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import type { Order } from "./contender.ts"
import type { Crashes, Victim } from "./measurements.ts"
import { type Place, taskOf } from "./place.ts"

const entry = new URL("contender.ts", import.meta.url)

/** A process that contends, and can be killed. */
const aProcess = Effect.fnUntraced(function* (place: Place, kind: Victim) {
  const scope = yield* Effect.scope
  let child: ChildProcess | undefined
  const ask = yield* Workers.start<Order, void>(`a process of ${kind}`, () => (child = Workers.process(entry)))
  yield* ask({ _tag: "Contend", task: taskOf(place, kind, 1) })
  // A scope that closes would ask the process to end, and it would release its lock.
  const kill = Effect.andThen(
    Effect.sync(() => child?.kill("SIGKILL")),
    Scope.close(scope as Scope.Closeable, Exit.void)
  )
  return { keep: ask({ _tag: "Keep" }), kill }
})

const leaseOf = ({ annotations }: ObjectSnapshot): LockRecord.RecordedLease | undefined =>
  LockRecord.leaseOf(LockRecord.fromAnnotations(LockPolicy.dexAnnotation, annotations))

/** Kills so many processes, one after the other. `dexes` wait with one kubelock, besides the one that is to die. */
export const measure = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  place: Place,
  { count, dexes, victim }: { readonly count: number; readonly dexes: number; readonly victim: Victim }
) {
  const begin = (kind: Victim) =>
    Effect.flatMap(Scope.make(), (scope) =>
      Effect.acquireRelease(Scope.provide(aProcess(place, kind), scope), ({ kill }) => kill)
    )
  const others = [...Array.from({ length: dexes }, () => "dex" as const), "kubelock" as const]
  yield* Effect.forEach(others, begin, { concurrency: 2, discard: true })

  const events = yield* Queue.unbounded<{
    readonly at: number
    readonly lease: LockRecord.RecordedLease | undefined
  }>()
  yield* Stream.runForEach(store.watch(place.id), (event) =>
    event._tag === "Changed" ? Queue.offer(events, { at: Date.now(), lease: leaseOf(event.snapshot) }) : Effect.void
  ).pipe(Effect.forkScoped)

  const chains: Array<number> = []
  const late: Array<number> = []

  // Follows the lock of a process that is dead, until kubelock breaks it.
  const follow = Effect.fnUntraced(function* (dead: LockRecord.RecordedLease) {
    let standing = dead
    for (let expiries = 1; ;) {
      const { at, lease } = yield* Queue.take(events)
      if (lease?.expiry === standing.expiry && lease.holderId === standing.holderId) continue
      // A Dex that did not wait before it broke the lock releases it.
      if (lease === undefined) return expiries - 1
      if (lease.holderId !== undefined) {
        late.push(at - standing.expiresAt)
        return expiries
      }
      standing = lease
      expiries++
    }
  })

  for (let crash = 0; crash < count; crash++) {
    const doomed = yield* begin(victim)
    yield* Effect.sleep(yield* Random.nextIntBetween(300, 1300))
    yield* doomed.keep
    yield* doomed.kill
    yield* Effect.sleep("200 millis")
    yield* Queue.clear(events)
    const dead = leaseOf(yield* store.read(place.id))
    if (dead === undefined) return yield* new LoadError({ message: "the lock of the process that was killed is gone" })
    chains.push(yield* follow(dead))
  }
  const crashes: Crashes = { dexes, victim, chains, late }
  return crashes
}, Effect.scoped)

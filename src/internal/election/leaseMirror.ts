/**
 * Locks on Leases: the spec of a Lease says what the lock's annotations say, so that `kubectl get leases` and kube-state-metrics show the
 * holder. The annotations are the lock. The spec is written along with them, in the same request. It is read to tell whether the Lease
 * belongs to an election: then it is left alone.
 *
 * The spec has room for one holder, so it shows none of permits.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Occupied } from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { Content, MetadataPatch, ObjectSnapshot, Precondition, ServerTime } from "../../ObjectStore.ts"
import { ObjectStore } from "../../ObjectStore.ts"
import * as leaseSpec from "./leaseSpec.ts"

/** The store of Leases whose specs show the holders of the locks of this kind. */
export const make = (
  store: ObjectStore["Service"],
  { key, otherKeys }: Pick<LockKind, "key" | "otherKeys">
): ObjectStore["Service"] => {
  // What a patch of the lock's annotations changes in the spec. `holder`: the holder that the write expects.
  const changesOf = (annotations: MetadataPatch, holder: string | undefined, { earliest }: ServerTime): Content => {
    const found = [key, ...otherKeys].flatMap((key) => leaseSpec.leaseIn(key, annotations) ?? [])
    const lease = found.find((lease) => lease !== "Removed")
    if (lease !== undefined) return leaseSpec.shown(lease, lease.holderId === holder, earliest)
    return found.length === 0 ? {} : { holderIdentity: "" }
  }

  const holderIn = (expect: Precondition): string | undefined => {
    const named = "annotations" in expect ? expect.annotations[LockRecord.holderKey(key)] : undefined
    return typeof named === "string" ? LockRecord.leaseNamed(named).holderId : undefined
  }

  const unlessElections = (id: string, snapshot: ObjectSnapshot): Effect.Effect<ObjectSnapshot, Occupied> => {
    const spec = leaseSpec.fromContent(snapshot.content)
    if (!leaseSpec.isElections(spec)) return Effect.succeed(snapshot)
    const holder = leaseSpec.holderOf(spec)
    const occupied = {
      object: store.describe(id),
      by: "election",
      ...(holder === undefined ? {} : { holder })
    } as const
    return Effect.fail(new Occupied(occupied))
  }

  return ObjectStore.of({
    ...store,
    read: (id, options) => Effect.flatMap(store.read(id, options), (snapshot) => unlessElections(id, snapshot)),
    watch: (id, options) =>
      Stream.tap(store.watch(id, { ...options, content: true }), (event) =>
        event._tag === "Deleted" ? Effect.void : unlessElections(id, event.snapshot)
      ),
    create: (id, annotations, content) =>
      Effect.flatMap(store.now, (now) =>
        store.create(id, annotations, { ...content, spec: changesOf(annotations, undefined, now) })
      ),
    compareAndSwap: (id, patch) =>
      Effect.flatMap(store.now, (now) => {
        const spec = leaseSpec.fieldsIn(changesOf(patch.annotations, holderIn(patch.expect), now))
        return store.compareAndSwap(id, { ...patch, content: [...(patch.content ?? []), ...spec] })
      })
  })
}

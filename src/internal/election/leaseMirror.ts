/**
 * Locks on Leases: the spec of a Lease says what the lock's annotations say, so that `kubectl get leases` and kube-state-metrics show the
 * holder. The annotations are the lock. The spec is written along with them, in the same request, and never read.
 */
import * as Effect from "effect/Effect"
import type { LockKind } from "../../LockKind.ts"
import * as LockRecord from "../../LockRecord.ts"
import type { ConditionalPatch, FieldPatch, ServerTime } from "../../ObjectStore.ts"
import { ObjectStore } from "../../ObjectStore.ts"
import * as leaseSpec from "./leaseSpec.ts"

/** The store of Leases whose specs show the holders of the locks of this kind. */
export const make = (
  store: ObjectStore["Service"],
  { key, otherKeys }: Pick<LockKind, "key" | "otherKeys">
): ObjectStore["Service"] => {
  const content = (patch: ConditionalPatch, { earliest }: ServerTime): ReadonlyArray<FieldPatch> => {
    const found = [key, ...otherKeys].flatMap((key) => leaseSpec.leaseIn(key, patch.annotations) ?? [])
    if (found.length === 0) return []
    const lease = found.find((lease) => lease !== "Removed")
    const spec = lease === undefined ? { holderIdentity: "" } : leaseSpec.shown(lease, isRenewal(key, patch), earliest)
    return Object.entries(spec).map(([name, value]) => ({ path: ["spec", name], value }))
  }
  return ObjectStore.of({
    ...store,
    create: (id, annotations) =>
      Effect.flatMap(store.now, ({ earliest }) => {
        const lease = leaseSpec.leaseIn(key, annotations)
        return lease === undefined || lease === "Removed"
          ? store.create(id, annotations)
          : store.create(id, annotations, { spec: leaseSpec.shown(lease, false, earliest) })
      }),
    compareAndSwap: (id, patch) =>
      Effect.flatMap(store.now, (now) =>
        store.compareAndSwap(id, { ...patch, content: [...(patch.content ?? []), ...content(patch, now)] })
      )
  })
}

// A write that expects the same holder.
const isRenewal = (key: string, { annotations, expect }: ConditionalPatch): boolean => {
  const holder = LockRecord.holderKey(key)
  const before = "annotations" in expect ? expect.annotations[holder] : undefined
  return typeof before === "string" && before.split("@")[0] === annotations[holder]?.split("@")[0]
}

/** The API server works on a write to the Lease, and who wrote it is judged. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ObjectSnapshot } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import { millis } from "../time.ts"
import { goName, nameOf } from "./names.ts"
import { foreign, holderOf, recordOf, type Sent, specOf, type World } from "./world.ts"

/** What comes of a write: the Lease after it if it was applied, and what it violates. */
export interface Served {
  readonly world: World
  readonly written: ObjectSnapshot | undefined
  readonly violation?: string | undefined
}

const id = "lease"

// The memory store applies the patch, as it does in all other tests.
const applied = (
  lease: ObjectSnapshot,
  sent: Exclude<Sent, { readonly created: unknown }>
): ObjectSnapshot | undefined => {
  const isMet = !("resourceVersion" in sent.expect) || sent.expect.resourceVersion === lease.resourceVersion
  if (!isMet) return undefined
  const patched = Effect.gen(function* () {
    const { store } = yield* ObjectStoreMemory.make()
    const made = Option.getOrThrow(yield* store.create(id, lease.annotations, lease.content))
    const expect = { resourceVersion: made.resourceVersion }
    return Option.getOrThrow(
      yield* store.compareAndSwap(id, { ...sent, expect, labels: { ...lease.labels, ...sent.labels } })
    )
  })
  const { annotations, content, labels } = Effect.runSync(patched)
  const { "app.kubernetes.io/managed-by": _made, ...others } = labels
  return { ...lease, annotations, labels: others, ...(content === undefined ? {} : { content }) }
}

/** The Lease becomes another one. A candidate that had it and did not have to give it up is robbed. */
export const replace = (world: World, lease: ObjectSnapshot | undefined, isByRule: boolean): World => {
  const before = holderOf(world.lease)
  const isTaken = before !== holderOf(lease)
  return {
    ...world,
    lease,
    changedAt: recordOf(lease) === recordOf(world.lease) ? world.changedAt : world.tick,
    candidates: world.candidates.map((candidate, index) =>
      isTaken && !isByRule && nameOf(index) === before ? { ...candidate, robbedAt: world.tick } : candidate
    )
  }
}

/** Whether a client-go that has seen the record since it was written may take the Lease, on a clock that is as fast as may be. */
export const mayBeTaken = ({ changedAt, lease, tick }: World): boolean => {
  const duration = Number(specOf(lease)["leaseDurationSeconds"] ?? 0)
  return holderOf(lease) === "" || (tick - changedAt) * 1.005 >= duration
}

/** Works on a write of this candidate. */
export const serve = (world: World, sent: Sent, index: number): Served => {
  const { lease, version } = world
  const next = String(version + 1)
  if ("created" in sent) {
    if (lease !== undefined) return { world, written: undefined }
    const { annotations, created } = sent
    const written = { uid: `uid${next}`, resourceVersion: next, annotations, labels: {}, content: created }
    return { world: { ...replace(world, written, true), version: version + 1 }, written }
  }
  const after = lease === undefined ? undefined : applied(lease, sent)
  if (lease === undefined || after === undefined) return { world, written: undefined }
  if (JSON.stringify(after) === JSON.stringify(lease)) return { world, written: lease }
  const written = { ...after, resourceVersion: next }
  const changed = { ...replace(world, written, true), version: version + 1 }
  return { world: changed, written, violation: judge(world, lease, written, nameOf(index)) }
}

/** When a lease expires by the times on the Lease, in ticks. */
export const expiryOf = (lease: ObjectSnapshot): number => {
  const { leaseDurationSeconds, renewTime } = specOf(lease)
  return (Date.parse(String(renewTime)) - millis(0)) / 1000 + Number(leaseDurationSeconds)
}

const judge = (world: World, before: ObjectSnapshot, after: ObjectSnapshot, by: string): string | undefined => {
  const [was, is] = [specOf(before), specOf(after)]
  const [from, to] = [holderOf(before), holderOf(after)]
  if (from === goName && !mayBeTaken(world)) return "a candidate wrote to the Lease that a client-go holds"
  if (from !== "" && from !== goName && from !== by && to !== from && world.tick <= expiryOf(before)) {
    return "a candidate took the Lease of another before it had expired"
  }
  if (to === goName && from !== goName) return "a candidate made a client-go the leader"
  const isKept = Object.entries(foreign.annotations).every(([name, value]) => after.annotations[name] === value)
  const hadForeign = Object.keys(foreign.annotations).every((name) => name in before.annotations)
  if ((hadForeign && !isKept) || was["strategy"] !== is["strategy"]) return "what others wrote on the Lease is gone"
  if (to !== "" && to !== from && is["leaseTransitions"] !== Number(was["leaseTransitions"] ?? -1) + 1) {
    const isFirst = was["leaseTransitions"] === undefined && is["leaseTransitions"] === 1
    if (!isFirst) return "a term did not count as a transition"
  }
  return undefined
}

/** Sessions with one thing wrong each, so that the simulation of sessions is known to bite. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { believing, type Mutation as OfLeases, withoutComparison, withoutFence } from "../internal/session/mutations.ts"
import type { Mutation } from "./mutations.ts"

/** A mutation: the rule `by` that a world breaks within so many seeds from the first. The name completes "finds sessions that". */
export interface MutatedSessions {
  readonly name: string
  readonly by: string
  readonly within: number
  readonly how: Mutation
}

// Each process has a mutation of its own.
const onLeases = (mutate: () => OfLeases): Mutation => ({
  seen: (_, seen) => {
    const { sessionLeases } = seen.store
    if (sessionLeases === undefined) return seen
    const leases = mutate()(sessionLeases.leases(sessionLeases.namespace))
    return { ...seen, store: { ...seen.store, sessionLeases: { ...sessionLeases, leases: () => leases } } }
  }
})

// Whoever has a Lease counts as the session that had it first.
const trusting = (): OfLeases => {
  const first = new Map<string, ObjectSnapshot>()
  const shown = (id: string, lease: ObjectSnapshot): ObjectSnapshot => {
    const spec = (lease.content?.["spec"] ?? {}) as Readonly<Record<string, unknown>>
    const { holderIdentity } = spec
    if (holderIdentity === "" || holderIdentity === undefined) return lease
    const known = first.get(id) ?? lease
    first.set(id, known)
    const { holderIdentity: was } = known.content!["spec"] as Readonly<Record<string, string>>
    return { ...lease, uid: known.uid, content: { spec: { ...(spec as object), holderIdentity: was! } } }
  }
  return (leases: ObjectStore["Service"]) => ({
    ...leases,
    read: (id, options) => Effect.map(leases.read(id, options), (lease) => shown(id, lease)),
    compareAndSwap: (id, patch) =>
      Effect.map(
        leases.compareAndSwap(id, patch),
        Option.map((lease) => shown(id, lease))
      )
  })
}

/** The mutations. */
export const mutations: ReadonlyArray<MutatedSessions> = [
  {
    name: "take the locks of a session that has expired, and do not fence it",
    by: "theft",
    within: 20,
    how: onLeases(() => withoutFence)
  },
  { name: "fence without comparing", by: "fencedEarly", within: 100, how: onLeases(() => withoutComparison) },
  { name: "are relied on past their last renewal", by: "exclusion", within: 60, how: onLeases(() => believing) },
  {
    name: "are broken and not told",
    by: "exclusion",
    within: 20,
    how: { breaks: (store) => ({ ...store, sessionLeases: undefined }) }
  },
  { name: "trust a session of the same name", by: "exclusion", within: 100, how: onLeases(trusting) }
]

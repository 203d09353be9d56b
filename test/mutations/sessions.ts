/** Sessions with one thing wrong each, so that the exploration is known to bite: what it must find, and after how many moves. */
import * as leaseSpec from "../../src/internal/election/leaseSpec.ts"
import type { SessionReference } from "../../src/internal/session/sessionLease.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../src/ObjectStore.ts"
import type { Mutation } from "../exploration/sessions/library.ts"
import { asks, fences, hasBoth, opens, type Place, waitsForBoth } from "../exploration/sessions/sessions.ts"
import { passes } from "../exploration/time.ts"

/** A mutation. The name completes "finds sessions that". */
export interface MutatedSessions {
  readonly name: string
  readonly breaks: string
  readonly depth: number
  readonly in: Place
  readonly how: Mutation
}

// A session that has both locks is suspended past its end, and another process waits for them.
const expired: Place = {
  wants: [
    [0, 1],
    [0, 1]
  ],
  leases: 1,
  opens: 1,
  before: [...hasBoth, ...waitsForBoth("B"), ...passes(3)]
}

// The same, and its owner goes on with a renewal that was under way, after the waiter has read the Lease.
const overtaken: Place = {
  ...expired,
  before: [...hasBoth, ...waitsForBoth("B"), ...passes(3), "B reads lease-0", "B judges the session"]
}

// The Lease of a session that died with a lock belongs to another session.
const reused: Place = {
  wants: [[0], [0], []],
  leases: 1,
  opens: 2,
  crashes: 1,
  before: [...opens("A", 0), ...asks("A", "x"), ...asks("B", "x"), "A crashes", ...passes(3), ...opens("C", 0)]
}

// A session was fenced while its owner was suspended, and another one has its Lease now.
const replaced: Place = {
  wants: [[0], [0], []],
  leases: 1,
  opens: 2,
  before: [...opens("A", 0), ...asks("A", "x"), ...asks("B", "x"), ...passes(3), ...fences("B", 0), ...opens("C", 0)]
}

const unconditional = (write: ConditionalPatch): ConditionalPatch => ({ ...write, expect: { annotations: {} } })

const holderOf = ({ content }: ObjectSnapshot): string | undefined => leaseSpec.holderOf(leaseSpec.fromContent(content))

// Whoever has the Lease of that name counts as the session.
const ofSameName = (lease: ObjectSnapshot, { incarnation, uid }: SessionReference): ObjectSnapshot =>
  holderOf(lease) === undefined
    ? lease
    : {
        ...lease,
        uid,
        content: { spec: { ...(lease.content?.["spec"] as object), holderIdentity: incarnation } }
      }

/** The mutations. */
export const mutations: ReadonlyArray<MutatedSessions> = [
  {
    name: "take the locks of a session that has expired, and do not fence it",
    breaks: "a lock was taken from a session that was not fenced",
    depth: 4,
    in: expired,
    how: { fences: () => undefined }
  },
  {
    name: "fence without comparing",
    breaks: "a session was fenced that had not expired",
    depth: 3,
    in: overtaken,
    how: { fences: unconditional }
  },
  {
    name: "are relied on past their last renewal",
    breaks: "a process relies on a lock that is not its own",
    depth: 6,
    in: expired,
    how: { believes: (hold) => ({ ...hold, validFor: Number.MAX_SAFE_INTEGER }) }
  },
  {
    name: "are broken and not told",
    breaks: "a process relies on a lock that is not its own",
    depth: 3,
    in: {
      wants: [[0], [0]],
      leases: 1,
      opens: 1,
      breaks: 1,
      before: [...opens("A", 0), ...asks("A", "x"), ...asks("B", "x")]
    },
    how: { breaksAtOnce: true }
  },
  {
    name: "trust a session of the same name, as those that wait for it",
    breaks: "a process waits for ever",
    depth: 1,
    in: { ...reused, calmTo: 4 },
    how: { sees: ofSameName }
  },
  {
    name: "trust a session of the same name, as its owner",
    breaks: "a session that was fenced was renewed",
    depth: 3,
    in: replaced,
    how: { seesOwn: (lease, known) => (holderOf(lease) === undefined ? lease : { ...lease, content: known.content! }) }
  }
]

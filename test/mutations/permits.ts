/** A lock with permits with one thing wrong each, so that the exploration is known to bite: what it must find, and after how many moves. */
import * as LockQueue from "../../src/LockQueue.ts"
import type { LockRecord } from "../../src/LockRecord.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../src/ObjectStore.ts"
import type { PermitKind } from "../../src/PermitProtocol.ts"
import * as PermitRecord from "../../src/PermitRecord.ts"
import type { Explored, Mutation } from "../exploration/permits/library.ts"
import { asking, comes, one, type Place, reader, two, writer } from "../exploration/permits/permits.ts"
import { passes } from "../exploration/time.ts"

/** A mutation. The name completes "finds a lock with permits that". */
export interface MutatedLine {
  readonly name: string
  readonly breaks: string
  readonly depth: number
  readonly in: Place
  readonly how: Mutation
}

// Reads the line by another rule of who holds.
const granting = (
  grant: (limit: number, line: ReadonlyArray<PermitRecord.Placed>) => ReadonlyArray<PermitRecord.Placed>
): Mutation => ({
  kind: (kind): PermitKind => ({
    ...kind,
    decode: (annotations): LockRecord => {
      const record = kind.decode(annotations)
      return { ...record, leases: grant(kind.permits.limit, PermitRecord.placed(record)) }
    }
  })
})

// A contender that fits is let in, also behind one that does not.
const passing = granting((limit, line) => {
  let left = limit
  return line.map((lease) => {
    const granted = lease.permits <= left ? lease.permits : 0
    left -= granted
    return { ...lease, granted }
  })
})

const isGuarded = (
  write: ConditionalPatch
): write is Extract<ConditionalPatch, { readonly annotations: unknown }> & {
  readonly expect: { readonly annotations: Readonly<Record<string, string | boolean>> }
} => "annotations" in write.expect

// Sends writes under annotations with other preconditions on annotations.
const expecting = (
  change: (
    expected: Readonly<Record<string, string | boolean>>,
    contender: Explored,
    write: ConditionalPatch
  ) => Readonly<Record<string, string | boolean>>
): Mutation => ({
  sends: (write, contender) =>
    isGuarded(write)
      ? { ...write, expect: { ...write.expect, annotations: change(write.expect.annotations, contender, write) } }
      : write
})

const without = <A>(
  values: Readonly<Record<string, A>>,
  isDropped: (name: string, value: A) => boolean
): Readonly<Record<string, A>> =>
  Object.fromEntries(Object.entries(values).filter(([name, value]) => !isDropped(name, value)))

const ownNames = ({ holderId, kind }: Explored): ReadonlyArray<string> => [
  PermitRecord.leaseKey(kind.key, holderId),
  PermitRecord.placeKey(kind.key, holderId)
]

// The object without the leases of others that have expired.
const livingOf = (snapshot: ObjectSnapshot, { holderId: own, kind, now }: Explored): ObjectSnapshot => {
  const dead = PermitRecord.placed(kind.decode(snapshot.annotations)).filter(
    ({ expiresAt, holderId }) => holderId !== own && now.earliest > expiresAt
  )
  const names = new Set(
    dead.flatMap(({ holderId }) => [
      PermitRecord.leaseKey(kind.key, holderId),
      PermitRecord.placeKey(kind.key, holderId)
    ])
  )
  return { ...snapshot, annotations: without(snapshot.annotations, (name) => names.has(name)) }
}

const removedLive = "a lease was removed that had not expired"
const reliesTooLong = "a contender relies on its permits for longer than its lease stands"
const hasNot = "a contender relies on permits that its lease does not hold"
const leftLease = "a contender is done and has left its lease behind"
const otherPlace = "a contender in the line has another place"
const passedOne = "a contender passed one that came before it"
const leftAsleep = "a contender was let in and not woken"

// The renewal of the holder is under way, and its lease on the object has expired.
const isLate = [
  ...comes("A"),
  ...comes("B"),
  ...passes(1),
  "A renews",
  ...passes(1),
  "B goes on",
  "the server works on the write of B",
  "B has its answer",
  ...passes(1)
]

const heldByBoth: Place = { permits: two, askers: asking(2, 1), before: [...comes("A"), ...comes("B")] }

/** The mutations. */
export const mutations: ReadonlyArray<MutatedLine> = [
  {
    name: "counts the leases that have not expired, and leaves those that have in the line",
    breaks: hasNot,
    depth: 2,
    in: { ...heldByBoth, strangers: 1, before: isLate },
    how: { sees: livingOf }
  },
  {
    name: "lets a newcomer pass a waiter that asks for more",
    breaks: hasNot,
    depth: 3,
    in: { permits: two, askers: asking(1, 2, 1), before: [...comes("A"), ...comes("B")] },
    how: passing
  },
  {
    name: "lets a reader in beside a writer that waits",
    breaks: hasNot,
    depth: 3,
    in: { permits: PermitRecord.shared, askers: [reader, writer, reader], before: [...comes("A"), ...comes("B")] },
    how: passing
  },
  {
    name: "removes an expired lease on no condition",
    breaks: removedLive,
    depth: 3,
    in: { ...heldByBoth, before: isLate },
    how: expecting((expected, contender) => without(expected, (name) => !ownNames(contender).includes(name)))
  },
  {
    name: "joins at the place of the version that it has seen",
    breaks: passedOne,
    depth: 4,
    in: { permits: one, askers: asking(1, 1, 1), before: comes("A") },
    how: {
      sends: (write, { seen }) =>
        "stamps" in write && write.stamps !== undefined && seen !== undefined
          ? {
              ...write,
              stamps: [],
              annotations: {
                ...write.annotations,
                ...Object.fromEntries(write.stamps.map((name) => [name, seen.resourceVersion]))
              }
            }
          : write
    }
  },
  {
    name: "joins also if it is in the line",
    breaks: otherPlace,
    depth: 5,
    in: { permits: one, askers: asking(1, 1), faults: 1, before: comes("A") },
    how: expecting((expected) => without(expected, (_, value) => value === false))
  },
  {
    name: "takes permits whatever the version is by then",
    breaks: passedOne,
    depth: 4,
    in: { permits: one, askers: asking(1, 1) },
    how: {
      sends: (write) =>
        "resourceVersion" in write.expect ? ({ ...write, expect: { annotations: {} } } as ConditionalPatch) : write
    }
  },
  {
    name: "relies on its permits after its lease has run out",
    breaks: reliesTooLong,
    depth: 3,
    in: { permits: one, askers: asking(1) },
    how: { believes: (hold) => ({ ...hold, validFor: 60_000 }) }
  },
  {
    name: "renews a lease of which it does not know that it stands",
    breaks: passedOne,
    depth: 3,
    in: { permits: one, askers: asking(1, 1), before: [...comes("A"), ...comes("B")], breaks: 1 },
    how: expecting(() => ({}))
  },
  {
    name: "gives permits back on a lease of another expiry",
    breaks: reliesTooLong,
    depth: 7,
    in: { permits: two, askers: asking(2), faults: 1, before: comes("A") },
    how: expecting((expected, contender) =>
      without(expected, (name, value) => ownNames(contender)[0] === name && value !== false)
    )
  },
  {
    name: "takes part in a semaphore of another limit",
    breaks: "a line has lost its mark",
    depth: 2,
    in: {
      permits: one,
      askers: [{ permits: 1 }, { permits: 1, of: two }],
      before: comes("A")
    },
    how: {
      sees: (snapshot, { kind }) => ({
        ...snapshot,
        annotations: { ...snapshot.annotations, [kind.key]: kind.permits.mark }
      })
    }
  },
  {
    name: "forgets a write that was cut off",
    breaks: leftLease,
    depth: 3,
    in: { permits: one, askers: asking(1), withdrawals: 1 },
    how: { forgetsCutOff: true }
  },
  {
    name: "wakes nobody",
    breaks: leftAsleep,
    depth: 7,
    in: { permits: two, askers: asking(2, 1), before: [...comes("A"), ...comes("B")] },
    how: { sends: (write) => ({ ...write, labels: undefined }) as ConditionalPatch }
  },
  {
    name: "wakes those alone that it knew of",
    breaks: leftAsleep,
    depth: 7,
    in: { permits: two, askers: asking(2, 1), before: [...comes("A"), ...comes("B")] },
    how: {
      sends: (write, { kind }) =>
        isGuarded(write) && Object.keys(write.annotations).length === 0
          ? ({ ...write, labels: { [LockQueue.labelKey(kind.key)]: null } } as ConditionalPatch)
          : write
    }
  },
  {
    name: "writes over what others wrote on the object",
    breaks: "what others wrote on the object is gone",
    depth: 2,
    in: { permits: one, askers: asking(1) },
    how: {
      sends: (write) =>
        ({ ...write, annotations: { ...write.annotations, "example.com/other": null } }) as ConditionalPatch
    }
  },
  {
    name: "removes the leases of others with its own",
    breaks: removedLive,
    depth: 4,
    in: heldByBoth,
    how: {
      sends: (write, { holderId, kind, seen }) =>
        write.annotations[PermitRecord.leaseKey(kind.key, holderId)] === null && seen !== undefined
          ? ({
              ...write,
              annotations: {
                ...write.annotations,
                ...Object.fromEntries(
                  Object.keys(seen.annotations)
                    .filter((name) => name.startsWith(`${kind.key}-lease-`))
                    .map((name) => [name, null])
                )
              }
            } as ConditionalPatch)
          : write
    }
  }
]

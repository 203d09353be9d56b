/** Semaphores and shared locks with one thing wrong each, so that the simulation of permits is known to bite. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ConditionalPatch, MetadataPatch, ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { key } from "./lineOn.ts"
import { type Mutation, stopping, wiping } from "./mutations.ts"

/** A mutation: the rules `by` one of which the world of the seed breaks. The name completes "finds a lock with permits that". */
export interface MutatedPermits {
  readonly name: string
  readonly by: string
  readonly seed: number
  readonly how: Mutation
}

type Store = ObjectStore["Service"]

const onStore = (change: (store: Store) => Store): Mutation => ({
  seen: (_, seen) => ({ ...seen, store: change(seen.store) })
})

const sending = (change: (write: ConditionalPatch) => ConditionalPatch): Mutation =>
  onStore((store) => ({ ...store, compareAndSwap: (id, write) => store.compareAndSwap(id, change(write)) }))

const isLease = (name: string) => name.startsWith(`${key}-lease-`)

const removes = ({ annotations }: { readonly annotations: MetadataPatch }) =>
  Object.keys(annotations).some((name) => isLease(name) && annotations[name] === null)

// A release is answered as if it had been applied, and is not.
const keeping = (store: Store): Store => ({
  ...store,
  compareAndSwap: (id, write) =>
    removes(write) ? Effect.map(store.read(id), Option.some) : store.compareAndSwap(id, write)
})

// A renewal, also of a place: it writes a lease that is there.
const renews = (write: ConditionalPatch) =>
  Object.keys(write.annotations).some(isLease) &&
  !removes(write) &&
  !("stamps" in write) &&
  !("resourceVersion" in write.expect)

// Renewals are answered as if they had been applied, whatever the server says, with what `change` makes of the object.
const renewing = (
  change: (annotations: ObjectSnapshot["annotations"], written: MetadataPatch) => ObjectSnapshot["annotations"],
  believes: boolean
): Mutation =>
  onStore((store) => ({
    ...store,
    compareAndSwap: (id, write) => {
      const answer = store.compareAndSwap(id, write)
      if (!renews(write)) return answer
      return Effect.flatMap(answer, (found) => {
        if (Option.isNone(found) && !believes) return Effect.succeed(found)
        const shown = Option.isSome(found) ? Effect.succeed(found.value) : store.read(id)
        return Effect.map(shown, (snapshot) =>
          Option.some({ ...snapshot, annotations: change(snapshot.annotations, write.annotations) })
        )
      })
    }
  }))

const leasesLeft = (annotations: ObjectSnapshot["annotations"], isLeft: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(annotations).filter(([name]) => !isLease(name) || isLeft(name)))

// Leases that `passes` come into the line in the first place.
const joiningFirst = (passes: (lease: string) => boolean): Mutation =>
  sending((write) =>
    "stamps" in write &&
    write.stamps !== undefined &&
    Object.values(write.annotations).some((value) => value !== null && passes(value))
      ? ({
          ...write,
          stamps: [],
          annotations: { ...write.annotations, ...Object.fromEntries(write.stamps.map((name) => [name, "0"])) }
        } as ConditionalPatch)
      : write
  )

/** The mutations. */
export const mutations: ReadonlyArray<MutatedPermits> = [
  {
    name: "never gives its permits back",
    by: "leftovers",
    seed: 1,
    how: onStore(keeping)
  },
  {
    name: "writes over what others wrote on the object",
    by: "foreign",
    seed: 1,
    how: sending(
      (write) => ({ ...write, annotations: { ...write.annotations, "example.com/count": null } }) as ConditionalPatch
    )
  },
  {
    name: "wakes nobody",
    by: "entry",
    seed: 1,
    how: sending((write) => ({ ...write, labels: undefined, copies: undefined }) as ConditionalPatch)
  },
  {
    name: "joins at the first place",
    by: "order",
    seed: 1,
    how: joiningFirst(() => true)
  },
  {
    name: "lets readers in before the writers that wait",
    by: "writers",
    seed: 53,
    how: joiningFirst((lease) => lease.includes(" shared "))
  },
  {
    name: "takes permits whatever the version is by then",
    by: "backed",
    seed: 1,
    how: sending((write) =>
      "resourceVersion" in write.expect ? ({ ...write, expect: { annotations: {} } } as ConditionalPatch) : write
    )
  },
  {
    name: "removes the leases of others, expired or not",
    by: "lines",
    seed: 1,
    how: onStore((store) => ({
      ...store,
      compareAndSwap: (id, write) => (removes(write) ? wiping(store, isLease) : store).compareAndSwap(id, write)
    }))
  },
  {
    name: "keeps what it gave back for as long as its lease lasts",
    by: "bounded",
    seed: 4,
    how: onStore(keeping)
  },
  {
    name: "sleeps through the end of its lease",
    by: "losses",
    seed: 15,
    how: {
      seen: (_, seen) => ({
        ...seen,
        clock: { ...seen.clock, sleep: (duration) => seen.clock.sleep(Duration.times(duration, 3)) }
      })
    }
  },
  {
    name: "believes that its renewals succeed",
    by: "noticed",
    seed: 37,
    how: renewing((annotations, written) => ({ ...annotations, ...(written as ObjectSnapshot["annotations"]) }), true)
  },
  {
    name: "misses its own lease",
    by: "groundless",
    seed: 4,
    how: renewing((annotations, written) => leasesLeft(annotations, (name) => !(name in written)), false)
  },
  {
    name: "does not see in its renewals that others wait",
    by: "handsOn",
    seed: 32,
    how: renewing((annotations, written) => leasesLeft(annotations, (name) => name in written), false)
  },
  {
    name: "counts its lease from the answer on",
    by: "limit",
    seed: 71,
    how: { seen: (_, seen) => stopping(seen) }
  }
]

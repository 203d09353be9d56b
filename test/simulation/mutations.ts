/**
 * The protocol with one thing wrong: what the simulation has to find.
 *
 * Each is done from outside, at the store or the clock of every process, so that the library itself has no switches: a
 * request that leaves its condition out, for one, is the same as a server that does not check it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { Metadata, ObjectStore, Write } from "../../src/ObjectStore.ts"
import type { Machine } from "./machine.ts"

type Store = ObjectStore["Service"]

/** What the library is made to run on. */
export interface Seen {
  readonly store: Store
  readonly clock: Clock.Clock
}

/** A mutation: of what arrives at the server, or of what the library sees. */
export interface Mutation {
  readonly served?: (store: Store) => Store
  readonly seen?: (machine: Machine, seen: Seen) => Seen
}

const key = LockPolicy.dexKey
const holderKey = LockRecord.holderKey(key)

const isRemoval = (write: Write) => write.annotations[key] === null
const isRenewal = (write: Write) => !isRemoval(write) && "annotations" in write.expect

const withoutCondition = (store: Store, which: (write: Write) => boolean): Store => ({
  ...store,
  compareAndSwap: (id, write) =>
    which(write)
      ? Effect.flatMap(store.read(id), ({ resourceVersion }) =>
          store.compareAndSwap(id, { ...write, expect: { resourceVersion } })
        )
      : store.compareAndSwap(id, write)
})

const mapMetadata = (store: Store, f: (metadata: Metadata) => Metadata): Store => ({
  ...store,
  compareAndSwap: (id, write) => Effect.map(store.compareAndSwap(id, write), Option.map(f))
})

/** The mutations, by name. */
export const mutations = {
  /** Removes whatever lock there is, as Dex does. */
  "no identity check on release": {
    served: (store) => withoutCondition(store, isRemoval)
  },

  /** Counts a lease from when its write was answered: the library's clocks stand still while a write is under way. */
  "validity from after the write": {
    seen: (_, { clock, store }) => {
      let writing = 0
      const timed = <A, E>(write: Effect.Effect<A, E>) =>
        Effect.suspend(() => {
          const began = clock.monotonicTimeNanosUnsafe()
          return Effect.tap(write, () =>
            Effect.sync(() => {
              writing += Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
            })
          )
        })
      return {
        store: {
          ...store,
          create: (id, annotations) => timed(store.create(id, annotations)),
          compareAndSwap: (id, write) => timed(store.compareAndSwap(id, write))
        },
        clock: {
          ...clock,
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - Math.round(writing),
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() - BigInt(Math.round(writing * 1e6))
        }
      }
    }
  },

  /** Never recognises a lock of its own in a reading, so that an unanswered write is a stranger's. */
  "no read-back": {
    served: (store) => ({
      ...store,
      read: (id) =>
        Effect.map(store.read(id), (metadata) => ({
          ...metadata,
          annotations: Object.fromEntries(Object.entries(metadata.annotations).filter(([key]) => key !== holderKey))
        }))
    })
  },

  /** Judges expiries by the machine's own wall clock. */
  "local clock": {
    seen: ({ clock }, seen) => ({
      ...seen,
      store: {
        ...seen.store,
        now: Effect.map(clock.currentTimeMillis, (now) => ({ earliest: now, latest: now }))
      }
    })
  },

  /** Takes an expired lock whatever has become of the object since it was read. */
  "break without compare-and-swap": {
    served: (store) => withoutCondition(store, (write) => !isRemoval(write) && "resourceVersion" in write.expect)
  },

  /** Renews whatever lock there is. */
  "no identity check on renewal": {
    served: (store) => withoutCondition(store, isRenewal)
  },

  /** Takes the latest that the server's clock can be for the time, and breaks locks that may still stand. */
  "break by the latest time": {
    seen: (_, seen) => ({
      ...seen,
      store: { ...seen.store, now: Effect.map(seen.store.now, ({ latest }) => ({ earliest: latest, latest })) }
    })
  },

  /** Writes an expiry by the earliest that the server's clock can be. */
  "expiry by the earliest time": {
    seen: (_, seen) => ({
      ...seen,
      store: { ...seen.store, now: Effect.map(seen.store.now, ({ earliest }) => ({ earliest, latest: earliest })) }
    })
  },

  /** Never breaks a lock. */
  "expired locks stand": {
    seen: (_, seen) => ({
      ...seen,
      store: { ...seen.store, now: Effect.map(seen.store.now, ({ latest }) => ({ earliest: 0, latest })) }
    })
  },

  /** Replaces all annotations, as Dex does. */
  "whole annotation map": {
    served: (store) => ({
      ...store,
      compareAndSwap: (id, write) =>
        Effect.flatMap(store.read(id), ({ annotations }) =>
          store.compareAndSwap(id, {
            ...write,
            annotations: {
              ...Object.fromEntries(Object.keys(annotations).map((key) => [key, null])),
              ...write.annotations
            }
          })
        )
    })
  },

  /** A fencing token that is the same for everybody. */
  "constant fencing token": {
    served: (store) => mapMetadata(store, (metadata) => ({ ...metadata, resourceVersion: "1" }))
  },

  /** Believes that every renewal succeeds. */
  "loss goes unnoticed": {
    seen: (_, seen) => ({
      ...seen,
      store: {
        ...seen.store,
        compareAndSwap: (id, write) =>
          Effect.map(
            seen.store.compareAndSwap(id, write),
            Option.orElse(() =>
              isRenewal(write) ? Option.some({ uid: "", resourceVersion: "1", annotations: {} }) : Option.none()
            )
          )
      }
    })
  }
} satisfies Record<string, Mutation>

/** The name of a mutation. */
export type MutationName = keyof typeof mutations

/**
 * The protocol with one thing wrong: what the simulation has to find.
 *
 * Each is done from outside, at the store or the clock of every process, so that the library itself has no switches: a
 * request that leaves its condition out, for one, is the same as a server that does not check it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type {
  MetadataPatch,
  WatchOptions,
  ObjectSnapshot,
  ObjectStore,
  ConditionalPatch
} from "../../src/ObjectStore.ts"
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

const key = LockPolicy.dexAnnotation
const holderKey = LockRecord.holderKey(key)

const lineKey = LockQueue.queueKey(key)
const nextLabel = LockQueue.labelKey(key)

const ownerIn = (annotations: Readonly<Record<string, string | boolean | null>>): string | undefined => {
  const holder = annotations[holderKey]
  return typeof holder === "string" ? holder.split("@")[0] : undefined
}

const isOnLease = ({ expect }: ConditionalPatch) => "annotations" in expect && ownerIn(expect.annotations) !== undefined
const isRemoval = (write: ConditionalPatch) => write.annotations[key] === null
const isRenewal = (write: ConditionalPatch) =>
  isOnLease(write) && "annotations" in write.expect && ownerIn(write.annotations) === ownerIn(write.expect.annotations)
const isHandOver = (write: ConditionalPatch) => isOnLease(write) && !isRemoval(write) && !isRenewal(write)
const isJoin = ({ expect }: ConditionalPatch) => "annotations" in expect && expect.annotations[holderKey] === true
const isDeparture = (write: ConditionalPatch) => !(key in write.annotations) && !isJoin(write)

const unlocked = (annotations: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== key && name !== holderKey))

// Arrivals with versions that run backwards.
const backwards = (annotations: MetadataPatch): MetadataPatch =>
  Object.fromEntries(
    Object.entries(annotations).map(([name, value]) => {
      const [holder, version] = value!.split("@")
      return [name, `${holder}@${1_000_000 - Number(version)}`]
    })
  )

// Removes annotations that the write does not name.
const wiping = (
  store: Store,
  which: (write: ConditionalPatch) => boolean,
  isWiped: (name: string) => boolean
): Store => ({
  ...store,
  compareAndSwap: (id, write) =>
    which(write)
      ? Effect.flatMap(store.read(id), ({ annotations }) => {
          const wiped = Object.fromEntries(
            Object.keys(annotations)
              .filter(isWiped)
              .map((name) => [name, null])
          )
          return store.compareAndSwap(id, { ...write, annotations: { ...wiped, ...write.annotations } })
        })
      : store.compareAndSwap(id, write)
})

// Writes another line.
const withLine = (
  store: Store,
  which: (write: ConditionalPatch) => boolean,
  change: (names: ReadonlyArray<string>) => ReadonlyArray<string>
): Store => ({
  ...store,
  compareAndSwap: (id, write) => {
    const line = write.annotations[lineKey]
    return store.compareAndSwap(
      id,
      which(write) && typeof line === "string"
        ? { ...write, annotations: { ...write.annotations, [lineKey]: change(line.split(" ")).join(" ") } }
        : write
    )
  }
})

const withoutCondition = (store: Store, which: (write: ConditionalPatch) => boolean): Store => ({
  ...store,
  compareAndSwap: (id, write) =>
    which(write)
      ? Effect.flatMap(store.read(id), ({ resourceVersion }) =>
          store.compareAndSwap(id, { ...write, expect: { resourceVersion } })
        )
      : store.compareAndSwap(id, write)
})

const mapChanges =
  (store: Store, f: (metadata: ObjectSnapshot, options: WatchOptions | undefined) => ObjectSnapshot): Store["watch"] =>
  (id, options) =>
    Stream.map(store.watch(id, options), (change) =>
      change._tag === "Changed" ? { ...change, snapshot: f(change.snapshot, options) } : change
    )

const mapMetadata = (store: Store, f: (metadata: ObjectSnapshot) => ObjectSnapshot): Store => ({
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
    served: (store) =>
      wiping(
        store,
        () => true,
        () => true
      )
  },

  /** Hands the lock over, whoever has it by then. */
  "no identity check on hand-over": {
    served: (store) => withoutCondition(store, isHandOver)
  },

  /** Arrives in the queue whoever has the lock, Dex included. */
  "queues behind Dex": {
    served: (store) => withoutCondition(store, isJoin)
  },

  /** Moves the arrivals that it knows into the line, and drops those that it does not know. */
  "arrivals are dropped": {
    served: (store) => wiping(store, isHandOver, (name) => name.startsWith(`${lineKey}-`))
  },

  /** Forgets the end of the line where it is long. */
  "places are lost": {
    served: (store) =>
      withLine(
        store,
        () => true,
        (names) => names.slice(0, 2)
      )
  },

  /** Gives up and stays in the queue. */
  "the dead keep their place": {
    seen: (_, seen) => ({
      ...seen,
      store: {
        ...seen.store,
        compareAndSwap: (id, write) =>
          isDeparture(write) ? Effect.asSome(seen.store.read(id)) : seen.store.compareAndSwap(id, write)
      }
    })
  },

  /** Puts the last in the line before the others. */
  "last come, first served": {
    served: (store) => withLine(store, isHandOver, (names) => names.toReversed())
  },

  /** Says to have found an earlier version the later it comes. */
  "who comes later was there before": {
    served: (store) => ({
      ...store,
      compareAndSwap: (id, write) =>
        store.compareAndSwap(id, isJoin(write) ? { ...write, annotations: backwards(write.annotations) } : write)
    })
  },

  /** Hands over without a word to whom. */
  "nobody is woken": {
    served: (store) => ({
      ...store,
      compareAndSwap: (id, write) =>
        store.compareAndSwap(id, {
          ...write,
          labels: Object.fromEntries(Object.entries(write.labels ?? {}).filter(([name]) => name !== nextLabel))
        })
    })
  },

  /** Believes the label: whom it names has the lock, whatever the lock says. */
  "the label is believed": {
    seen: (_, seen) => ({
      ...seen,
      store: {
        ...seen.store,
        watch: mapChanges(seen.store, (metadata, options) =>
          options?.label === undefined ? metadata : { ...metadata, annotations: unlocked(metadata.annotations) }
        )
      }
    })
  },

  /** Believes the line: who is first in it has the lock, whatever the lock says. */
  "the line is believed": {
    seen: ({ name }, seen) => ({
      ...seen,
      store: {
        ...seen.store,
        read: (id) =>
          Effect.map(seen.store.read(id), (metadata) =>
            metadata.annotations[lineKey]?.startsWith(`${name}/`) === true
              ? { ...metadata, annotations: unlocked(metadata.annotations) }
              : metadata
          )
      }
    })
  },

  /** Leaves it to the first in the line to take an expired lock, whether or not there is such a one. */
  "the first in line alone looks": {
    seen: ({ name }, seen) => {
      const farAway = (metadata: ObjectSnapshot): ObjectSnapshot => {
        const { [lineKey]: line, [key]: expiry } = metadata.annotations
        return line === undefined || expiry === undefined || line.startsWith(`${name}/`)
          ? metadata
          : { ...metadata, annotations: { ...metadata.annotations, [key]: "2099-01-01T00:00:00Z" } }
      }
      return {
        ...seen,
        store: {
          ...seen.store,
          read: (id) => Effect.map(seen.store.read(id), farAway),
          watch: mapChanges(seen.store, farAway)
        }
      }
    }
  },

  /** Takes a lock that was handed over for its own for as long as one that it has written: ten seconds from the news. */
  "a claim lasts as long as a lease": {
    seen: ({ name }, seen) => {
      const real = new Map<string, string>()
      const prolonged = ({ annotations, ...rest }: ObjectSnapshot): ObjectSnapshot => {
        const lease = LockRecord.leaseOf(LockRecord.fromAnnotations(key, annotations))
        if (lease?.holderId?.startsWith(`${name}/`) !== true) return { annotations, ...rest }
        const expiry = LockRecord.expiryAt(lease.expiresAt + 7000)
        real.set(expiry, lease.expiry)
        return {
          ...rest,
          annotations: { ...annotations, ...LockRecord.toAnnotations(key, { holderId: lease.holderId, expiry }) }
        }
      }
      const asWritten = (write: ConditionalPatch): ConditionalPatch => {
        const expiry = isOnLease(write) && "annotations" in write.expect ? write.expect.annotations[key] : undefined
        const written = typeof expiry === "string" ? real.get(expiry) : undefined
        if (written === undefined || !("annotations" in write.expect)) return write
        const holder = ownerIn(write.expect.annotations)!
        const annotations = {
          ...write.expect.annotations,
          ...LockRecord.toAnnotations(key, { holderId: holder, expiry: written })
        }
        return { ...write, expect: { ...write.expect, annotations } }
      }
      return {
        ...seen,
        store: {
          ...seen.store,
          compareAndSwap: (id, write) => seen.store.compareAndSwap(id, asWritten(write)),
          watch: mapChanges(seen.store, (metadata, options) =>
            options?.label === undefined ? metadata : prolonged(metadata)
          )
        }
      }
    }
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
              isRenewal(write)
                ? Option.some({ uid: "", resourceVersion: "1", annotations: {}, labels: {} })
                : Option.none()
            )
          )
      }
    })
  }
} satisfies Record<string, Mutation>

/** The name of a mutation. */
export type MutationName = keyof typeof mutations

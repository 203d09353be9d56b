/** The last values that a process has seen, for a limited number of ids. */
import * as Option from "effect/Option"
import * as boundedMap from "../boundedMap.ts"

/** What is cached for an id. A rejected value is gone, but `hadLock` is still known. */
export interface Entry<A> {
  readonly value: Option.Option<A>
  /** Whether this process held the lock when it got the value. */
  readonly hadLock: boolean
}

/** A cache of values. */
export interface ValueCache<A> {
  readonly get: (id: string) => Entry<A> | undefined
  readonly set: (id: string, entry: Entry<A>) => void
  /** Marks an entry as used, unless it has been replaced. */
  readonly touch: (id: string, entry: Entry<A>) => void
  /** Drops the value of an id if it is a rejected one. */
  readonly reject: (id: string, isRejected: (value: A) => boolean) => void
}

/** Makes a cache of at most `capacity` ids. It drops the least recently used id first. */
export const make = <A>(capacity: number): ValueCache<A> => {
  const entries = boundedMap.make<string, Entry<A>>(capacity)
  return {
    get: entries.get,
    set: entries.set,
    touch: (id, entry) => {
      if (entries.get(id) === entry) entries.set(id, entry)
    },
    reject: (id, isRejected) => {
      const entry = entries.get(id)
      if (entry !== undefined && Option.exists(entry.value, isRejected)) {
        entries.set(id, { ...entry, value: Option.none() })
      }
    }
  }
}

/**
 * What a process knows of each id: the newest value, the values that it replaced, and whether it is written.
 *
 * A value that was replaced is spent: an upstream that rotates takes its second use for theft. So if the object shows such a value,
 * or none, the process goes on from the newest one that it knows. A restore of etcd brings back what was stored minutes or hours ago,
 * so it remembers digests of hundreds of them.
 */
import * as Option from "effect/Option"
import * as boundedMap from "../boundedMap.ts"

/**
 * What is known of an id.
 *
 * - `newest`: the newest value. `isRejected` says that a caller has rejected it, so that it needs a refresh.
 * - `spent`: the last values that newer ones have replaced. `digests`: those of many more.
 * - `hadLock`: whether this process held the lock when it got the newest value.
 * - `hasWritten`: whether the last write of this process went well.
 * - `isPending`: whether the newest value is about to be written.
 * - `isUnwritten`: whether the newest value could not be written, so that only this process has it.
 */
export interface Known<A> {
  readonly newest: A
  readonly isRejected: boolean
  readonly spent: ReadonlyArray<A>
  readonly digests: ReadonlySet<string>
  readonly hadLock: boolean
  readonly hasWritten: boolean
  readonly isPending: boolean
  readonly isUnwritten: boolean
}

/** The knowledge of a process. */
export interface Knowledge<A> {
  readonly get: (id: string) => Known<A> | undefined
  /** Marks an id as used. */
  readonly touch: (id: string) => void
  /** A value was read from the object. */
  readonly read: (id: string, value: A, hadLock: boolean) => void
  /** The upstream, or the user, replaced these values by a newer one, which is about to be written. */
  readonly replaced: (id: string, values: ReadonlyArray<A>, newest: A) => void
  /** The newest value was written, or not. */
  readonly wrote: (id: string, isWritten: boolean) => void
  /** A caller rejected a value. */
  readonly reject: (id: string, value: A) => void
  readonly isSpent: (id: string, value: A) => boolean
  /** The value to go on from, if this one is stored: the newest one, if the stored one is spent or missing. */
  readonly current: (id: string, stored: Option.Option<A>) => Option.Option<A>
  /** The ids whose newest value could not be written. */
  readonly unwritten: () => ReadonlyArray<string>
}

/** How many spent values of an id are known, whatever the schema. Our choice. */
const maxSpent = 8

/** How many are known by their digests, which a schema has if it encodes at once. Our choice. */
export const maxDigests = 512

/**
 * Makes the knowledge of at most `capacity` ids. It forgets the least recently used id first, but none whose newest value is not
 * written.
 */
export const make = <A>(
  capacity: number,
  isSame: (a: A, b: A) => boolean,
  digestOf: (value: A) => string | undefined
): Knowledge<A> => {
  const written = boundedMap.make<string, Known<A>>(capacity)
  const notWritten = new Map<string, Known<A>>()

  const get = (id: string) => notWritten.get(id) ?? written.get(id)
  const set = (id: string, known: Known<A>) => {
    if (known.isPending || known.isUnwritten) notWritten.set(id, known)
    else {
      notWritten.delete(id)
      written.set(id, known)
    }
  }
  const includes = (values: ReadonlyArray<A>, value: A) => values.some((other) => isSame(other, value))
  const isSpent = (id: string, value: A) => {
    const known = get(id)
    if (known === undefined || isSame(known.newest, value)) return false
    const digest = known.digests.size === 0 ? undefined : digestOf(value)
    return includes(known.spent, value) || (digest !== undefined && known.digests.has(digest))
  }

  const withDigests = (before: ReadonlySet<string> | undefined, spent: ReadonlyArray<A>): ReadonlySet<string> => {
    const digests = new Set(before)
    for (const value of spent) {
      const digest = digestOf(value)
      if (digest === undefined) continue
      digests.delete(digest)
      digests.add(digest)
    }
    return new Set([...digests].slice(-maxDigests))
  }

  // An upstream may answer the very value that it got. Then nothing was spent.
  const replaced = (id: string, values: ReadonlyArray<A>, newest: A) => {
    const known = get(id)
    const before = known === undefined ? values : [...known.spent, known.newest, ...values]
    const spent = before.filter((value, index) => !isSame(value, newest) && !includes(before.slice(index + 1), value))
    set(id, {
      newest,
      isRejected: false,
      spent: spent.slice(-maxSpent),
      digests: withDigests(known?.digests, spent.slice(-maxSpent)),
      hadLock: true,
      hasWritten: known?.hasWritten ?? false,
      isPending: true,
      isUnwritten: known?.isUnwritten ?? false
    })
  }

  return {
    get,
    touch: (id) => {
      const known = get(id)
      if (known !== undefined) set(id, known)
    },
    read: (id, value, hadLock) => {
      const known = get(id)
      if (known === undefined || !isSame(known.newest, value)) replaced(id, [], value)
      set(id, { ...get(id)!, isRejected: false, isPending: false, isUnwritten: false, hadLock })
    },
    replaced,
    wrote: (id, isWritten) => {
      const known = get(id)
      if (known !== undefined) set(id, { ...known, hasWritten: isWritten, isPending: false, isUnwritten: !isWritten })
    },
    reject: (id, value) => {
      const known = get(id)
      if (known !== undefined && isSame(known.newest, value)) set(id, { ...known, isRejected: true })
    },
    isSpent,
    current: (id, stored) => {
      const known = get(id)
      const isOld = Option.match(stored, { onNone: () => true, onSome: (value) => isSpent(id, value) })
      return known !== undefined && isOld ? Option.some(known.newest) : stored
    },
    unwritten: () => [...notWritten].flatMap(([id, { isUnwritten }]) => (isUnwritten ? [id] : []))
  }
}

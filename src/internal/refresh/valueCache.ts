/** The last values that a process has seen, for a limited number of ids. */
import * as Option from "effect/Option"

/** What is cached for an id. A rejected value is gone, but `hadLock` is still known. */
export interface Entry<A> {
  readonly value: Option.Option<A>
  /** Whether this process held the lock when it got the value. */
  readonly hadLock: boolean
}

/** A cache of at most `capacity` ids. The least recently used id is dropped first. */
export class ValueCache<A> {
  // In the order of use.
  readonly #entries = new Map<string, Entry<A>>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get(id: string): Entry<A> | undefined {
    return this.#entries.get(id)
  }

  set(id: string, entry: Entry<A>): void {
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#capacity) return
      this.#entries.delete(oldest)
    }
  }

  /** Marks an entry as used, unless it has been replaced. */
  touch(id: string, entry: Entry<A>): void {
    if (this.#entries.get(id) === entry) this.set(id, entry)
  }

  /** Drops the value of an id if it is a rejected one. */
  reject(id: string, isRejected: (value: A) => boolean): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined && Option.exists(entry.value, isRejected)) {
      this.#entries.set(id, { ...entry, value: Option.none() })
    }
  }
}

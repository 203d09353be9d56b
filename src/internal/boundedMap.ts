/** A map that forgets its oldest entries: those that were set longest ago. */
export interface BoundedMap<K, V> {
  readonly get: (key: K) => V | undefined
  readonly set: (key: K, value: V) => void
  readonly delete: (key: K) => void
}

/** Makes a map of at most `capacity` entries. */
export const make = <K, V>(capacity: number): BoundedMap<K, V> => {
  const entries = new Map<K, V>()
  return {
    get: (key) => entries.get(key),
    set: (key, value) => {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size > capacity) for (const oldest of entries.keys()) return void entries.delete(oldest)
    },
    delete: (key) => {
      entries.delete(key)
    }
  }
}

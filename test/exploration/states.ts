/** The states visited, each once: their bytes, from which state they were reached, and by which of its actions. */
export class States {
  private bytes = new Uint8Array(1 << 22)
  private ends = new Float64Array(1 << 16)
  private parents = new Uint32Array(1 << 16)
  private ways = new Uint8Array(1 << 16)
  private table = new Uint32Array(1 << 18)
  /** How many there are; they are numbered in the order in which they were added. */
  size = 0

  /** Adds a state if it is new, and says whether it was. */
  add(state: Uint8Array, length: number, parent: number, way: number): boolean {
    const mask = this.table.length - 1
    let slot = hash(state, 0, length) & mask
    for (let found = this.table[slot]!; found !== 0; found = this.table[slot]!) {
      if (this.equals(found - 1, state, length)) return false
      slot = (slot + 1) & mask
    }
    this.reserve(length)
    const start = this.start(this.size)
    this.bytes.set(state.subarray(0, length), start)
    this.ends[this.size] = start + length
    this.parents[this.size] = parent
    this.ways[this.size] = way
    this.size++
    this.table[slot] = this.size
    if (this.size * 2 > this.table.length) this.rehash()
    return true
  }

  read<A>(index: number, decode: (bytes: Uint8Array, from: number, to: number) => A): A {
    return decode(this.bytes, this.start(index), this.ends[index]!)
  }

  /** From the first state to this one: the way taken at each. */
  pathTo(index: number): ReadonlyArray<number> {
    const path: Array<number> = []
    for (let at = index; at > 0; at = this.parents[at]!) path.push(this.ways[at]!)
    return path.toReversed()
  }

  private start(index: number): number {
    return index === 0 ? 0 : this.ends[index - 1]!
  }

  private equals(index: number, state: Uint8Array, length: number): boolean {
    const start = this.start(index)
    if (this.ends[index]! - start !== length) return false
    for (let at = 0; at < length; at++) if (this.bytes[start + at] !== state[at]) return false
    return true
  }

  private reserve(length: number): void {
    if (this.start(this.size) + length > this.bytes.length) this.bytes = grown(this.bytes, Uint8Array)
    if (this.size < this.ends.length) return
    this.ends = grown(this.ends, Float64Array)
    this.parents = grown(this.parents, Uint32Array)
    this.ways = grown(this.ways, Uint8Array)
  }

  private rehash(): void {
    const table = new Uint32Array(this.table.length * 2)
    const mask = table.length - 1
    for (let index = 0; index < this.size; index++) {
      let slot = hash(this.bytes, this.start(index), this.ends[index]!) & mask
      while (table[slot] !== 0) slot = (slot + 1) & mask
      table[slot] = index + 1
    }
    this.table = table
  }
}

type Numbers = Uint8Array | Uint32Array | Float64Array

const grown = <A extends Numbers>(array: A, Numbers: new (length: number) => A): A => {
  const larger = new Numbers(array.length * 2)
  larger.set(array)
  return larger
}

// FNV-1a over the bytes, its bits mixed at the end.
const hash = (bytes: Uint8Array, from: number, to: number): number => {
  let hash = 0x811c9dc5
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

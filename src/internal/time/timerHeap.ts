/** A binary heap of timers. The earliest is first. Among timers due at the same time, the one added first is first. */

/** What happens when a timer is due. */
export interface Due {
  readonly fire: () => void
}

/** A timer in a heap. `index` is its position there, or -1 once it has left. */
export interface Timer {
  readonly due: number
  readonly what: Due
  readonly sequence: number
  index: number
}

/** Timers by their due time. Adding a timer that is due last, and removing the one added last, take constant time. */
export class TimerHeap {
  readonly #timers: Array<Timer> = []
  #sequence = 0

  get isEmpty(): boolean {
    return this.#timers.length === 0
  }

  /** The timer that is due first. */
  get first(): Timer | undefined {
    return this.#timers[0]
  }

  add(due: number, what: Due): Timer {
    const timer = { due, what, sequence: this.#sequence++, index: this.#timers.length }
    this.#timers.push(timer)
    this.#raise(timer)
    return timer
  }

  /** Removes a timer. Does nothing if it was removed before. */
  remove(timer: Timer): void {
    if (timer.index < 0) return
    const last = this.#timers.pop()!
    if (last !== timer) {
      this.#place(last, timer.index)
      this.#raise(last)
      this.#lower(last)
    }
    timer.index = -1
  }

  #place(timer: Timer, index: number): void {
    this.#timers[index] = timer
    timer.index = index
  }

  #raise(timer: Timer): void {
    while (timer.index > 0) {
      const { index } = timer
      const parent = this.#timers[(index - 1) >> 1]!
      if (isBefore(parent, timer)) return
      this.#place(timer, parent.index)
      this.#place(parent, index)
    }
  }

  #lower(timer: Timer): void {
    for (;;) {
      const { index } = timer
      const left = this.#timers[2 * index + 1]
      const right = this.#timers[2 * index + 2]
      const child = right !== undefined && isBefore(right, left!) ? right : left
      if (child === undefined || isBefore(timer, child)) return
      this.#place(timer, child.index)
      this.#place(child, index)
    }
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.due < b.due || (a.due === b.due && a.sequence < b.sequence)

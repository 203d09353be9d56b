/** Whether worlds settle in the end once nothing goes wrong any more, and within how many seconds. */

/**
 * How a world goes on in which nothing goes wrong any more. Each second each of its processes, `size` in number, goes on until it waits
 * (`drive`), and then time passes (`pass`), until all have had what they want (`isSettled`). `patience` is how many seconds that may take, and
 * `endless` what is wrong if it takes longer. Worlds with the same ID come to the same.
 */
export interface Calm<World> {
  readonly patience: number
  readonly endless: string
  readonly size: (world: World) => number
  readonly isSettled: (world: World) => boolean
  readonly drive: (world: World, index: number) => Driven<World>
  readonly pass: (world: World) => World
  readonly idOf: (world: World) => string
}

/** A world after one process has gone on, and what that violates. */
export interface Driven<World> {
  readonly world: World
  readonly violation: string | undefined
}

/** Judges worlds, and remembers what it found. */
export class Settling<World> {
  private readonly calm: Calm<World>
  private readonly settled = new Map<string, number>()
  /** How many seconds it took at most. */
  slowest = 0

  constructor(calm: Calm<World>) {
    this.calm = calm
  }

  /** What goes wrong in the end; `undefined` if nothing does. */
  violation(world: World): string | undefined {
    const { drive, endless, idOf, isSettled, pass, patience, size } = this.calm
    const passed: Array<string> = []
    let next = world
    for (;;) {
      const id = idOf(next)
      const found = isSettled(next) ? 0 : this.settled.get(id)
      if (found !== undefined) {
        this.settle(passed, found)
        return undefined
      }
      if (passed.length > patience) return endless
      passed.push(id)
      for (let index = 0; index < size(next); index++) {
        const { violation, world: driven } = drive(next, index)
        if (violation !== undefined) return `${violation}, when nothing goes wrong any more`
        next = driven
      }
      next = pass(next)
    }
  }

  private settle(passed: ReadonlyArray<string>, rest: number): void {
    this.slowest = Math.max(this.slowest, rest + passed.length)
    passed.forEach((id, place) => this.settled.set(id, rest + passed.length - place))
  }
}

/**
 * When a round begins and ends, for all threads at once, in memory that they share.
 *
 * The thread that is ready last opens the round. It ends after its duration, or as soon as somebody says so.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The shared memory. It may be posted to other threads. */
export interface Control {
  readonly cells: Int32Array<SharedArrayBuffer>
  /** When the last round was opened, in nanoseconds on the clock of the process. */
  readonly opened: BigInt64Array<SharedArrayBuffer>
}

const arrivals = 0
const round = 1
const stopped = 2

/** Makes the memory. */
export const make = (): Control => ({
  cells: new Int32Array(new SharedArrayBuffer(3 * 4)),
  opened: new BigInt64Array(new SharedArrayBuffer(8))
})

/** Says that a thread is ready for the round (counted from 1), and waits until all `threads` are. */
export const arrive = (self: Control, number: number, threads: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (Atomics.add(self.cells, arrivals, 1) + 1 < number * threads) {
      return waitWhile(self, round, number - 1)
    }
    Atomics.store(self.opened, 0, process.hrtime.bigint())
    Atomics.store(self.cells, round, number)
    Atomics.notify(self.cells, round)
    return Effect.void
  })

/** How long the round has been open, in milliseconds; `undefined` until all threads are ready for it. */
export const millisOpen = (self: Control, number: number): number | undefined =>
  Atomics.load(self.cells, round) < number
    ? undefined
    : Number(process.hrtime.bigint() - Atomics.load(self.opened, 0)) / 1e6

/** When the last round was opened, in nanoseconds on the clock of the process. */
export const openedAt = (self: Control): number => Number(Atomics.load(self.opened, 0))

/** Waits for the end of a round. */
export const untilOver = (self: Control, duration: Duration.Duration): Effect.Effect<void> =>
  Effect.raceFirst(Effect.sleep(duration), waitWhile(self, stopped, 0))

/** Ends the round that runs, and all that would follow. */
export const stop = (self: Control): void => {
  Atomics.store(self.cells, stopped, 1)
  Atomics.notify(self.cells, stopped)
}

const waitWhile = (self: Control, cell: number, value: number): Effect.Effect<void> =>
  Effect.promise(() => Promise.resolve(Atomics.waitAsync(self.cells, cell, value).value)).pipe(Effect.asVoid)

/**
 * Times in memory that two threads share, so that neither has to wait until the other one can run.
 *
 * They are on the clocks of the machine, which all threads of a process have in common.
 */
import * as Clock from "effect/Clock"
import * as ClockReading from "../time/clockReading.ts"

const machineClock = Clock.Clock.defaultValue()

const now = () => ClockReading.read(machineClock)

/** Memory for two times. */
export const memory = (): SharedArrayBuffer => new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT)

const cell = (times: BigInt64Array, index: number) => ({
  get: () => Number(Atomics.load(times, index)) / 1000,
  set: (millis: number) => void Atomics.store(times, index, BigInt(Math.floor(millis * 1000)))
})

/** By how much the clocks of two threads may seem to differ, in milliseconds: what it takes to read them, with room. Our choice. */
const tolerance = 20

// When the monotonic clock of this thread showed zero, by the wall clock.
const origin = (): number => {
  for (;;) {
    const { monotonic, wall } = now()
    // A thread can be suspended between the two.
    if (now().monotonic - monotonic < 1) return wall - monotonic
  }
}

/**
 * The signs of life that a thread gives to another one.
 *
 * - `give`: gives one.
 * - `silence`: the time since the last one, in milliseconds.
 * - `showClock`: the other thread shows its clock. `isCommon`: whether it is that of this thread. In some runtimes each thread has its own.
 */
export const signsOfLife = (memory: SharedArrayBuffer) => {
  const times = new BigInt64Array(memory)
  const [last, shown] = [cell(times, 0), cell(times, 1)]
  return {
    give: () => last.set(now().monotonic),
    silence: () => now().monotonic - last.get(),
    showClock: () => shown.set(origin()),
    isCommon: () => Math.abs(shown.get() - origin()) < tolerance
  }
}

/**
 * For how long a session is relied on, as the thread tells that renews it.
 *
 * - `relyFor`: so many milliseconds from now on, by each of the two clocks: the monotonic one stops while the machine sleeps, and the wall
 *   clock can be set back. They are asked for once the clocks are read, since the process can be suspended in between.
 * - `end`: not at all any more.
 * - `isValid`: whether it is relied on now.
 */
export const validity = (memory: SharedArrayBuffer) => {
  const times = new BigInt64Array(memory)
  const [monotonic, wall] = [cell(times, 0), cell(times, 1)]
  return {
    relyFor: (remaining: () => number) => {
      const from = now()
      const millis = remaining()
      wall.set(from.wall + millis)
      monotonic.set(from.monotonic + millis)
    },
    end: () => monotonic.set(0),
    isValid: () => {
      const read = now()
      return read.monotonic < monotonic.get() && read.wall < wall.get()
    }
  }
}

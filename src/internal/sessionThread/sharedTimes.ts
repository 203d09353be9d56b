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

/**
 * The signs of life that a thread gives to another one.
 *
 * - `give`: gives one, and answers when.
 * - `silence`: the time since the last one, in milliseconds.
 * - `answer`: the other thread shows its clock. `isCommon`: whether it is the same as that of this thread, as far as can be told: it was
 *   shown since `start`, and not in the future.
 */
export const signsOfLife = (memory: SharedArrayBuffer) => {
  const times = new BigInt64Array(memory)
  const [last, answered] = [cell(times, 0), cell(times, 1)]
  return {
    give: () => {
      last.set(now().monotonic)
      return last.get()
    },
    silence: () => now().monotonic - last.get(),
    answer: () => answered.set(now().monotonic),
    isCommon: (start: number) => answered.get() >= start && answered.get() <= now().monotonic
  }
}

/**
 * For how long a session is relied on, as the thread tells that renews it.
 *
 * - `relyFor`: so many milliseconds from now on, by each of the two clocks: the monotonic one stops while the machine sleeps, and the wall
 *   clock can be set back.
 * - `end`: not at all any more.
 * - `isValid`: whether it is relied on now.
 */
export const validity = (memory: SharedArrayBuffer) => {
  const times = new BigInt64Array(memory)
  const [monotonic, wall] = [cell(times, 0), cell(times, 1)]
  return {
    relyFor: (millis: number) => {
      const from = now()
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

/**
 * How fast others let waiters in. A releaser reckons with those since it last saw the object, so that it wakes the right one. Pure.
 *
 * A wrong guess costs one request: the answer to the release shows whom it let in.
 */

/** Waiters let in per millisecond. */
export type Pace = number

/** How much of the pace is that of the last release. Our choice. */
export const weightOfLast = 0.25

/** The pace after a release that found so many waiters let in during so many milliseconds. */
export const after = (pace: Pace | undefined, passed: number, millis: number): Pace => {
  const last = passed / Math.max(1, millis)
  return pace === undefined ? last : pace + weightOfLast * (last - pace)
}

/** How many waiters others have let in during so many milliseconds, most likely. */
export const passedIn = (pace: Pace | undefined, millis: number): number =>
  pace === undefined ? 0 : Math.round(pace * millis)

/** If others let in more waiters than this while a release is under way, it is not worth the while to write down whose turn is next. Our choice. */
export const hurriedAbove = 2

/** Whether others let waiters in faster than a request of so many milliseconds can tell whose turn is next. */
export const isHurried = (pace: Pace | undefined, millis: number): boolean => (pace ?? 0) * millis > hurriedAbove

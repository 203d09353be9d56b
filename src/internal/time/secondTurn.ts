/**
 * When to ask a server for the time, to learn at once that its clock has passed an instant. Pure.
 *
 * An answer tells the time in whole seconds (`Date`). So what it tells depends on when it is asked for: most at the turn of a
 * second, where one answer shows the old second and the next one the new. Each question is asked a quarter into the time in
 * which the turn must come: either the turn has come by then, or the rest is smaller. Three turns before the instant narrow a second
 * down to some ten milliseconds. At the instant itself, which is a turn as well if the instant is a whole second, the questions
 * follow each other.
 */
import { maxDrift } from "./clockReading.ts"
import type { ServerTime } from "./serverClock.ts"

/** How long before the instant the questions begin, in milliseconds: at three turns of a second. Our choice. */
export const askAhead = 3000

/** A window of so many milliseconds is small enough to ask all the time while it lasts. Our choice. */
export const smallWindow = 36

/**
 * A time that is known less closely than this, in milliseconds, cannot be narrowed down: one answer alone tells it more closely,
 * unless servers contradict each other or tell no time at all. Our choice.
 */
export const widestWindow = 2000

/**
 * How long to wait before the next question, in milliseconds. `undefined` if no question is needed, since the instant has passed or the
 * time is known exactly, or if questions would tell too little.
 */
export const untilNextAsk = ({ earliest, latest }: ServerTime, instant: number): number | undefined => {
  const width = latest - earliest
  if (earliest > instant || width === 0 || width > widestWindow) return undefined
  // How long until a turn may come, and for how long it may come from then on.
  const wait = (turn: number) => Math.max(0, turn - latest) / (1 + maxDrift)
  const window = (turn: number) => turn - earliest - wait(turn) * (1 - maxDrift)
  const next = Math.max(wholeSecond(instant) - askAhead, wholeSecond(earliest) + 1000)
  const turn = next > instant || window(instant) <= smallWindow ? instant : next
  return wait(turn) + (turn === instant && window(turn) <= smallWindow ? 0 : window(turn) / 4)
}

const wholeSecond = (millis: number): number => Math.floor(millis / 1000) * 1000

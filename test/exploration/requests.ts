/** What contenders share: requests sent and answered, and the time as they know it. */
import * as wire from "./wire.ts"
import type { Actor, Request } from "./world.ts"

/** How uncertain a contender may be of the server's clock, in ticks to either side. */
export const uncertainties = [0, 2]

/** The time, so uncertain. */
export const serverTime = (uncertainty: number) => ({
  earliest: wire.millis(-uncertainty),
  latest: wire.millis(uncertainty)
})

/** The actor once the answer to its request is there. */
export const answered = (actor: Actor, stage: Actor["stage"]): Actor => ({
  ...actor,
  stage,
  sent: 0,
  request: undefined,
  seen: undefined
})

/** The actor with a request under way. */
export const sending = (actor: Actor, stage: Actor["stage"], write: Request): Actor => ({
  ...actor,
  stage,
  sent: 0,
  request: write,
  seen: undefined
})

/** A request, as it is sent. */
export const request = (
  write: Request["write"],
  condition: Request["condition"],
  patch: Request["patch"],
  current = false,
  target: number = wire.nobody
): Request => ({ write, condition, patch, current: condition.version && current, target, answer: "none" })

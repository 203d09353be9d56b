/** What contenders share: requests sent and answered. */
import type { Sent } from "./library/port.ts"
import * as wire from "./wire.ts"
import type { Actor, Request } from "./world.ts"

/** The actor once its request is answered. */
export const answered = (actor: Actor, stage: Actor["stage"]): Actor => ({
  ...actor,
  stage,
  sent: 0,
  request: undefined,
  seen: undefined
})

/** The actor with a request under way. */
export const sending = (actor: Actor, stage: Actor["stage"], request: Request): Actor => ({
  ...actor,
  stage,
  sent: 0,
  request,
  seen: undefined
})

/** A request, as it is sent. `current`: the version that it expects is the object's. */
export const request = (
  write: Request["write"],
  { condition, patch }: Sent,
  current = false,
  target: number = wire.nobody
): Request => ({ write, condition, patch, current: condition.version && current, target, answer: "none" })

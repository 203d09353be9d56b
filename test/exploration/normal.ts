/** An acquisition without what does not matter to what follows, so that more states are one. */
import type * as acquiring from "../../src/internal/protocol/acquisitionState.ts"
import { clockAt } from "./time.ts"

/** A step in which all that does not matter is the same. */
export const normal = ([state, command]: acquiring.Step): acquiring.Step => {
  const { phase } = state
  const waiting = phase._tag === "Waiting" ? { ...phase, until: 0 } : phase
  return [
    {
      ...state,
      phase: waiting,
      attempts: 0,
      conflicts: 0,
      contended: false,
      requestedAt: clockAt(0),
      slowest: 0,
      latency: 0,
      holder: undefined,
      lastSeen: phase._tag === "Waiting" ? state.lastSeen : undefined
    },
    "seen" in command ? { _tag: "BackOff", atLeast: 0, atMost: 0, seen: command._tag } : command
  ]
}

/** A server that starts: it answers as if rights or resources were missing. A waiter does not believe it for a while. Pure. */
import type { Event, State } from "./acquisitionState.ts"
import { isOfStart, type Now } from "./answer.ts"

/**
 * For how long a waiter does not believe an answer that a server gives while it starts, in milliseconds. Our choice: a
 * kube-apiserver is done with its roles within half a second.
 */
export const startPatience = 3000

/** The pause before it asks again, at least, in milliseconds. Our choice. */
export const startPause = 250

/** What `refused` of the state becomes with an event. A process that may read and not write is answered either way in turn. */
export const refusedBy = ({ phase, refused }: State, event: Event, now: Now): State["refused"] => {
  const isSame = refused?.request === phase._tag
  const isRefusal = (event._tag === "Failed" || event._tag === "Missing") && isOfStart(event.error)
  if (isRefusal) return isSame ? refused : { request: phase._tag, since: now.clock.monotonic }
  return isSame ? undefined : refused
}

/** Whether an answer that a server gives while it starts may still be one. */
export const mayPass = ({ refused }: State, { clock }: Now): boolean =>
  clock.monotonic - (refused?.since ?? clock.monotonic) < startPatience

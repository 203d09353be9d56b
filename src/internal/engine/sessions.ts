/** What the engine asks of sessions. They are made above it (`internal/session`), and named by text here. */
import type * as Effect from "effect/Effect"
import { type KnownSessions, noSessions } from "../../LockProtocol.ts"
import type { Loss } from "../protocol/holding.ts"

/**
 * A lock that is held under a session of this process.
 *
 * - `lose`: takes the loss of the session, or of this lock alone. The lock is not valid any more when it returns.
 * - `lookAgain`: looks whether the lock is still on its object.
 * - `renewIfDue`: begins to renew its lease if half of that has passed. Until then it has no timer of its own.
 */
export interface HeldUnder {
  readonly holderId: string
  readonly lose: (loss: Loss) => void
  readonly lookAgain: Effect.Effect<void>
  readonly renewIfDue: () => void
}

/**
 * The sessions under which locks are held: those of this process and of others.
 *
 * - `onEnd`: calls `notify` once when a session has ended and cannot be renewed any more, at once if that is known. Returns how to stop
 *   listening.
 * - `isValid`: whether it is a session of this process that lives, by its clocks and what it knows.
 * - `hold`: tells a lock under it of its loss, once, at once if it is lost, and lets it look and renew its lease now and then, until it
 *   leaves.
 * - `opened`: waits until this process has a session, or cannot have one for now. It is there if a lock must be under the session from the
 *   moment on at which it is acquired. Otherwise it may have a lease of its own until it is renewed.
 */
export interface Sessions extends KnownSessions {
  readonly onEnd: (session: string, notify: () => void) => () => void
  readonly isValid: (session: string) => boolean
  readonly hold: (session: string, held: HeldUnder) => void
  readonly leave: (session: string, held: HeldUnder) => void
  readonly opened?: Effect.Effect<void> | undefined
}

/** Where there are none. */
export const none: Sessions = {
  ...noSessions,
  onEnd: () => () => {},
  isValid: () => false,
  hold: () => {},
  leave: () => {}
}

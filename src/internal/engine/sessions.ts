/** What the engine asks of sessions. They are made above it (`internal/session`), and named by text here. */
import type * as LockError from "../../LockError.ts"
import { type KnownSessions, noSessions } from "../../LockProtocol.ts"

/**
 * The sessions under which locks are held: those of this process and of others.
 *
 * - `onEnd`: calls `notify` once when a session has ended and cannot be renewed any more, at once if that is known. Returns how to stop
 *   listening.
 * - `isValid`: whether it is a session of this process that lives, by its clocks and what it knows.
 * - `onLost`: calls `notify` once when that is lost. Returns how to stop listening.
 */
export interface Sessions extends KnownSessions {
  readonly onEnd: (session: string, notify: () => void) => () => void
  readonly isValid: (session: string) => boolean
  readonly onLost: (session: string, notify: (reason: LockError.Lost["reason"]) => void) => () => void
}

/** Where there are none. */
export const none: Sessions = {
  ...noSessions,
  onEnd: () => () => {},
  isValid: () => false,
  onLost: () => () => {}
}

/** A contender for a lock: its acquisition, and what the engine performs it with. */
import type * as Scope from "effect/Scope"
import type { LockPolicy } from "../../LockPolicy.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import type { Acquisition } from "../protocol/acquisitionState.ts"
import type { ClockReading } from "../time/clockReading.ts"
import type { Timers } from "../time/timers.ts"
import type { Absentees } from "./absentees.ts"
import type { Closing } from "./closing.ts"
import type { Renewer } from "./renewer.ts"
import type { Sessions } from "./sessions.ts"
import type { Slots } from "./slots.ts"
import type { WaitBudget } from "./waitBudget.ts"
import type { WatchPool } from "./watchPool.ts"

/** What all contenders of a layer share. `scope` is that of the layer. */
export interface Engine {
  readonly store: ObjectStore["Service"]
  readonly timers: Timers
  readonly watches: WatchPool
  readonly renewer: Renewer
  readonly sessions: Sessions
  readonly slots: Slots
  readonly absentees: Absentees
  readonly closing: Closing
  readonly scope: Scope.Scope
}

/**
 * One contender. `waitBudget` says how long it goes on waiting. `releaseInBackground`: it does not wait for a hand-over when it leaves
 * the lock. `attributes` go with every metric. A process may hold thousands of locks, so what contenders share is in their `settings`.
 *
 * Once it has the lock it waits no more, and keeps neither the time when it began nor a budget of its own: a process may hold thousands.
 */
export interface Contender extends Acquisition {
  readonly engine: Engine
  readonly policy: LockPolicy
  startedAt: ClockReading
  waitBudget: WaitBudget
  readonly releaseInBackground: boolean
  readonly attributes: Readonly<Record<string, string>>
}

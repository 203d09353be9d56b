/**
 * A state of a small world: one object with a line, contenders for its permits, and the requests under way.
 *
 * It has states of the library's machines in it, as they are. (The world of the exclusive lock has a code for each of them, since it goes
 * much deeper. A line has many more states than a lease and a queue, and no code that is short.)
 *
 * Time is in ticks of one second. A contender that is not scheduled is one that is suspended. Waits are not modelled in time: what may
 * happen after a wait may happen at any time.
 */
import type * as acquisition from "../../../src/internal/protocol/acquisitionState.ts"
import type * as holding from "../../../src/internal/protocol/holding.ts"
import type * as release from "../../../src/internal/protocol/release.ts"
import * as LockQueue from "../../../src/LockQueue.ts"
import type { ConditionalPatch, ObjectSnapshot } from "../../../src/ObjectStore.ts"
import type { Permits } from "../../../src/PermitRecord.ts"

/** How long a lease lasts, in ticks. */
export const ttl = 2

/**
 * An acquisition under way. `unanswered` is what was sent and got no answer, and `joins` counts joins.
 */
export interface Attempt {
  readonly state: acquisition.State
  readonly command: acquisition.Command
  readonly unanswered: release.CutOff | undefined
  readonly joins: number
}

/** A release under way. `leaving` is what becomes of the permits; a withdrawal knows of none. */
export interface Giving {
  readonly state: release.State
  readonly command: release.Command
  readonly leaving: release.Release["leaving"]
  readonly cutOff: release.CutOff | undefined
}

/**
 * A contender.
 *
 * - `stage`: `Local` waits for the contender before it, which is of the same process. `Keeping` gives permits back and keeps others, `Raising` takes all.
 * - `uses`: how many permits it works with.
 * - `sent`: the request under way, and `answer` what the server made of it.
 * - `limbo`: writes that it has given up on, which the server may still receive.
 * - `robbedUntil`: the tick from which it must not rely any more on permits that were taken away. `litters`: a late write of its own has
 *   put it into the line after it had left.
 * - `unwoken`: the waiters that its writes let in, and that nobody has woken yet.
 */
export interface Contender {
  readonly stage:
    | "Local"
    | "Idle"
    | "Seeking"
    | "Holding"
    | "Renewing"
    | "Raising"
    | "Keeping"
    | "Releasing"
    | "Done"
    | "Crashed"
  readonly attempt?: Attempt | undefined
  readonly hold?: holding.State | undefined
  readonly renewal?: holding.Renewal | undefined
  readonly giving?: Giving | undefined
  readonly lateJoin?: release.CutOff | undefined
  readonly uses: number
  readonly sent?: ConditionalPatch | undefined
  readonly answer?: { readonly written: ObjectSnapshot | undefined } | undefined
  readonly limbo: ReadonlyArray<ConditionalPatch>
  readonly robbedUntil?: number | undefined
  readonly litters: boolean
  readonly start?: acquisition.Start | undefined
  readonly unwoken: ReadonlyArray<string>
}

/** The world. `faults`, `crashes`, `breaks`, `gives` and `strangers`: how often each may still happen. */
export interface World {
  readonly tick: number
  readonly object: ObjectSnapshot
  readonly contenders: ReadonlyArray<Contender>
  readonly faults: number
  readonly crashes: number
  readonly breaks: number
  readonly withdrawals: number
  readonly strangers: number
}

/**
 * A contender, and what it asks for. `needs` is how many permits it can begin with. `clock` bounds the server's time as it knows it, in
 * ticks from the truth. `again`: it is of the same process as the contender before it. `of`: it takes the lock to have other permits.
 */
export interface Asker {
  readonly permits: number
  readonly needs?: number
  readonly clock?: readonly [earliest: number, latest: number]
  readonly again?: true
  readonly of?: Permits
}

/** The contenders, and what may happen: lost or late requests, crashes, contenders that give up, an operator, strangers. */
export interface Cast {
  readonly permits: Permits
  readonly askers: ReadonlyArray<Asker>
  readonly faults?: number
  readonly crashes?: number
  readonly breaks?: number
  readonly withdrawals?: number
  readonly strangers?: number
}

/** What a stranger wrote on the object. */
export const foreign = "example.com/other"

/** The name of a contender. */
export const nameOf = (index: number): string => String.fromCharCode(65 + index)

/** The holder ID of a contender. */
export const holderId = ({ askers }: Cast, index: number): string => {
  const process = askers[index]?.again === true ? index - 1 : index
  return LockQueue.holderId("contender", `process0000${process}`, index)
}

/** A world in which nobody has permits. */
export const begin = ({ askers, breaks, crashes, faults, strangers, withdrawals }: Cast): World => ({
  tick: 0,
  object: { uid: "u", resourceVersion: "1", annotations: { [foreign]: "0" }, labels: {} },
  contenders: askers.map(({ again }) => ({
    stage: again === true ? "Local" : "Idle",
    uses: 0,
    limbo: [],
    litters: false,
    unwoken: []
  })),
  faults: faults ?? 0,
  crashes: crashes ?? 0,
  breaks: breaks ?? 0,
  withdrawals: withdrawals ?? 0,
  strangers: strangers ?? 0
})

/** The world with another contender in this place. */
export const withContender = (world: World, index: number, contender: Contender): World => ({
  ...world,
  contenders: world.contenders.with(index, contender)
})

/** A contender that does nothing any more. Only what it sent lives on. */
export const ended = (stage: "Done" | "Crashed", { answer, limbo, litters, sent }: Contender): Contender => ({
  stage,
  uses: 0,
  limbo: sent === undefined || answer !== undefined ? limbo : [...limbo, sent],
  litters,
  unwoken: []
})

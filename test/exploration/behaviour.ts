/**
 * How kubelock behaves: the library's own decisions, and what the loops in `internal` do around them.
 *
 * A mutation is a behaviour that differs in one point.
 */
import * as LockProtocol from "../../src/LockProtocol.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { Lease } from "../../src/LockRecord.ts"
import type { ServerTime, ConditionalPatch } from "../../src/ObjectStore.ts"
import { holds, type World } from "./world.ts"
import { foundVersion, holderName } from "./wire.ts"

export interface Behaviour {
  readonly decide: typeof LockProtocol.decide
  readonly fate: typeof LockProtocol.verifyLease
  readonly relinquish: typeof LockProtocol.planRelease
  readonly succession: typeof LockProtocol.planHandOver
  readonly departure: typeof LockQueue.leavePatch
  /** The write with which a contender arrives in the queue (`acquire.ts`: `join`). */
  readonly join: (key: string, holder: string) => Pick<ConditionalPatch, "expect" | "annotations">
  /** The lease to renew with, where one with the expiry `standing` stands. */
  readonly renewal: (now: ServerTime, contender: LockProtocol.Contender, standing: string) => Lease
  readonly holder: (index: number) => string
  /** From when a lease is relied on. */
  readonly countsFrom: "sending" | "answer"
  readonly expects: {
    readonly acquire: "version" | "nothing"
    readonly renew: "lease" | "nothing"
    readonly break: "version" | "nothing"
    readonly grant: "version" | "nothing"
  }
  /** An acquiring write without an answer is followed up, and cleaned up where its sender gives up. */
  readonly followsUp: boolean
  /** Who gives up leaves the queue, and hands on a lock that it may have been handed. */
  readonly leaves: boolean
  /** Who left the queue of a lock that was free looks at the answer before it hands the lock on. */
  readonly judgesAnswer: boolean
  /** A refused renewal is looked into, rather than taken for a success. */
  readonly heedsRefusal: boolean
  /** A lock counts as valid while a write that gives it up is under way, and after one without an answer. */
  readonly reliesOnCommitted: boolean
  /** A write replaces all annotations. */
  readonly writesWhole: boolean
  /** Which number of the object is the fencing token: metadata changes leave the generation as it is. */
  readonly token: "resourceVersion" | "generation"
}

/** The library. */
export const kubelock: Behaviour = {
  decide: LockProtocol.decide,
  fate: LockProtocol.verifyLease,
  relinquish: LockProtocol.planRelease,
  succession: LockProtocol.planHandOver,
  departure: LockQueue.leavePatch,
  join: (key, holder) => ({
    expect: { annotations: { [LockRecord.holderKey(key)]: true } },
    annotations: LockQueue.joinPatch(key, holder, foundVersion)
  }),
  renewal: LockProtocol.nextLease,
  holder: holderName,
  countsFrom: "sending",
  expects: { acquire: "version", renew: "lease", break: "version", grant: "version" },
  followsUp: true,
  leaves: true,
  judgesAnswer: true,
  heedsRefusal: true,
  reliesOnCommitted: false,
  writesWhole: false,
  token: "resourceVersion"
}

/** Whether a contender takes its lock to be valid. */
export const isValid = (world: World, index: number, behaviour: Behaviour): boolean => {
  const { kind, left, stage } = world.actors[index]!
  return kind === "kubelock" && holds(stage) && (stage !== "Committing" || behaviour.reliesOnCommitted) && left > 0
}

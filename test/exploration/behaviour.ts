/**
 * How kubelock behaves: the library's own decisions, and what the loops in `internal` do around them.
 *
 * A mutation is a behaviour that differs in one point.
 */
import * as stopwatch from "../../src/internal/stopwatch.ts"
import * as LockProtocol from "../../src/LockProtocol.ts"
import type { Lease } from "../../src/LockRecord.ts"
import type { ServerTime } from "../../src/ObjectStore.ts"
import { holds, ttl, type World } from "./world.ts"
import { holderName } from "./wire.ts"

export interface Behaviour {
  readonly decide: typeof LockProtocol.decide
  readonly fate: typeof LockProtocol.fate
  /** The lease to renew with, where one with the expiry `standing` stands. */
  readonly renewal: (now: ServerTime, contender: LockProtocol.Contender, standing: string) => Lease
  readonly holder: (index: number) => string
  /** Whether a lease is still relied on, so many ticks after its writing began (`hold.ts`: `remaining`). */
  readonly isReliable: (age: number) => boolean
  /** From when a lease is relied on. */
  readonly countsFrom: "sending" | "answer"
  readonly expects: {
    readonly acquire: "version" | "nothing"
    readonly renew: "lease" | "nothing"
    readonly release: "lease" | "nothing"
    readonly break: "version" | "nothing"
  }
  /** An acquiring write without an answer is followed up, and cleaned up where its sender gives up. */
  readonly followsUp: boolean
  /** A refused renewal is looked into, rather than taken for a success. */
  readonly heedsRefusal: boolean
  /** A lock counts as valid while a write that gives it up is under way, and after one without an answer. */
  readonly reliesOnCommitted: boolean
  /** A write replaces all annotations. */
  readonly writesWhole: boolean
  /** Which number of the object is the fencing token: metadata changes leave the generation as it is. */
  readonly token: "resourceVersion" | "generation"
}

const reliance = ttl * 1000 * (1 - stopwatch.maxDrift)

/** The library. */
export const kubelock: Behaviour = {
  decide: LockProtocol.decide,
  fate: LockProtocol.fate,
  renewal: LockProtocol.nextLease,
  holder: holderName,
  isReliable: (age) => reliance - age * 1000 > 0,
  countsFrom: "sending",
  expects: { acquire: "version", renew: "lease", release: "lease", break: "version" },
  followsUp: true,
  heedsRefusal: true,
  reliesOnCommitted: false,
  writesWhole: false,
  token: "resourceVersion"
}

/** Whether a contender takes its lock to be valid. */
export const isValid = (world: World, index: number, behaviour: Behaviour): boolean => {
  const { age, kind, stage } = world.actors[index]!
  return (
    kind === "kubelock" &&
    holds(stage) &&
    (stage !== "Committing" || behaviour.reliesOnCommitted) &&
    behaviour.isReliable(age)
  )
}

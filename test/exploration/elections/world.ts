/**
 * A state of a small election: one Lease, candidates of the library, at most one client-go, and the requests under way.
 *
 * Time is in ticks of one second. A candidate that is not scheduled is one that is suspended.
 */
import type * as acquisition from "../../../src/internal/protocol/acquisitionState.ts"
import type * as holding from "../../../src/internal/protocol/holding.ts"
import type { ConditionalPatch, Content, ObjectSnapshot } from "../../../src/ObjectStore.ts"

/** The times of the election, in seconds. A client-go goes by its lease duration alone: it may lead on for as long as it sleeps. */
export const leaseDuration = 3
export const renewDeadline = 2

/** What the Lease was when a candidate saw it. */
export interface Sight {
  readonly lease: ObjectSnapshot
  readonly tick: number
}

/** A write under way: of the Lease in a version, or of a new one. */
export type Sent =
  | ConditionalPatch
  | { readonly created: Content; readonly annotations: Readonly<Record<string, string>> }

/**
 * A candidate of the library.
 *
 * - `sights`: when it first saw the record that it knows, and when it last saw the Lease.
 * - `wish`: the write of a lock that is under way, and `sent` what became of it. `answer` is there once the server has worked on it.
 * - `pending`, `renewal`: what the write under way is to bring about.
 * - `limbo`: writes that it has given up on, which the server may still receive.
 * - `robbedAt`: when somebody took the Lease away from it against the rules.
 */
export interface Candidate {
  readonly stage: "Idle" | "Acquiring" | "Leading" | "Renewing" | "Releasing" | "Done" | "Crashed"
  readonly sights: ReadonlyArray<Sight>
  readonly wish?: ConditionalPatch | undefined
  readonly sent?: Sent | undefined
  readonly answer?: { readonly written: ObjectSnapshot | undefined } | undefined
  readonly pending?: acquisition.PendingGrant | undefined
  readonly renewal?: holding.Renewal | undefined
  readonly hold?: holding.State | undefined
  readonly limbo: ReadonlyArray<Sent>
  readonly robbedAt: number | undefined
}

/** The record as a client-go remembers it. */
export interface Observed {
  readonly holder: string
  readonly duration: number
  readonly raw: string
  readonly tick: number
}

/** A client-go. `version` is the one that it would write over. */
export interface Go {
  readonly stage: "Idle" | "Writing" | "Leading" | "Renewing" | "Stopping" | "Releasing" | "Done"
  readonly observed: Observed
  readonly version: string
  readonly sent?: { readonly spec: Content; readonly version: string | undefined } | undefined
  readonly answer?: "done" | "refused" | undefined
}

/**
 * The world. `changedAt`: when the record of the Lease last changed. `token`: the greatest fencing token so far. `meddlings`: how often
 * somebody may still delete or empty the Lease.
 */
export interface World {
  readonly tick: number
  readonly lease: ObjectSnapshot | undefined
  readonly version: number
  readonly changedAt: number
  readonly candidates: ReadonlyArray<Candidate>
  readonly go: Go | undefined
  readonly token: number
  readonly meddlings: number
}

/** The candidates, whether there is a client-go, and how often others meddle. */
export interface Cast {
  readonly candidates: number
  readonly hasGo: boolean
  readonly meddlings?: number
}

const nothing: Observed = { holder: "", duration: 0, raw: "", tick: 0 }

/** What others wrote on the Lease. */
export const foreign = { annotations: { "example.com/other": "o" }, strategy: "OldestEmulationVersion" }

/** A world in which there is a Lease that nobody holds. */
export const begin = ({ candidates, hasGo, meddlings = 0 }: Cast): World => ({
  tick: 0,
  lease: {
    uid: "uid1",
    resourceVersion: "1",
    annotations: foreign.annotations,
    labels: {},
    content: { spec: { strategy: foreign.strategy } }
  },
  version: 1,
  changedAt: 0,
  candidates: Array.from({ length: candidates }, () => ({ stage: "Idle", sights: [], limbo: [], robbedAt: undefined })),
  go: hasGo ? { stage: "Idle", observed: nothing, version: "" } : undefined,
  token: 0,
  meddlings
})

/** The spec of a Lease. */
export const specOf = (lease: ObjectSnapshot | undefined): Readonly<Record<string, string | number>> =>
  (lease?.content?.["spec"] ?? {}) as Record<string, string | number>

/** The holder of a Lease; empty if there is none. */
export const holderOf = (lease: ObjectSnapshot | undefined): string => String(specOf(lease)["holderIdentity"] ?? "")

/** What a client-go compares to see whether a record has changed. */
export const recordOf = (lease: ObjectSnapshot | undefined): string => {
  const { acquireTime, holderIdentity, leaseDurationSeconds, leaseTransitions, renewTime } = specOf(lease)
  return JSON.stringify([lease?.uid, holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions])
}

/** The world with another candidate in this place. */
export const withCandidate = (world: World, index: number, candidate: Candidate): World => ({
  ...world,
  candidates: world.candidates.with(index, candidate)
})

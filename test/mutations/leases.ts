/** The boundary between a candidate and the Leases of its election: what is shown and written in place of a spec. */
import { holderOf, type LeaseSpec, ownLease } from "../../src/internal/election/leaseSpec.ts"
import * as rfc3339 from "../../src/internal/time/rfc3339.ts"
import type { ConditionalPatch, Content, ObjectSnapshot } from "../../src/ObjectStore.ts"
import { type Boundary, withSnapshot } from "./boundary.ts"

export type { LeaseSpec } from "../../src/internal/election/leaseSpec.ts"

/** A time that does not come. */
export const farAway = "2099-01-01T00:00:00.000000Z"

/** Whether a client-go holds the Lease. */
export const isOfGo = (spec: LeaseSpec): boolean => holderOf(spec) !== undefined && ownLease(spec) === undefined

const specOf = ({ content }: ObjectSnapshot): LeaseSpec => (content?.["spec"] ?? {}) as unknown as LeaseSpec

const withSpec = (snapshot: ObjectSnapshot, spec: LeaseSpec): ObjectSnapshot => ({
  ...snapshot,
  content: { ...snapshot.content, spec: spec as unknown as Content }
})

const shownBy = (change: (snapshot: ObjectSnapshot) => ObjectSnapshot): Boundary => ({
  hears: (answer) => withSnapshot(answer, change),
  watches: change
})

/** Shows another spec in every answer and event. */
export const showing = (change: (spec: LeaseSpec) => LeaseSpec): Boundary =>
  shownBy((snapshot) => withSpec(snapshot, change(specOf(snapshot))))

/** Writes other fields of the spec. */
export const writing = (change: (fields: Partial<LeaseSpec>) => Partial<LeaseSpec>): Boundary => ({
  sends: (write) => {
    const fields = Object.fromEntries((write.content ?? []).map(({ path, value }) => [path[1]!, value]))
    if (!("holderIdentity" in fields)) return write
    const changed = Object.entries(change(fields as Partial<LeaseSpec>))
    return { ...write, content: changed.map(([name, value]) => ({ path: ["spec", name], value: value! })) }
  }
})

/** A spec with the same end and a shorter duration: client-go, which counts that from when it sees a change, comes to an earlier end. */
export const shortened = (spec: Partial<LeaseSpec>, seconds: number): Partial<LeaseSpec> => {
  const { leaseDurationSeconds: before = seconds, renewTime = "" } = spec
  const later = Date.parse(renewTime) + Math.max(0, before - seconds) * 1000
  return { ...spec, leaseDurationSeconds: Math.min(seconds, before), renewTime: rfc3339.formatMicros(later) }
}

/** Writes the whole spec in place of its fields. */
export const replacing: Boundary = {
  sends: (write): ConditionalPatch => {
    const fields = Object.fromEntries((write.content ?? []).map(({ path, value }) => [path[1]!, value]))
    return "holderIdentity" in fields ? { ...write, content: [{ path: ["spec"], value: fields }] } : write
  }
}

/** Shows a Lease of client-go as free once it has expired by its own times, on the server's clock. */
export const judgingByServer = (): Boundary => {
  let earliest = Number.NEGATIVE_INFINITY
  const isOver = ({ leaseDurationSeconds = 0, renewTime }: LeaseSpec) =>
    Date.parse(renewTime!) + leaseDurationSeconds * 1000 < earliest
  return {
    now: (now) => {
      earliest = now.earliest
      return now
    },
    ...showing((spec) => (isOfGo(spec) && isOver(spec) ? { ...spec, holderIdentity: "" } : spec))
  }
}

/** Shows what a write has made in the version that its transitions name. */
export const countingTransitions: Boundary = {
  hears: (answer, request) =>
    request === "read"
      ? answer
      : withSnapshot(answer, (snapshot) => ({
          ...snapshot,
          resourceVersion: String((specOf(snapshot).leaseTransitions ?? 0) + 1)
        }))
}

/** Shows the last spec that had a holder in place of one that has none. */
export const remembering = (): Boundary => {
  let last: LeaseSpec | undefined
  return showing((spec) => {
    if (holderOf(spec) !== undefined) last = spec
    return last ?? spec
  })
}

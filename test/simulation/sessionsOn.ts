/** What the Leases of sessions say. Without the library's help, so that both cannot err alike. */
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"
import { plainly } from "./history.ts"
import type { KeptOn } from "./server.ts"

/** The namespace of the Leases. */
export const namespace = "jobs"

/** Reads the Leases on a server whose clock is so far ahead of true time. `endOf` is when a session has ended, `Infinity` while it lives. */
export const sessionsOn = (
  ahead: number,
  now: () => number
): { readonly keptOn: KeptOn; readonly endOf: (session: string) => number } => {
  const ends = new Map<string, number>()
  return {
    endOf: (session) => ends.get(session) ?? Infinity,
    keptOn: (lease, before, after) => {
      const [was, is] = [textOf(lease, before), textOf(lease, after)]
      const ended = was === is ? undefined : was
      if (ended !== undefined) ends.set(ended, now())
      const { leaseDurationSeconds, renewTime } = specOf(after)
      return {
        _tag: "Kept",
        session: is && plainly(is),
        until: Date.parse(String(renewTime)) + 1000 * Number(leaseDurationSeconds) - ahead,
        ended: ended && plainly(ended),
        broken: after?.annotations["kubelock.dev/session-broken"]?.split(" ").map(plainly) ?? []
      }
    }
  }
}

const specOf = (lease: ObjectSnapshot | undefined): Readonly<Record<string, unknown>> =>
  (lease?.content?.["spec"] ?? {}) as Readonly<Record<string, unknown>>

const textOf = (name: string, lease: ObjectSnapshot | undefined): string | undefined => {
  const { holderIdentity = "" } = specOf(lease)
  return lease === undefined || holderIdentity === ""
    ? undefined
    : `${namespace}/${name} ${lease.uid} ${String(holderIdentity)}`
}

/** What the Lease of an election says. Read without the library's help. */
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"
import type * as History from "./history.ts"
import { makeNames, readQueue, type VersionOf } from "./server.ts"

const queueKey = "kubelock.dev/leader"

type Spec = Readonly<Record<string, string | number | undefined>> &
  Partial<History.Recorded & { readonly holderIdentity: string }>

/** The fields of the spec that no election writes. */
const foreignFields = ["strategy", "preferredHolder"]

/**
 * Reads the holder of a Lease. That of a kubelock has it until the time that it says; any other for its duration, from when it was
 * written last.
 */
export const leaseOn = (ahead: number, now: () => number): VersionOf => {
  const names = makeNames()
  let last: { readonly text: string; readonly writtenAt: number } | undefined
  return (snapshot) => {
    const spec = (snapshot.content?.["spec"] ?? {}) as Spec
    const own = Object.fromEntries(Object.entries(spec).filter(([name]) => !foreignFields.includes(name)))
    const text = JSON.stringify([snapshot.uid, own])
    if (last?.text !== text) last = { text, writtenAt: now() }
    return versionOf(snapshot, spec, last.writtenAt)
  }

  function versionOf(snapshot: ObjectSnapshot, spec: Spec, writtenAt: number): History.Version {
    const { acquireTime, holderIdentity, leaseDurationSeconds, leaseTransitions, renewTime } = spec
    const { others, queue } = readQueue(snapshot, names, [queueKey])
    const lasts = (leaseDurationSeconds ?? 0) * 1000
    const plain = names.plain(holderIdentity ?? "")
    const unseen = writtenAt + lasts
    const isOwn = plain !== "?"
    const lock: History.LockOn = {
      until: isOwn ? Date.parse(renewTime!) + lasts - ahead : unseen,
      owner: isOwn ? plain : holderIdentity!,
      unseen
    }
    return {
      version: Number(snapshot.resourceVersion),
      lock: (holderIdentity ?? "") === "" ? undefined : lock,
      second: undefined,
      queue,
      others: {
        ...others,
        ...Object.fromEntries(
          foreignFields.flatMap((name) => (name in spec ? [[`spec ${name}`, String(spec[name])]] : []))
        )
      },
      written: undefined,
      record: { acquireTime, renewTime, leaseDurationSeconds, leaseTransitions }
    }
  }
}

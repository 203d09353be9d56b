/**
 * The boundary between a process and the world: requests out, answers and watch events in, clocks. A mutation of the protocol is
 * done here, from outside, so that the library itself has no switches. A write without its precondition, for one, is the same as a
 * server that does not check it.
 *
 * Pure. The simulation applies it to the store of every process (`test/simulation/mutations.ts`), the exploration to the commands and
 * events of the machines (`test/exploration/library/port.ts`).
 */
import type { Answer } from "../../src/internal/protocol/answer.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ConditionalPatch, ObjectSnapshot, ServerTime } from "../../src/ObjectStore.ts"

/** What requests are for. `commit` releases or hands over, and writes content; `handOverFree` hands over a lock that is free already, `break` is an operator's. */
export type RequestKind =
  | "read"
  | "create"
  | "acquire"
  | "renew"
  | "release"
  | "handOver"
  | "handOverFree"
  | "break"
  | "commit"
  | "join"
  | "leave"

/** The process whose boundary it is. `key` is the key of its lock, `otherKeys` are those that it respects. */
export interface Process {
  readonly key: string
  readonly otherKeys: ReadonlyArray<string>
  readonly owns: (holderId: string) => boolean
}

/**
 * What is different at the boundary. What is left out is as it should be.
 *
 * - `sends`: the write that arrives in place of this one.
 * - `hears`: the answer that the library gets in place of this one.
 * - `delays`: for how long an answer is held back, in milliseconds. Time is the simulation's alone.
 * - `watches`: the snapshot of a watch event. `byLabel` says whether the watch is for the turn of this process.
 * - `now`: the time on the server's clock.
 * - `wipes`: which annotations a write removes although it does not name them.
 * - `clockStops`: the clocks of a process stand still while a write is under way.
 * - `constantToken`: every fencing token is the same.
 * - `believesRenewals`: a renewal that was refused is answered as if it had been written.
 */
export interface Boundary<P extends Process = Process> {
  readonly sends?: (write: ConditionalPatch, process: P) => ConditionalPatch
  readonly hears?: (answer: Answer, request: RequestKind, process: P) => Answer
  readonly delays?: (answer: Answer, request: RequestKind, process: P) => number
  readonly watches?: (snapshot: ObjectSnapshot, process: P, byLabel: boolean) => ObjectSnapshot
  readonly now?: (now: ServerTime) => ServerTime
  readonly wipes?: (annotation: string, request: RequestKind) => boolean
  readonly clockStops?: true
  readonly constantToken?: true
  readonly believesRenewals?: true
}

/** The annotations of the lock. */
export const key = LockPolicy.dexAnnotation
export const holderKey = LockRecord.holderKey(key)
export const queueKey = LockQueue.queueKey(key)
export const labelKey = LockQueue.labelKey(key)

const keys: ReadonlyArray<string> = [LockPolicy.dexAnnotation, LockPolicy.neutralAnnotation]

/** What a write is for, under either key. */
export const kindOf = (write: ConditionalPatch): Exclude<RequestKind, "read" | "create"> => {
  if ("content" in write) return "commit"
  const { annotations, expect, labels } = write
  const isRemoval = keys.some((key) => annotations[key] === null) && holderIn(annotations) === undefined
  if ("resourceVersion" in expect) return isRemoval ? "break" : labels === undefined ? "acquire" : "handOverFree"
  if (keys.some((key) => expect.annotations[LockRecord.holderKey(key)] === true)) return "join"
  if (!keys.some((key) => key in annotations)) return "leave"
  if (isRemoval) return "release"
  return holderIn(annotations) === holderIn(expect.annotations) ? "renew" : "handOver"
}

/** The holder ID in the annotations of a lease. */
export const holderIn = (annotations: Readonly<Record<string, string | boolean | null>>): string | undefined =>
  keys
    .map((key) => annotations[LockRecord.holderKey(key)])
    .find((holder) => typeof holder === "string")
    ?.split("@")[0]

type Sends = NonNullable<Boundary["sends"]>

const only =
  (kinds: ReadonlyArray<RequestKind> | undefined, change: (write: ConditionalPatch) => ConditionalPatch): Sends =>
  (write) =>
    kinds?.includes(kindOf(write)) === false ? write : change(write)

/** Sends writes of these kinds without a precondition. */
export const unconditional = (...kinds: ReadonlyArray<RequestKind>): Boundary => ({
  sends: only(kinds, (write) => ({ ...write, expect: { annotations: {} } }))
})

/** Sends writes of these kinds with a precondition on these annotations alone. */
export const conditionalOn = (
  isExpected: (annotation: string) => boolean,
  ...kinds: ReadonlyArray<RequestKind>
): Boundary => ({
  sends: only(kinds, (write) =>
    "annotations" in write.expect
      ? { ...write, expect: { ...write.expect, annotations: filtered(write.expect.annotations, isExpected) } }
      : write
  )
})

/** Writes another queue with writes of these kinds, or with every write. */
export const requeueing = (
  change: (tokens: ReadonlyArray<string>) => ReadonlyArray<string>,
  ...kinds: ReadonlyArray<RequestKind>
): Boundary => ({
  sends: only(kinds.length === 0 ? undefined : kinds, (write) => {
    const queue = write.annotations[queueKey]
    if (typeof queue !== "string") return write
    const changed = change(queue.split(" ")).join(" ")
    return { ...write, annotations: { ...write.annotations, [queueKey]: changed === "" ? null : changed } }
  })
})

/** Sends something else in place of writes of one kind. */
export const sending = (kind: RequestKind, change: (write: ConditionalPatch) => ConditionalPatch): Boundary => ({
  sends: only([kind], change)
})

/** Shows other snapshots in the answers to requests of these kinds. */
export const showing = (
  change: (snapshot: ObjectSnapshot) => ObjectSnapshot,
  ...kinds: ReadonlyArray<RequestKind>
): Boundary => ({
  hears: (answer, request) => (kinds.includes(request) ? withSnapshot(answer, change) : answer)
})

/** The answer with another snapshot, if it has one. */
export const withSnapshot = (answer: Answer, change: (snapshot: ObjectSnapshot) => ObjectSnapshot): Answer =>
  answer._tag === "Found" || answer._tag === "Written" ? { ...answer, snapshot: change(answer.snapshot) } : answer

/** The snapshot with other annotations. */
export const withAnnotations = (
  snapshot: ObjectSnapshot,
  annotations: Readonly<Record<string, string>>
): ObjectSnapshot => ({ ...snapshot, annotations: { ...snapshot.annotations, ...annotations } })

/** The snapshot without some of its annotations. */
export const without = (snapshot: ObjectSnapshot, ...names: ReadonlyArray<string>): ObjectSnapshot => ({
  ...snapshot,
  annotations: filtered(snapshot.annotations, (name) => !names.includes(name))
})

/** The snapshot without what stands under the keys that the process respects beside its own: all of it, or the queue alone. */
export const withoutOthers =
  (suffix: "" | "-queue") =>
  (snapshot: ObjectSnapshot, { otherKeys }: Process): ObjectSnapshot => ({
    ...snapshot,
    annotations: filtered(snapshot.annotations, (name) => !otherKeys.some((key) => name.startsWith(`${key}${suffix}`)))
  })

/** The snapshot of a lock that is free. */
export const unlocked = (snapshot: ObjectSnapshot): ObjectSnapshot => without(snapshot, key, holderKey)

/** The values by the names that are kept. */
export const filtered = <A>(
  values: Readonly<Record<string, A>>,
  isKept: (name: string) => boolean
): Readonly<Record<string, A>> => Object.fromEntries(Object.entries(values).filter(([name]) => isKept(name)))

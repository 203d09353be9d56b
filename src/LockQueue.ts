/**
 * The queue of a lock: the waiters, as annotations on the locked object. Pure: parsing and patches.
 *
 * **Details**
 *
 * - `<key>-queue` holds the holder IDs of the waiters in order, separated by spaces. Each hand-over writes it, and so does a
 *   waiter that leaves. If Dex shares the objects, it begins with `since=<milliseconds since 1970>`: when the lock was handed
 *   over first since it was free. That mark stays if the last waiter got the lock, until the lock is free.
 * - `<key>-queue-<process>` is a join, `<holder ID>@<resourceVersion>`. Each process writes its own key, so joins conflict
 *   neither with each other nor with the holder. The next hand-over appends them to the queue in the order of their
 *   versions: a waiter that came after another join found a later version. Clocks play no part.
 * - The label `<key>-next` names the process that received the lock last. Each process watches for its own ID, so that a
 *   hand-over wakes one process.
 *
 * **Gotchas**
 *
 * The queue is advice. Dex wipes it, and anybody can garble or forge it. That costs a waiter one write, about a second, or
 * one short lease. It never makes a lock free or held.
 */
import { isOlder } from "./internal/version.ts"
import type { MetadataPatch, AnnotationGuardedPatch } from "./ObjectStore.ts"

/** The queue, and the annotations that it was read from. */
export interface Queue {
  /** The holder IDs of the waiters, the next first. */
  readonly waiters: ReadonlyArray<string>
  /** The key of each waiter that stands under another key than the lock's. */
  readonly otherKeys: ReadonlyMap<string, string>
  /** When the lock was last free, in milliseconds since 1970, if Dex shares the objects. */
  readonly chainStartedAt: number | undefined
  /** The annotations that it was read from. */
  readonly annotations: Readonly<Record<string, string>>
}

/** How many waiters the queue holds: enough for one waiter of each process of a large service. Our choice. */
export const capacity = 128

/**
 * How many joins are read at most. The API server applies at most 10,000 operations of a JSON patch, and a release needs three for
 * each join. Further ones wait for the next release.
 */
export const maxJoins = 1024

/** The name of the annotation that holds the queue. */
export const queueKey = (key: string): string => `${key}-queue`

/** The name of the annotation with which a waiter joins. */
export const joinKey = (key: string, holderId: string): string => `${queueKey(key)}-${processIdOf(holderId)}`

/** The name of the label that names the process which received the lock last. */
export const labelKey = (key: string): string => `${key}-next`

/** The process ID in a holder ID: the value of the label. Empty if it is not a holder ID. */
export const processIdOf = (holderId: string): string => holderIdPattern.exec(holderId)?.[1] ?? ""

/** Makes the ID of one acquisition, from the identity and ID of its process and the acquisition's number there. */
export const holderId = (identity: string, processId: string, sequence: number): string =>
  `${identity.replaceAll(/[^A-Za-z0-9._-]/g, "-").slice(0, 63) || "kubelock"}/${processId}.${sequence.toString(36)}`

/** Makes the ID of a process: 12 random characters. */
export const newProcessId = (): string => crypto.randomUUID().replaceAll("-", "").slice(0, 12)

const holderIdPattern = /^[A-Za-z0-9._-]{1,63}\/([a-z0-9]{12})\.[a-z0-9]{1,11}$/

const joinPattern = /^(.+)@(\d{1,20})$/

const chainStartPattern = /^since=(\d{1,15})$/

/**
 * Reads the queue. It ignores everything that is not a holder ID.
 *
 * `otherKeys` are keys under which other processes wait for the same lock. Their waiters and those of the lock's own key take turns,
 * the others first: so no key can starve another.
 */
export const fromAnnotations = (
  key: string,
  annotations: Readonly<Record<string, string>>,
  otherKeys: ReadonlyArray<string> = []
): Queue =>
  otherKeys.reduce((queue, other) => merge(queue, other, readOne(other, annotations)), readOne(key, annotations))

const noKeys: ReadonlyMap<string, string> = new Map()

const merge = (queue: Queue, key: string, other: Queue): Queue => {
  if (Object.keys(other.annotations).length === 0) return queue
  const waiters = other.waiters.filter((waiter) => !queue.waiters.includes(waiter))
  const length = Math.max(waiters.length, queue.waiters.length)
  return {
    ...queue,
    waiters: Array.from({ length }, (_, index) => [waiters[index], queue.waiters[index]])
      .flat()
      .filter((waiter) => waiter !== undefined),
    otherKeys: new Map([...queue.otherKeys, ...waiters.map((waiter) => [waiter, key] as const)]),
    annotations: { ...queue.annotations, ...other.annotations }
  }
}

const readOne = (key: string, annotations: Readonly<Record<string, string>>): Queue => {
  const found: Record<string, string> = {}
  const joins: Array<{ readonly waiter: string; readonly version: string }> = []
  const prefix = `${queueKey(key)}-`
  let read = 0
  for (const name in annotations) {
    if (!name.startsWith(prefix) || read === maxJoins) continue
    read++
    const value = annotations[name]!
    found[name] = value
    const [, waiter = "", version] = joinPattern.exec(value) ?? []
    if (holderIdPattern.exec(waiter)?.[1] === name.slice(prefix.length)) joins.push({ waiter, version: version! })
  }
  const joined = joins
    .toSorted((a, b) => (isOlder(a.version, b.version) ? -1 : isOlder(b.version, a.version) ? 1 : 0))
    .map(({ waiter }) => waiter)
  const text = annotations[queueKey(key)]
  if (text === undefined) {
    return { waiters: joined, otherKeys: noKeys, chainStartedAt: undefined, annotations: found }
  }
  found[queueKey(key)] = text
  const tokens = text.split(" ", 2 * capacity)
  const chainStart = chainStartPattern.exec(tokens[0]!)?.[1]
  const queued = tokens.filter((token) => holderIdPattern.test(token)).slice(0, capacity)
  return {
    waiters: [...new Set([...queued, ...joined])],
    otherKeys: noKeys,
    chainStartedAt: chainStart === undefined ? undefined : Number(chainStart),
    annotations: found
  }
}

/** Whether an annotation belongs to the queue. */
export const isQueueKey = (key: string, name: string): boolean =>
  name === queueKey(key) || name.startsWith(`${queueKey(key)}-`)

/** The key under which a waiter stands in the queue of this lock. */
export const keyOf = (key: string, { otherKeys }: Pick<Queue, "otherKeys">, waiter: string): string =>
  otherKeys.get(waiter) ?? key

/**
 * The patch that writes these waiters in place of the queue that was read, each under its own key, and removes all joins.
 */
export const queuePatch = (
  key: string,
  queue: Queue,
  { chainStartedAt, waiters }: Pick<Queue, "waiters" | "chainStartedAt">
): MetadataPatch => {
  const patch: Record<string, string | null> = {}
  for (const name in queue.annotations) patch[name] = null
  const mark = chainStartedAt === undefined ? [] : [`since=${chainStartedAt}`]
  for (const each of new Set([key, ...queue.otherKeys.values()])) {
    const own = waiters.filter((waiter) => keyOf(key, queue, waiter) === each).slice(0, capacity)
    const tokens = each === key ? [...mark, ...own] : own
    if (tokens.length > 0) patch[queueKey(each)] = tokens.join(" ")
  }
  return patch
}

/** The patch with which a waiter joins that found the object in this version. */
export const joinPatch = (key: string, holderId: string, resourceVersion: string): MetadataPatch => ({
  [joinKey(key, holderId)]: `${holderId}@${resourceVersion}`
})

/** The patch with which a waiter leaves the queue; `undefined` if it is not in the queue. */
export const leavePatch = (
  key: string,
  annotations: Readonly<Record<string, string>>,
  holderId: string
): AnnotationGuardedPatch | undefined => {
  const expected: Record<string, string> = {}
  const patch: Record<string, string | null> = {}
  const ownJoin = joinKey(key, holderId)
  const joined = annotations[ownJoin]
  if (joined?.startsWith(`${holderId}@`) === true) {
    expected[ownJoin] = joined
    patch[ownJoin] = null
  }
  const text = annotations[queueKey(key)]
  const tokens = text?.split(" ") ?? []
  if (text !== undefined && tokens.includes(holderId)) {
    expected[queueKey(key)] = text
    const others = tokens.filter((token) => token !== holderId)
    patch[queueKey(key)] = others.some((token) => holderIdPattern.test(token)) ? others.join(" ") : null
  }
  return Object.keys(patch).length === 0 ? undefined : { expect: { annotations: expected }, annotations: patch }
}

/** The precondition "the queue is as it was read". New joins do not matter. */
export const precondition = (key: string, { annotations }: Queue): Readonly<Record<string, string | boolean>> => ({
  [queueKey(key)]: false,
  ...annotations
})

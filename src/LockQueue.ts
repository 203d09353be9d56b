/**
 * Who waits for a lock, as it stands on the object: annotations to queue and back, pure.
 *
 * **Details**
 *
 * - `<key>-queue` is the line: the contenders' names, first come first served. Whoever has the lock writes it as it hands
 *   the lock over, and so does whoever leaves the line. Beside Dex it begins with `since=<milliseconds since 1970>`: when
 *   the lock was last free.
 * - `<key>-queue-<process>` is an arrival, `<contender>@<resourceVersion>`. Everybody adds an annotation of its own, so that
 *   arrivals conflict neither with each other nor with what the holder writes; the next hand-over moves them to the end of
 *   the line. Their order is that of the versions in which they found the object: who came after another had arrived found
 *   a later one, whatever clocks say.
 * - The label `<key>-next` names the process that the lock was handed to. Each process watches for its own name, so that
 *   the API server wakes that one and no other.
 *
 * **Gotchas**
 *
 * All of it is advice. Dex wipes the annotations, anybody can garble or forge them: that costs waiters a write, a second,
 * or a short lease, and never makes a lock free or held.
 */
import type { MetadataPatch, AnnotationGuardedPatch } from "./ObjectStore.ts"

/** The queue, and the annotations that it was read from. `since` is in milliseconds since 1970. */
export interface Queue {
  /** The names of those who wait, in the order of their turns. */
  readonly waiters: ReadonlyArray<string>
  readonly chainStartedAt: number | undefined
  readonly annotations: Readonly<Record<string, string>>
}

/** How many can wait in the line: enough for one contender of each process of a large service. */
export const capacity = 128

/** The name of the annotation that holds the line. */
export const queueKey = (key: string): string => `${key}-queue`

/** The name of the annotation with which a contender arrives. */
export const joinKey = (key: string, holder: string): string => `${queueKey(key)}-${processIdOf(holder)}`

/** The name of the label that says whom the lock was handed to. */
export const labelKey = (key: string): string => `${key}-next`

/** The part of a contender's name that stands for its process: the value of the label. */
export const processIdOf = (holder: string): string => contender.exec(holder)?.[1] ?? ""

/** Makes the name of a contender: how its process is called, which process it is, and the how-manieth of its wishes. */
export const holderId = (title: string, process: string, wish: number): string =>
  `${title.replaceAll(/[^A-Za-z0-9._-]/g, "-").slice(0, 63) || "kubelock"}/${process}.${wish.toString(36)}`

/** Makes the name of a process, never to be used by another. */
export const newProcessId = (): string => crypto.randomUUID().replaceAll("-", "").slice(0, 12)

const contender = /^[A-Za-z0-9._-]{1,63}\/([a-z0-9]{12})\.[a-z0-9]{1,11}$/

const arrivalMark = /^(.+)@(\d{1,20})$/

const sinceMark = /^since=(\d{1,15})$/

/** Reads the queue. What is no contender's name is passed over. */
export const fromAnnotations = (key: string, annotations: Readonly<Record<string, string>>): Queue => {
  const found: Record<string, string> = {}
  const arrivals: Array<{ readonly holder: string; readonly found: number }> = []
  const prefix = `${queueKey(key)}-`
  for (const name in annotations) {
    if (!name.startsWith(prefix)) continue
    const value = annotations[name]!
    found[name] = value
    const [, holder = "", version] = arrivalMark.exec(value) ?? []
    if (contender.exec(holder)?.[1] === name.slice(prefix.length)) arrivals.push({ holder, found: Number(version) })
  }
  const arrived = arrivals.toSorted((a, b) => a.found - b.found).map(({ holder }) => holder)
  const line = annotations[queueKey(key)]
  if (line === undefined) return { waiters: arrived, chainStartedAt: undefined, annotations: found }
  found[queueKey(key)] = line
  const tokens = line.split(" ", 2 * capacity)
  const since = sinceMark.exec(tokens[0]!)?.[1]
  const named = tokens.filter((token) => contender.test(token)).slice(0, capacity)
  return {
    waiters: [...new Set([...named, ...arrived])],
    chainStartedAt: since === undefined ? undefined : Number(since),
    annotations: found
  }
}

/** The changes that make the queue what it shall be: the line, and no arrivals. */
export const queuePatch = (
  key: string,
  queue: Queue,
  { chainStartedAt: since, waiters: waiting }: Pick<Queue, "waiters" | "chainStartedAt">
): MetadataPatch => {
  const next: Record<string, string | null> = {}
  for (const name in queue.annotations) next[name] = null
  if (waiting.length > 0) {
    const line = waiting.slice(0, capacity).join(" ")
    next[queueKey(key)] = since === undefined ? line : `since=${since} ${line}`
  }
  return next
}

/** The change with which a contender arrives that found the object in this version. */
export const joinPatch = (key: string, holder: string, resourceVersion: string): MetadataPatch => ({
  [joinKey(key, holder)]: `${holder}@${resourceVersion}`
})

/** The write with which a contender leaves the queue; none where it is not in it. */
export const leavePatch = (
  key: string,
  annotations: Readonly<Record<string, string>>,
  holder: string
): AnnotationGuardedPatch | undefined => {
  const expected: Record<string, string> = {}
  const next: Record<string, string | null> = {}
  const arrivedAs = joinKey(key, holder)
  const arrived = annotations[arrivedAs]
  if (arrived?.startsWith(`${holder}@`) === true) {
    expected[arrivedAs] = arrived
    next[arrivedAs] = null
  }
  const line = annotations[queueKey(key)]
  const tokens = line?.split(" ") ?? []
  if (line !== undefined && tokens.includes(holder)) {
    expected[queueKey(key)] = line
    const others = tokens.filter((token) => token !== holder)
    next[queueKey(key)] = others.some((token) => contender.test(token)) ? others.join(" ") : null
  }
  return Object.keys(next).length === 0 ? undefined : { expect: { annotations: expected }, annotations: next }
}

/** The condition of a write to the queue: it is still as it was read. Arrivals since then do not matter. */
export const precondition = (key: string, { annotations }: Queue): Readonly<Record<string, string | boolean>> => ({
  [queueKey(key)]: false,
  ...annotations
})

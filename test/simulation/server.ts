/** The API server: the one truth about the object, its clock, and its restarts. Every change is taken down. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as LockError from "../../src/LockError.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import * as History from "./history.ts"

/** The name of the one object in a world, and of a second one where there are sessions. */
export const id = "token"
export const second = "other"

/** Whether this is the Lease of a session. */
export const isSessions = (name: string): boolean => name.startsWith("kubelock-session-")

/** Reads what an object says. Without the library's help, so that both cannot err alike. */
export type VersionOf = (snapshot: ObjectSnapshot) => History.Version

/** Reads what a write made of the Lease of a session. */
export type KeptOn = (
  lease: string,
  before: ObjectSnapshot | undefined,
  after: ObjectSnapshot
) => Extract<History.Happening, { readonly _tag: "Kept" }>

/** The server. */
export interface Server {
  /** The store without a network in between. */
  readonly store: ObjectStore["Service"]
  /** Does a request of a process in one moment, and takes down what it changed. It is for the object `on`, if that is not the one. */
  readonly handle: <A>(
    process: string,
    verb: string,
    request: Effect.Effect<A, LockError.StoreError>,
    on?: string
  ) => Exit.Exit<A, LockError.StoreError>
  /** The object as it was `lag` milliseconds ago, as a cache shows it. */
  readonly cached: (lag: number, on?: string) => Effect.Effect<ObjectSnapshot, LockError.StoreError>
  /** Deletes the object. */
  readonly remove: () => void
  /** What the server's clock shows, in milliseconds since 1970. */
  readonly time: () => number
  /** How often it has been restarted: connections do not outlive that. */
  restarts: number
  /** Whether it refuses connections, in the middle of a restart. */
  down: boolean
}

/**
 * Makes a server whose clock is `ahead` of true time; `exists` says whether the object is there from the start, and `versionOf` what
 * an object says. With `keptOn`, which reads the Leases of sessions, there is a second object, and what happens names its object.
 */
export const make = (options: {
  readonly recorder: History.Recorder
  readonly now: () => number
  readonly ahead: number
  readonly exists: boolean
  readonly versionOf: VersionOf
  readonly keptOn?: KeptOn | undefined
}): Effect.Effect<Server> =>
  Effect.map(
    ObjectStoreMemory.make({
      objects: options.exists ? (options.keptOn === undefined ? [id] : [id, second]) : [],
      createIfMissing: !options.exists,
      annotation: keys[0]
    }),
    ({ delete: remove, store }): Server => {
      const { keptOn, versionOf } = options
      const look = (on = id): ObjectSnapshot | undefined =>
        Option.getOrUndefined(Exit.getSuccess(Effect.runSyncExit(store.read(on))))
      const past: Array<{ readonly on: string; readonly until: number; readonly snapshot: ObjectSnapshot }> = []
      const outdate = (snapshot: ObjectSnapshot | undefined, on = id): void => {
        if (snapshot !== undefined) past.push({ on, until: options.now(), snapshot })
      }
      return {
        store,
        cached: (lag, name = id) =>
          Effect.suspend(() => {
            const then = past.find(({ on, until }) => on === name && until > options.now() - lag)
            return then === undefined ? store.read(name) : Effect.succeed(then.snapshot)
          }),
        time: () => options.now() + options.ahead,
        restarts: 0,
        down: false,
        remove: () => {
          const before = look()
          if (before === undefined) return
          outdate(before)
          Effect.runSync(remove(id))
          const version = Number(before.resourceVersion) + 1
          const after = {
            version,
            lock: undefined,
            second: undefined,
            queue: emptyQueue,
            others: {},
            written: undefined
          }
          options.recorder.record("deleter", { _tag: "Written", verb: "delete", before: versionOf(before), after })
        },
        handle: (process, verb, request, on = id) => {
          const before = look(on)
          const answer = Effect.runSyncExit(request)
          const after = look(on)
          if (after === undefined || after.resourceVersion === before?.resourceVersion) return answer
          outdate(before, on)
          options.recorder.record(
            process,
            isSessions(on)
              ? keptOn!(on, before, after)
              : {
                  _tag: "Written",
                  verb,
                  before: before && versionOf(before),
                  after: versionOf(after),
                  ...(keptOn === undefined ? {} : { on })
                }
          )
          return answer
        }
      }
    }
  )

const emptyQueue: History.QueueOn = { line: [], arrivals: [], next: undefined }

const keys: ReadonlyArray<string> = [LockPolicy.dexAnnotation, LockPolicy.neutralAnnotation]

const isName = /^\w{1,63}\/([a-z0-9]{12})\.[a-z0-9]+$/

/** What the history calls the holder IDs and the processes of the library. Processes are called after machines. */
export interface Names {
  /** A holder ID, as the history calls it. */
  readonly plain: (token: string) => string
  /** The process that a label names. */
  readonly process: (id: string) => string
}

/** Learns names as they are met. */
export const makeNames = (): Names => {
  const machines = new Map<string, string>()
  const names = new Map<string, string>()
  return {
    process: (id) => machines.get(id) ?? id,
    plain: (token) => {
      const known = names.get(token)
      if (known !== undefined) return known
      const process = isName.exec(token)?.[1]
      const name = process === undefined ? "?" : History.plainly(token)
      if (process !== undefined) machines.set(process, History.processOf(token))
      names.set(token, name)
      return name
    }
  }
}

/** The queue under these keys, and what belongs to neither lock nor queue. */
export const readQueue = (
  { annotations, labels }: ObjectSnapshot,
  { plain, process }: Names,
  keys: ReadonlyArray<string>
): Pick<History.Version, "queue" | "others"> => {
  const lineKeys = keys.map((key) => `${key}-queue`)
  const nextLabels = new Set(keys.map((key) => `${key}-next`))
  const entries = Object.entries(annotations)
  const isArrival = (name: string) => lineKeys.some((key) => name.startsWith(`${key}-`))
  const isOwn = (name: string) =>
    isArrival(name) || lineKeys.includes(name) || keys.includes(name) || keys.map(LockRecord.holderKey).includes(name)
  // The label of the key under which the lock stands: a vandal may have written to the other one.
  const [next] = keys
    .toSorted((a, b) => Number(b in annotations) - Number(a in annotations))
    .flatMap((key) => labels[`${key}-next`] ?? [])
  return {
    queue: {
      line: lineKeys
        .flatMap((key) => annotations[key]?.split(" ") ?? [])
        .filter((token) => !token.startsWith("since="))
        .map(plain),
      arrivals: entries.filter(([name]) => isArrival(name)).map(([, value]) => plain(value.replace(/@\d+$/, ""))),
      next: next === undefined ? undefined : process(next)
    },
    others: {
      ...Object.fromEntries(entries.filter(([name]) => !isOwn(name))),
      ...Object.fromEntries(
        Object.entries(labels)
          .filter(([name]) => !nextLabels.has(name))
          .map(([name, value]) => [`label ${name}`, value])
      )
    }
  }
}

/**
 * Reads the lock on an object, on a server whose clock is so far ahead of true time. `endOf` is when a session has ended, `Infinity` while
 * it lives.
 */
export const lockOn = (ahead: number, endOf = (_session: string): number => Infinity): VersionOf => {
  const names = makeNames()
  return (snapshot) => {
    const { annotations, content, resourceVersion } = snapshot
    const [lock, second] = keys.flatMap((key): ReadonlyArray<History.LockOn> => {
      const { [key]: expiry, [LockRecord.holderKey(key)]: holder } = annotations
      if (expiry === undefined) return []
      const isNamed = holder?.endsWith(`@${expiry}`) === true
      const [owner, ...under] = isNamed ? holder.split("@")[0]!.split(" ") : []
      const session = under.length > 0 ? { session: History.plainly(under.join(" ")) } : {}
      return [
        {
          until: under.length > 0 ? endOf(under.join(" ")) : Date.parse(expiry) - ahead,
          ...(owner === undefined ? {} : { owner: names.plain(owner) }),
          ...session
        }
      ]
    })
    return {
      version: Number(resourceVersion),
      lock,
      second,
      ...readQueue(snapshot, names, keys),
      written: content?.["written"]?.toString()
    }
  }
}

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

/** The name of the one object in a world. */
export const id = "token"

/** The server. */
export interface Server {
  /** The store without a network in between. */
  readonly store: ObjectStore["Service"]
  /** Does a request of a process in one moment, and takes down what it changed. */
  readonly handle: <A>(
    process: string,
    verb: string,
    request: Effect.Effect<A, LockError.StoreError>
  ) => Exit.Exit<A, LockError.StoreError>
  /** The object as it was `lag` milliseconds ago, as a cache shows it. */
  readonly cached: (lag: number) => Effect.Effect<ObjectSnapshot, LockError.StoreError>
  /** Deletes the object. */
  readonly remove: () => void
  /** What the server's clock shows, in milliseconds since 1970. */
  readonly time: () => number
  /** How often it has been restarted: connections do not outlive that. */
  restarts: number
  /** Whether it refuses connections, in the middle of a restart. */
  down: boolean
}

/** Makes a server whose clock is `ahead` of true time; `exists` says whether the object is there from the start. */
export const make = (options: {
  readonly recorder: History.Recorder
  readonly now: () => number
  readonly ahead: number
  readonly exists: boolean
}): Effect.Effect<Server> =>
  Effect.map(
    ObjectStoreMemory.make({
      objects: options.exists ? [id] : [],
      createIfMissing: !options.exists,
      annotation: keys[0]
    }),
    ({ delete: remove, store }): Server => {
      const versionOf = makeVersionOf(options.ahead)
      const look = (): ObjectSnapshot | undefined =>
        Option.getOrUndefined(Exit.getSuccess(Effect.runSyncExit(store.read(id))))
      const past: Array<{ readonly until: number; readonly snapshot: ObjectSnapshot }> = []
      const outdate = (snapshot: ObjectSnapshot | undefined): void => {
        if (snapshot !== undefined) past.push({ until: options.now(), snapshot })
      }
      return {
        store,
        cached: (lag) =>
          Effect.suspend(() => {
            const then = past.find(({ until }) => until > options.now() - lag)
            return then === undefined ? store.read(id) : Effect.succeed(then.snapshot)
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
        handle: (process, verb, request) => {
          const before = look()
          const answer = Effect.runSyncExit(request)
          const after = look()
          if (after !== undefined && after.resourceVersion !== before?.resourceVersion) {
            outdate(before)
            options.recorder.record(process, {
              _tag: "Written",
              verb,
              before: before === undefined ? undefined : versionOf(before),
              after: versionOf(after)
            })
          }
          return answer
        }
      }
    }
  )

const emptyQueue: History.QueueOn = { line: [], arrivals: [], next: undefined }

const keys: ReadonlyArray<string> = [LockPolicy.dexAnnotation, LockPolicy.neutralAnnotation]
const lineKeys = keys.map((key) => `${key}-queue`)
const nextLabels = new Set(keys.map((key) => `${key}-next`))

const isName = /^\w{1,63}\/([a-z0-9]{12})\.[a-z0-9]+$/

// Read here without the library's help, so that both cannot err alike. Processes are called after machines.
const makeVersionOf = (ahead: number) => {
  const machines = new Map<string, string>()
  const names = new Map<string, string>()
  const plainName = (token: string): string => {
    const known = names.get(token)
    if (known !== undefined) return known
    const process = isName.exec(token)?.[1]
    const name = process === undefined ? "?" : History.plainly(token)
    if (process !== undefined) machines.set(process, History.processOf(token))
    names.set(token, name)
    return name
  }
  return ({ annotations, content, labels, resourceVersion }: ObjectSnapshot): History.Version => {
    const [lock, second] = keys.flatMap((key): ReadonlyArray<History.LockOn> => {
      const { [key]: expiry, [LockRecord.holderKey(key)]: holder } = annotations
      if (expiry === undefined) return []
      const owner = holder?.endsWith(`@${expiry}`) === true ? { owner: plainName(holder.split("@")[0]!) } : {}
      return [{ until: Date.parse(expiry) - ahead, ...owner }]
    })
    const entries = Object.entries(annotations)
    const isArrival = (name: string) => lineKeys.some((key) => name.startsWith(`${key}-`))
    const isOwn = (name: string) =>
      isArrival(name) || lineKeys.includes(name) || keys.includes(name) || keys.map(LockRecord.holderKey).includes(name)
    // The label of the key under which the lock stands: a vandal may have written to the other one.
    const [next] = keys
      .toSorted((a, b) => Number(b in annotations) - Number(a in annotations))
      .flatMap((key) => labels[`${key}-next`] ?? [])
    return {
      version: Number(resourceVersion),
      lock,
      second,
      queue: {
        line: lineKeys
          .flatMap((key) => annotations[key]?.split(" ") ?? [])
          .filter((token) => !token.startsWith("since="))
          .map(plainName),
        arrivals: entries.filter(([name]) => isArrival(name)).map(([, value]) => plainName(value.replace(/@\d+$/, ""))),
        next: next === undefined ? undefined : (machines.get(next) ?? next)
      },
      others: {
        ...Object.fromEntries(entries.filter(([name]) => !isOwn(name))),
        ...Object.fromEntries(
          Object.entries(labels)
            .filter(([name]) => !nextLabels.has(name))
            .map(([name, value]) => [`label ${name}`, value])
        )
      },
      written: content?.["written"]?.toString()
    }
  }
}

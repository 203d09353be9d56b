/** A memory store whose requests fail on demand: refused, applied without an answer, or not answered in time. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as LockError from "../../src/LockError.ts"
import type { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"

/** What happens to a request. `Lost`: it is applied, and the connection breaks. `Unanswered`: it is applied, and hangs. */
export type Fault = "None" | "Refused" | "Lost" | "Hangs" | "Unanswered" | "Conflicts" | LockError.StoreError

/** What a request does. */
export type Verb = "read" | "write" | "dry run"

/**
 * The watches of a store: how many were opened, and what happens to them. `Silent`: they report nothing. `Buffered`: they report three
 * events at a time, as from behind a proxy that waits until its buffer is full.
 */
export interface Watching {
  opened: number
  fault: LockError.StoreError | "Silent" | "Buffered" | undefined
}

/** The store, the requests that it got, and its faults. Each request takes the first fault of its verb. */
export interface FaultyStore extends ObjectStoreMemory.ObjectStoreMemory {
  /** The store without its faults. */
  readonly sound: ObjectStore["Service"]
  readonly requests: Array<Verb>
  readonly faults: Array<readonly [verb: Verb, fault: Fault]>
  readonly watching: Watching
}

/** Makes a store with these objects. */
export const make = (objects: Iterable<string>): Effect.Effect<FaultyStore> =>
  Effect.map(ObjectStoreMemory.make({ objects, createIfMissing: false }), over)

/** Another store on the same objects, with faults of its own. */
export const over = (memory: ObjectStoreMemory.ObjectStoreMemory): FaultyStore => {
  const requests: FaultyStore["requests"] = []
  const faults: FaultyStore["faults"] = []
  const watching: Watching = { opened: 0, fault: undefined }
  const failure = (id: string, verb: string) =>
    new LockError.Unavailable({ object: id, verb, detail: "a fault of the test" })

  // The store on Kubernetes waits as long for an answer.
  const timedOut = (id: string, verb: string) => Effect.delay(Effect.fail(failure(id, verb)), "5 seconds")

  const faulty = <A>(
    verb: Verb,
    id: string,
    request: Effect.Effect<A, LockError.StoreError>
  ): Effect.Effect<A, LockError.StoreError> =>
    Effect.suspend(() => {
      requests.push(verb)
      const index = faults.findIndex(([which]) => which === verb)
      const fault = index < 0 ? undefined : faults.splice(index, 1)[0]![1]
      switch (fault) {
        case undefined:
        case "None":
          return request
        case "Refused":
          return Effect.fail(failure(id, verb))
        case "Lost":
          return Effect.andThen(request, Effect.fail(failure(id, verb)))
        case "Hangs":
          return timedOut(id, verb)
        // Another write came first.
        case "Conflicts":
          return Effect.succeed(Option.none() as A)
        case "Unanswered":
          return Effect.andThen(request, timedOut(id, verb))
        default:
          return Effect.fail(fault)
      }
    })

  const store: ObjectStore["Service"] = {
    ...memory.store,
    read: (id) => faulty("read", id, memory.store.read(id)),
    create: (id, annotations, content) => faulty("write", id, memory.store.create(id, annotations, content)),
    compareAndSwap: (id, write) => faulty("write", id, memory.store.compareAndSwap(id, write)),
    dryRun: (id, write) => faulty("dry run", id, memory.store.dryRun(id, write)),
    watch: (id, options) =>
      Stream.suspend(() => {
        watching.opened++
        const events = memory.store.watch(id, options)
        switch (watching.fault) {
          case undefined:
            return events
          case "Silent":
            return Stream.never
          case "Buffered":
            return Stream.flattenIterable(Stream.grouped(events, 3))
          default:
            return Stream.fail(watching.fault)
        }
      })
  }
  return { delete: memory.delete, sound: memory.store, store, requests, faults, watching }
}

/** From now on each request has this fault, until the faults are emptied. */
export const failAll = ({ faults }: Pick<FaultyStore, "faults">, fault: Fault): void => {
  for (let times = 0; times < 2000; times++) faults.push(["write", fault], ["read", fault])
}

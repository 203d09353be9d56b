/** The mutations that the simulation must find, done to the store and the clock of every process. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as requests from "../../src/internal/engine/requests.ts"
import type { Held } from "../../src/Held.ts"
import type { Answer } from "../../src/internal/protocol/answer.ts"
import type * as serverClock from "../../src/internal/time/serverClock.ts"
import * as LockKind from "../../src/LockKind.ts"
import type { StoreError } from "../../src/LockError.ts"
import type { ConditionalPatch, ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { type Boundary, kindOf, type Process, type RequestKind, withSnapshot } from "../mutations/boundary.ts"
import { type InSimulation, mutations as all } from "../mutations/mutations.ts"
import type { Machine } from "./machine.ts"
import type { ElectionPlan } from "./plan.ts"

type Store = ObjectStore["Service"]

/** What the library runs on, and the key of its lock. */
export interface Seen {
  readonly key: string
  readonly store: Store
  readonly clock: Clock.Clock
}

/**
 * A mutation: of the store as the server keeps it, of how the time is learnt, of what the library runs on, of the locks that it gives, of
 * the store of an operator, or of the times of an election.
 */
export interface Mutation {
  readonly learns?: typeof serverClock.learn
  readonly served?: (store: Store) => Store
  readonly seen?: (machine: Machine, seen: Seen) => Seen
  readonly holds?: (held: Held) => Held
  readonly breaks?: (store: Store) => Store
  readonly times?: (election: ElectionPlan) => ElectionPlan
}

const mutate = (how: Boundary, { holds, how: own, learns, times }: InSimulation): Mutation => ({
  ...(holds === undefined ? {} : { holds }),
  ...(learns === undefined ? {} : { learns }),
  ...(times === undefined ? {} : { times }),
  served: (store) => (how.wipes === undefined ? store : wiping(store, how.wipes)),
  seen: (machine, seen) => {
    const changed = changing({ ...how, ...own?.(machine) }, machine, seen)
    return how.clockStops === true ? stopping(changed) : changed
  }
})

// The object as the answer to a renewal shows it.
const renewed = ({ annotations }: ConditionalPatch): ObjectSnapshot => ({
  uid: "",
  resourceVersion: "1",
  annotations: Object.fromEntries(Object.entries(annotations).map(([name, value]) => [name, value ?? ""])),
  labels: {}
})

const changing = (
  { believesRenewals, constantToken, delays, hears, now, sends, watches }: Boundary,
  { name }: Machine,
  { clock, key, store }: Seen
): Seen => {
  const { otherKeys } = LockKind.exclusive(key)
  const process: Process = { key, otherKeys, owns: (holderId) => holderId.startsWith(`${name}/`) }
  const heard = (answer: Answer, request: RequestKind): Answer => {
    const changed = hears?.(answer, request, process) ?? answer
    return constantToken === true && request !== "read"
      ? withSnapshot(changed, (snapshot) => ({ ...snapshot, resourceVersion: "1" }))
      : changed
  }
  return {
    clock,
    key,
    store: {
      ...store,
      now: now === undefined ? store.now : Effect.map(store.now, now),
      read: (id, options) =>
        Effect.flatMap(requests.read(store, id, options), (answer) =>
          Effect.map(resultOf(heard(answer, "read")), Option.getOrThrow)
        ),
      compareAndSwap: (id, write) =>
        Effect.flatMap(requests.write(store, id, sends?.(write, process) ?? write), (answer) => {
          const isBelieved = believesRenewals === true && answer._tag === "Refused" && kindOf(write) === "renew"
          const result = resultOf(
            isBelieved ? { _tag: "Written", snapshot: renewed(write) } : heard(answer, kindOf(write))
          )
          const delay = delays?.(answer, kindOf(write), process) ?? 0
          return delay > 0 ? Effect.delay(result, delay) : result
        }),
      watch: (id, options) =>
        watches === undefined
          ? store.watch(id, options)
          : Stream.map(store.watch(id, options), (event) =>
              event._tag === "Changed"
                ? { ...event, snapshot: watches(event.snapshot, process, options?.label !== undefined) }
                : event
            )
    }
  }
}

const resultOf = (answer: Answer): Effect.Effect<Option.Option<ObjectSnapshot>, StoreError> => {
  switch (answer._tag) {
    case "Found":
    case "Written":
      return Effect.succeedSome(answer.snapshot)
    case "Refused":
      return Effect.succeedNone
    case "Missing":
    case "Failed":
      return Effect.fail(answer.error)
  }
}

/** A store whose writes also remove annotations that they do not name. */
export const wiping = (store: Store, isWiped: NonNullable<Boundary["wipes"]>): Store => ({
  ...store,
  compareAndSwap: (id, write) =>
    Effect.flatMap(store.read(id), ({ annotations }) => {
      const wiped = Object.fromEntries(
        Object.keys(annotations)
          .filter((name) => isWiped(name, kindOf(write)))
          .map((name) => [name, null])
      )
      return store.compareAndSwap(id, { ...write, annotations: { ...wiped, ...write.annotations } })
    })
})

/** The clocks stand still while a write is under way. */
export const stopping = ({ clock, key, store }: Seen): Seen => {
  let writing = 0
  const timed = <A, E>(write: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      const began = clock.monotonicTimeNanosUnsafe()
      return Effect.tap(write, () =>
        Effect.sync(() => {
          writing += Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
        })
      )
    })
  return {
    key,
    store: {
      ...store,
      create: (id, annotations) => timed(store.create(id, annotations)),
      compareAndSwap: (id, write) => timed(store.compareAndSwap(id, write))
    },
    clock: {
      ...clock,
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - Math.round(writing),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() - BigInt(Math.round(writing * 1e6))
    }
  }
}

/** The mutations, by name. */
export const mutations: Readonly<Record<string, Mutation>> = Object.fromEntries(
  all.flatMap(({ how = {}, name, simulation }) => (simulation === undefined ? [] : [[name, mutate(how, simulation)]]))
)

/**
 * The runners of an Effect cluster, their shards and their health, on one ConfigMap for the runners and one for each shard group.
 *
 * Each runner of this process has a session. The session holds its machine id and its shards, and lives as long as it is renewed. A
 * runner takes a shard from another one only after that one's session has ended, and it ends an expired session itself, by fencing it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as AnyId from "../../AnyId.ts"
import { type StoreError, Unavailable } from "../../LockError.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import type { Session, Sessions } from "../session/session.ts"
import * as sessionLease from "../session/sessionLease.ts"
import * as boundedMap from "../boundedMap.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as Deadline from "./deadline.ts"
import * as runnerTable from "./runnerTable.ts"
import * as sharedData from "./sharedData.ts"
import * as shardMap from "./shardMap.ts"

/**
 * The options of runners.
 *
 * - `name`: what the names of the ConfigMaps begin with.
 * - `namespace`: that of the ConfigMaps and of the Leases.
 * - `expiration`: for how long a session lives after each renewal.
 * - `interval`: how often a runner is renewed.
 */
export interface Options {
  readonly name: string
  readonly namespace: string
  readonly expiration: Duration.Duration
  readonly interval: Duration.Duration
}

/**
 * The operations of `RunnerStorage.Encoded`, and `isAlive` of `RunnerHealth`. Each has a deadline below the interval. `holds` tells whether
 * a shard is the runner's at this moment, by the clocks of this process and what it knows.
 */
export interface Runners {
  readonly getRunners: Effect.Effect<Array<readonly [runner: string, healthy: boolean]>, StoreError>
  readonly register: (address: string, runner: string, healthy: boolean) => Effect.Effect<number, StoreError>
  readonly unregister: (address: string) => Effect.Effect<void, StoreError>
  readonly setRunnerHealth: (address: string, healthy: boolean) => Effect.Effect<void, StoreError>
  readonly acquire: (address: string, shards: ReadonlyArray<string>) => Effect.Effect<Array<string>, StoreError>
  readonly refresh: (address: string, shards: ReadonlyArray<string>) => Effect.Effect<Array<string>, StoreError>
  readonly release: (address: string, shard: string) => Effect.Effect<void, StoreError>
  readonly releaseAll: (address: string) => Effect.Effect<void, StoreError>
  readonly isAlive: (address: string) => Effect.Effect<boolean, StoreError>
  readonly holds: (address: string, shard: string) => boolean
}

/** The deadline of an operation, as a part of the interval. Our choice: it is below the interval, and above two requests. */
export const deadlineIn = (interval: Duration.Duration): Duration.Duration => Duration.times(interval, 0.8)

/** The time-out of a request, as a part of the interval. Our choice: of two that are lost the third may be answered in time. */
export const requestTimeoutIn = (interval: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.seconds(5), Duration.divideUnsafe(interval, 3))

/**
 * A runner of this process. `session` is its present one, `sessions` are all that it ever had. `named` tells when the cluster last named a
 * shard as one of this runner.
 */
interface Own {
  readonly opening: Semaphore.Semaphore
  readonly sessions: Set<shardMap.Session>
  readonly named: Map<string, number>
  session: Opened | undefined
  renewal: Fiber.Fiber<boolean> | undefined
  looksAfter: boolean
}

/**
 * A session, and its reference as text. `leaving` are the shards that it is to release, until that is known to be done: another runner may
 * have them already.
 */
interface Opened {
  readonly handle: Session
  readonly text: shardMap.Session
  readonly leaving: Set<string>
}

/** Makes the runners. `configMaps` is a store that includes content. */
export const make = Effect.fnUntraced(function* (
  configMaps: ObjectStore["Service"],
  sessions: Sessions,
  { expiration, interval, name, namespace }: Options
): Effect.fn.Return<Runners, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const expirationMillis = Duration.toMillis(expiration)
  const owns = new Map<string, Own>()

  // Fibers that start while a scope closes never run. So what the runners need to leave is in a scope of its own.
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) =>
    Effect.andThen(
      Effect.suspend(() => leave),
      Scope.close(scope, exit)
    )
  )
  const withDeadline = Deadline.make(scope, deadlineIn(interval), `the runners of ${name} in namespace ${namespace}`)
  const table = sharedData.make(configMaps, `${name}-runners`, scope, withDeadline)
  const groups = new Map<string, sharedData.SharedData>()
  const livesUntil = boundedMap.make<shardMap.Session, number>(mostSessions)
  // The session of a runner that was found not to live; none if the runner was missing.
  const foundEnded = boundedMap.make<string, shardMap.Session>(mostSessions)

  const shardsIn = (group: string): Effect.Effect<sharedData.SharedData, StoreError> =>
    Effect.map(Effect.fromResult(AnyId.nameOf(`${name}-shards-${group}`)), (id) => {
      const known = groups.get(group) ?? sharedData.make(configMaps, id, scope, withDeadline)
      groups.set(group, known)
      return known
    })

  const ownOf = (address: string): Own => {
    const own = owns.get(address) ?? {
      opening: Semaphore.makeUnsafe(1),
      sessions: new Set(),
      named: new Map(),
      session: undefined,
      renewal: undefined,
      looksAfter: false
    }
    owns.set(address, own)
    return own
  }

  const living = (own: Own | undefined) => (own?.session?.handle.isValid() === true ? own.session : undefined)

  // A session that is lost is not ended here: it may live for others a little longer, and what runs on its shards needs time to stop.
  const open = (own: Own) =>
    Effect.suspend(() => {
      const alive = living(own)
      return alive === undefined
        ? Effect.map(Scope.provide(sessions.open, scope), (handle) => begin(own, handle))
        : Effect.succeed(alive)
    }).pipe(own.opening.withPermit)

  const begin = (own: Own, handle: Session) => {
    const session = { handle, text: sessionLease.format(handle.reference), leaving: new Set<string>() }
    own.session = session
    own.sessions.add(session.text)
    return session
  }

  // A runner whose session is lost is missing, so that the cluster registers it anew.
  const isPresent = (own: Own | undefined, session: shardMap.Session) =>
    own?.session === undefined || living(own)?.text === session

  // All that ask at the same time share one renewal. One that hangs is left alone.
  const renew = (own: Own, { handle }: Opened): Effect.Effect<boolean> =>
    Effect.gen(function* () {
      const fiber = own.renewal ?? (yield* Effect.forkIn(handle.renew, scope, { startImmediately: true }))
      own.renewal = fiber
      const forget = Effect.sync(() => {
        if (own.renewal === fiber) own.renewal = undefined
      })
      return yield* Effect.ensuring(Fiber.join(fiber), forget)
    })

  /** Whether a session has ended. One that has expired is fenced. It asks for none that is known to live. */
  const hasEnded = (session: shardMap.Session): Effect.Effect<boolean, StoreError> =>
    Effect.gen(function* () {
      const reference = sessionLease.parse(session)
      if (reference === undefined || sessions.hasEnded(reference)) return true
      const until = livesUntil.get(session)
      if (until !== undefined && (yield* configMaps.now).earliest <= until) return false
      const standing = yield* sessions.ask(reference)
      if (standing._tag === "Lives") livesUntil.set(session, standing.until)
      return standing._tag === "Ended"
    })

  const readable = new WeakMap<shardMap.Data, Result.Result<shardMap.Holders, StoreError>>()
  const decoded = (group: string, data: shardMap.Data): Result.Result<shardMap.Holders, StoreError> => {
    const known =
      readable.get(data) ?? Result.mapError(shardMap.decode(namespace, data), (problem) => garbled(group, problem))
    readable.set(data, known)
    return known
  }

  const garbled = (group: string, problem: string) =>
    new Unavailable({
      object: configMaps.describe(`${name}-shards-${group}`),
      verb: "patch",
      detail: `${problem}. Correct it, or remove the entry once that runner has stopped`
    })

  const listed = (session: Opened, group: string): ReadonlySet<number> => {
    const holders = decoded(group, groups.get(group)?.latest() ?? none)
    return Result.isSuccess(holders) ? shardMap.shardsOf(holders.success, session.text) : new Set()
  }

  const holds = (session: Opened, shard: string) => {
    const [group, id] = partsOf(shard)
    return !session.leaving.has(shard) && listed(session, group).has(id)
  }

  // Changes which session holds which shards of a group. Fails if the data cannot be read.
  const changeIn = <A>(
    group: string,
    change: (holders: shardMap.Holders) => { readonly holders: shardMap.Holders; readonly answer: A }
  ): Effect.Effect<A, StoreError> =>
    Effect.gen(function* () {
      const shards = yield* shardsIn(group)
      const answer = yield* shards.change((data): ReturnType<sharedData.Change<Result.Result<A, StoreError>>> => {
        const before = decoded(group, data)
        if (Result.isFailure(before)) return { data, answer: Result.fail(before.failure) }
        const { answer, holders } = change(before.success)
        return { data: holders === before.success ? data : shardMap.encode(holders), answer: Result.succeed(answer) }
      })
      return yield* Effect.fromResult(answer)
    })

  const acquireIn = Effect.fnUntraced(function* (session: Opened, group: string, ids: ReadonlySet<number>) {
    const shards = yield* shardsIn(group)
    // A release that was not answered may still arrive. It cannot once the object has changed.
    const isLeaving = (id: number) => session.leaving.has(shardId(group, id))
    if (Array.from(ids).some(isLeaving)) yield* releaseIn(session, group, isLeaving)
    const othersIn = (data: shardMap.Data) =>
      Effect.map(Effect.fromResult(decoded(group, data)), (holders) => shardMap.othersWith(holders, session.text, ids))
    // What is known may be outdated: another runner may have released them.
    const known = yield* othersIn(yield* shards.known(Number.POSITIVE_INFINITY))
    const others = known.length === 0 ? known : yield* othersIn(yield* shards.read)
    const ended = new Set(yield* Effect.filter(others, hasEnded, { concurrency: lookingAtOnce }))
    return yield* changeIn(group, (before) => {
      if (!session.handle.isValid()) return { holders: before, answer: [] }
      const holders = shardMap.acquire(before, session.text, ids, (other) => ended.has(other))
      const ours = shardMap.shardsOf(holders, session.text)
      const acquired = Array.from(ids).filter((id) => ours.has(id))
      return { holders, answer: acquired.map((id) => shardId(group, id)) }
    })
  })

  const releaseIn = (
    session: Opened,
    group: string,
    isReleased: (id: number) => boolean
  ): Effect.Effect<void, StoreError> =>
    Effect.gen(function* () {
      for (const id of listed(session, group)) if (isReleased(id)) session.leaving.add(shardId(group, id))
      yield* changeIn(group, (before) => {
        const ids = new Set(Array.from(shardMap.shardsOf(before, session.text)).filter(isReleased))
        return {
          holders: ids.size === 0 ? before : shardMap.release(before, session.text, ids),
          answer: undefined
        }
      })
      for (const shard of session.leaving) {
        const [other, id] = partsOf(shard)
        if (other === group && isReleased(id)) session.leaving.delete(shard)
      }
    })

  // A session that is lost releases nothing: others may have its shards already.
  const release = (
    address: string,
    forget: (own: Own) => void,
    releaseFrom: (session: Opened) => Effect.Effect<void, StoreError>
  ) =>
    withDeadline(
      "patch",
      Effect.suspend(() => {
        const own = ownOf(address)
        const session = living(own)
        forget(own)
        return session === undefined ? Effect.void : releaseFrom(session)
      })
    )

  const setNamed = (own: Own, shards: ReadonlyArray<string>) => {
    const now = ClockReading.monotonic(clock)
    for (const shard of shards) own.named.set(shard, now)
  }

  // The cluster has forgotten these: an acquisition that it gave up was made all the same.
  const releaseForgotten = (own: Own, session: Opened) =>
    Effect.suspend(() => {
      const since = ClockReading.monotonic(clock) - expirationMillis
      return Effect.forEach(
        groups.keys(),
        (group) => {
          const isForgotten = (id: number) => (own.named.get(shardId(group, id)) ?? Number.NEGATIVE_INFINITY) < since
          return Array.from(listed(session, group)).some(isForgotten)
            ? releaseIn(session, group, isForgotten)
            : Effect.void
        },
        { discard: true }
      )
    }).pipe(Effect.ignore, Effect.forkIn(scope), Effect.asVoid)

  const refresh = Effect.fnUntraced(function* (address: string, shards: ReadonlyArray<string>) {
    const own = ownOf(address)
    const session = living(own)
    if (session === undefined) {
      // What runs on shards that are lost must stop at once. Without shards this is the question whether the API server answers.
      if (shards.length === 0 || own.session === undefined) yield* open(own)
      return []
    }
    setNamed(own, shards)
    const isRenewed = yield* renew(own, session)
    if (!session.handle.isValid()) return []
    if (!isRenewed) return yield* notRenewed
    yield* releaseForgotten(own, session)
    return shards.filter((shard) => holds(session, shard))
  })

  const notRenewed = Effect.suspend(() =>
    Effect.fail(
      new Unavailable({
        object: `the session of a runner of ${name} in namespace ${namespace}`,
        verb: "patch",
        detail: "it could not be renewed"
      })
    )
  )

  const acquire = Effect.fnUntraced(function* (address: string, shards: ReadonlyArray<string>) {
    const own = ownOf(address)
    setNamed(own, shards)
    const session = yield* open(own)
    const acquired = yield* Effect.forEach(byGroup(shards), ([group, ids]) => acquireIn(session, group, ids), {
      concurrency: "unbounded"
    }).pipe(Effect.retry({ times: 1, while: ({ _tag }) => _tag === "LockUnavailable" }))
    return session.handle.isValid() ? acquired.flat() : []
  })

  const register = Effect.fnUntraced(function* (address: string, runner: string, healthy: boolean) {
    const own = ownOf(address)
    const { text: session } = yield* open(own)
    const isOurs = (other: shardMap.Session) => own.sessions.has(other)
    const id = yield* table.change((data) => {
      const { data: next, id } = runnerTable.register(data, { address, healthy, runner, session }, isOurs)
      return { data: next, answer: id }
    })
    if (id === undefined) {
      return yield* new Unavailable({
        object: configMaps.describe(`${name}-runners`),
        verb: "patch",
        detail: `all ${runnerTable.machineIds} machine ids are in use`
      })
    }
    if (!own.looksAfter) {
      own.looksAfter = true
      yield* Effect.forkIn(lookAfterOthers(own), scope)
    }
    return id
  })

  // Waits for the end of the session that this runner looks after, and removes it.
  const lookAfterOthers = (own: Own) =>
    Effect.gen(function* () {
      const somethingElse = Effect.raceFirst(table.nextChange(), Effect.sleep(expiration))
      const data = yield* table.known(expirationMillis)
      const next = own.session && runnerTable.lookedAfterBy(data, own.session.text)
      const reference = next === undefined ? undefined : sessionLease.parse(next)
      if (next === undefined || reference === undefined) return yield* somethingElse
      const ended = yield* Effect.raceFirst(Effect.as(sessions.wait(reference), true), Effect.as(somethingElse, false))
      if (ended) yield* table.change((data) => ({ data: runnerTable.remove(data, next), answer: undefined }))
    }).pipe(
      Effect.catch(() => Effect.sleep(interval)),
      Effect.forever
    )

  const update = (change: (data: shardMap.Data) => shardMap.Data) =>
    table.change((data) => ({ data: change(data), answer: undefined }))

  // A runner leaves for good: its machine ids are free.
  const leave = Effect.suspend(() => {
    const all = Array.from(owns.values()).flatMap(({ sessions }) => Array.from(sessions))
    return all.length === 0 ? Effect.void : Effect.ignore(update((data) => all.reduce(runnerTable.remove, data)))
  })

  return {
    getRunners: withDeadline(
      "watch",
      Effect.map(table.known(Number.POSITIVE_INFINITY), (data) =>
        runnerTable
          .registered(data)
          .filter(({ address, session }) => isPresent(owns.get(address), session))
          .map(({ healthy, runner }) => [runner, healthy] as const)
      )
    ),
    register: (address, runner, healthy) => withDeadline("patch", register(address, runner, healthy)),
    unregister: (address) => {
      const own = owns.get(address)
      const isMeant = (session: shardMap.Session) => own?.session === undefined || own.sessions.has(session)
      return withDeadline(
        "patch",
        update((data) => runnerTable.unregister(data, address, isMeant))
      )
    },
    setRunnerHealth: (address, healthy) => {
      // A runner that has registered anew is not the one that was found not to live.
      const ended = healthy ? undefined : foundEnded.get(address)
      const isMeant = (session: shardMap.Session) => ended === undefined || session === ended
      return withDeadline(
        "patch",
        update((data) => runnerTable.setHealth(data, address, healthy, isMeant))
      )
    },
    acquire: (address, shards) => withDeadline("patch", acquire(address, shards)),
    refresh: (address, shards) => withDeadline("patch", refresh(address, shards)),
    release: (address, shard) => {
      const [group, id] = partsOf(shard)
      return release(
        address,
        ({ named }) => named.delete(shard),
        (session) => releaseIn(session, group, (other) => other === id)
      )
    },
    releaseAll: (address) =>
      release(
        address,
        ({ named }) => named.clear(),
        (session) =>
          Effect.forEach(groups.keys(), (group) => releaseIn(session, group, () => true), {
            concurrency: "unbounded",
            discard: true
          })
      ),
    isAlive: (address) =>
      withDeadline(
        "get",
        Effect.gen(function* () {
          const runners = runnerTable.registered(yield* table.known(Number.POSITIVE_INFINITY))
          const runner = runners.find((runner) => runner.address === address)
          const isAlive = runner !== undefined && !(yield* hasEnded(runner.session))
          if (isAlive) foundEnded.delete(address)
          else foundEnded.set(address, runner?.session ?? noSession)
          return isAlive
        })
      ),
    holds: (address, shard) => {
      const session = living(owns.get(address))
      return session !== undefined && holds(session, shard)
    }
  }
})

const none: shardMap.Data = {}

// What no session is.
const noSession = ""

// How many sessions are asked for at once, if the shards of many are wanted. Our choice.
const lookingAtOnce = 8

// Of how many sessions it is remembered until when they live. One that is forgotten is asked for again.
const mostSessions = 2048

const shardId = (group: string, id: number): string => `${group}:${id}`

const partsOf = (shard: string): readonly [group: string, id: number] => {
  const at = shard.lastIndexOf(":")
  return [shard.slice(0, at), Number(shard.slice(at + 1))]
}

const byGroup = (shards: ReadonlyArray<string>): ReadonlyMap<string, ReadonlySet<number>> => {
  const groups = new Map<string, Set<number>>()
  for (const shard of shards) {
    const [group, id] = partsOf(shard)
    groups.set(group, (groups.get(group) ?? new Set()).add(id))
  }
  return groups
}

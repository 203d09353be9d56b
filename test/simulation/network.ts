/**
 * The network between a process and the API server: what the process sees of the store.
 *
 * A request and its answer each take their time, so that one may overtake another. A process that gives a request up
 * does not stop it: it may still arrive, and be applied. The server's clock is learnt as the library learns it on a real
 * cluster (`internal/time/serverClock.ts`), from a `Date` in whole seconds that comes with each answer.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as serverClock from "../../src/internal/time/serverClock.ts"
import { localClockError } from "../../src/internal/kubernetes/apiClient.ts"
import * as ClockReading from "../../src/internal/time/clockReading.ts"
import * as LockError from "../../src/LockError.ts"
import type { ConditionalPatch, ObjectStore, ServerTime, WatchEvent, WatchOptions } from "../../src/ObjectStore.ts"
import type { Dice } from "./dice.ts"
import type { Recorder } from "./history.ts"
import type { Machine } from "./machine.ts"
import { maxRetryAfter, type Plan, type Trouble, troubles } from "./plan.ts"
import { id, isSessions, type Server } from "./server.ts"

/** One process's way to the server. */
export interface Network {
  readonly store: ObjectStore["Service"]
  /** Sends a request; what it does at the server happens in one moment. `conflict` is what a 409 means to the caller, `on` its object. */
  readonly ask: <A>(
    verb: string,
    request: Effect.Effect<A, LockError.StoreError>,
    conflict?: A,
    on?: string
  ) => Effect.Effect<A, LockError.StoreError>
  /** Sends a message that nobody answers, and does not wait for it to arrive. */
  readonly tell: (message: Effect.Effect<void>) => Effect.Effect<void>
  /** Whether the process is cut off. */
  cut: boolean
}

/** The world that a network is a part of; `trueClock` is the world's own. */
export interface Surroundings {
  readonly plan: Plan
  readonly recorder: Recorder
  readonly server: Server
  readonly trueClock: Clock.Clock
  /** How a process learns the server's time from an answer. */
  readonly learn: typeof serverClock.learn
}

/** Whose network it is. `served` is the store as the server keeps it. */
export interface Options {
  readonly machine: Machine
  readonly dice: Dice
  readonly requestTimeout: number
  /** By how much the clock of the server that it talks to is ahead. */
  readonly serverAhead: number
  readonly served: ObjectStore["Service"]
}

// `date` is there if the server answered at all.
interface Answer<A> {
  readonly exit: Exit.Exit<A, LockError.StoreError>
  readonly date?: number
}

/** Makes the network of a machine. */
export const make = ({ learn, plan, recorder, server, trueClock }: Surroundings, options: Options): Network => {
  const { dice, machine, requestTimeout, served, serverAhead } = options
  let learnt: serverClock.ServerClock = serverClock.initial
  let hasDate = true
  let troubledAt = -Infinity
  let asked = { second: 0, times: 0 }

  const pause = (millis: number) => (millis === 0 ? Effect.void : trueClock.sleep(Duration.millis(millis)))
  const usual = () => dice.between(0, plan.delay * (plan.grain ?? 1)) / (plan.grain ?? 1)
  const late = (trouble: Trouble | undefined, kind: Trouble) =>
    trouble === kind
      ? dice.between(500, longestDelay)
      : trouble === "request late" && kind === "request slow"
        ? dice.between(longestDelay, latest)
        : usual()

  // In calm weather a server's cache is up to date.
  const cacheLag = () => (ofNow(plan.weather).length > 0 && dice.chance(0.3) ? dice.between(0, longestLag) : 0)

  const ofNow = <A extends { readonly from: number; readonly to: number; readonly process: string | undefined }>(
    all: ReadonlyArray<A>
  ): ReadonlyArray<A> => {
    const now = trueClock.currentTimeMillisUnsafe()
    return all.filter(
      ({ from, process, to }) => from <= now && now < to && (process === undefined || process === machine.name)
    )
  }

  const drawTrouble = (verb: string): Trouble | undefined => {
    const now = trueClock.currentTimeMillisUnsafe()
    const weather = ofNow(plan.weather).filter(({ apart = 0 }) => troubledAt + apart <= now)
    const times = verb === "read" ? 0.25 : verb === "commit" ? 2 : 1
    const found = troubles.find(
      (kind) =>
        (verb !== "read" || !ofWrites.has(kind)) &&
        weather.some(({ troubles }) => dice.chance((troubles[kind] ?? 0) * times))
    )
    if (found !== undefined) troubledAt = now
    return found
  }

  // Two absurd dates in a row would confirm each other. The first of all is not absurd: see `befall` in `world.ts`.
  const dateOf = (date: number): number | undefined => {
    const spells = ofNow(plan.dating)
    if (spells.some(({ dates }) => dates === "none")) return undefined
    const isSpared = learnt.unconfirmed !== undefined
    if (spells.every(({ dates }) => dates !== "absurd") || isSpared || !dice.chance(0.2)) return date
    recorder.record(machine.name, { _tag: "Odd", what: "an absurd Date" })
    return dice.chance(0.3) ? 0 : date + dice.pick([-1, 1]) * dice.between(2, 100_000) * 3_600_000
  }

  const learnFrom = (date: number, sent: ClockReading.ClockReading) => {
    const told = dateOf(date)
    if (told === undefined && hasDate) recorder.record(machine.name, { _tag: "Odd", what: "no Date" })
    hasDate = told !== undefined
    if (told !== undefined) learnt = learn(learnt, { sent, received: ClockReading.read(machine.clock), date: told })
  }

  // As the client of the API server does it.
  const estimate = (): ServerTime => {
    const known = serverClock.at(learnt, ClockReading.read(machine.clock))
    if (hasDate) return known
    const wall = machine.clock.currentTimeMillisUnsafe()
    const local = { earliest: wall - localClockError, latest: wall + localClockError }
    return known.latest - known.earliest < 2 * localClockError ? known : local
  }

  // What the server answers without doing anything.
  const refusal = <A>(verb: string, trouble: Trouble | undefined, conflict: A | undefined) => {
    switch (trouble) {
      case "409":
        return conflict === undefined ? undefined : Exit.succeed(conflict)
      case "429":
        return Exit.fail(unavailable(verb, 429, Duration.millis(dice.pick([0, 1000, maxRetryAfter]))))
      case "500":
        return Exit.fail(unavailable(verb, 500))
      case "401":
        return Exit.fail(new LockError.Unauthorized({ object: id, detail: "the server answered 401" }))
      case "403":
        return Exit.fail(
          new LockError.Forbidden({
            object: id,
            verb,
            status: 403,
            refusedBy: verb === "read" ? "Authorizer" : "Webhook",
            detail: "the server answered 403"
          })
        )
      default:
        return undefined
    }
  }

  // The way of a request: there, at the server, and back. Undefined where it or its answer gets lost.
  const travel = Effect.fnUntraced(function* <A>(
    verb: string,
    request: Effect.Effect<A, LockError.StoreError>,
    conflict: A | undefined,
    on: string | undefined
  ): Effect.fn.Return<Answer<A> | undefined> {
    const reset: Answer<A> = { exit: Exit.fail(unavailable(verb)) }
    const connection = server.restarts
    const trouble = drawTrouble(verb)
    if (trouble !== undefined) recorder.record(machine.name, { _tag: "Trouble", what: `${verb}: ${trouble}` })
    if (network.cut) return undefined
    yield* pause(late(trouble, "request slow"))
    if (network.cut || trouble === "request dropped") return undefined
    if (server.down || server.restarts !== connection) return reset
    const date = Math.floor((server.time() + serverAhead) / 1000) * 1000
    const exit = refusal(verb, trouble, conflict) ?? server.handle(machine.name, verb, request, on)
    yield* pause(Math.max(serverClock.shortestTrip, late(trouble, "answer slow")))
    if (network.cut || trouble === "answer dropped") return undefined
    if (server.restarts !== connection) return reset
    return { exit: trouble === "500 though applied" ? Exit.fail(unavailable(verb, 500)) : exit, date }
  })

  // A process that asks on and on would make a world without end.
  const restrain = Effect.suspend(() => {
    const second = Math.floor(trueClock.currentTimeMillisUnsafe() / 1000)
    asked = second === asked.second ? { second, times: asked.times + 1 } : { second, times: 1 }
    if (asked.times <= mostAsked) return Effect.void
    if (asked.times === mostAsked + 1) recorder.record(machine.name, { _tag: "Broke", defect: "it asks on and on" })
    return Effect.never
  })

  const ask = <A>(verb: string, request: Effect.Effect<A, LockError.StoreError>, conflict?: A, on?: string) =>
    Effect.andThen(restrain, send(verb, request, conflict, on))

  const send = <A>(
    verb: string,
    request: Effect.Effect<A, LockError.StoreError>,
    conflict: A | undefined,
    on: string | undefined
  ) =>
    Effect.suspend(() => {
      machine.onWait()
      const sent = ClockReading.read(machine.clock)
      const answer = Deferred.makeUnsafe<Answer<A>>()
      const travelling = Effect.map(travel(verb, request, conflict, on), (arrived) => {
        if (arrived !== undefined) Deferred.doneUnsafe(answer, Exit.succeed(arrived))
      })
      return Effect.forkDetach(travelling, { startImmediately: true }).pipe(
        Effect.andThen(Deferred.await(answer)),
        Effect.tap(machine.turn),
        Effect.flatMap(({ date, exit }) => {
          if (date !== undefined) learnFrom(date, sent)
          return exit
        }),
        Effect.timeoutOrElse({ duration: requestTimeout, orElse: () => Effect.fail(unavailable(verb)) })
      )
    })

  // To a Lease every write is one of the content.
  const isCommit = (id: string, write: ConditionalPatch) =>
    plan.election === undefined && !isSessions(id) && "content" in write

  const network: Network = {
    cut: false,
    ask,
    tell: (message) =>
      Effect.asVoid(
        Effect.forkDetach(
          Effect.andThen(
            pause(usual()),
            Effect.suspend(() => (network.cut ? Effect.void : message))
          ),
          { startImmediately: true }
        )
      ),
    store: {
      createIfMissing: served.createIfMissing,
      sharedWithDex: served.sharedWithDex,
      annotation: served.annotation,
      includesContent: served.includesContent,
      describe: served.describe,
      announce: served.announce,
      holdsLeases: served.holdsLeases,
      now: Effect.sync(() => {
        const known = estimate()
        const time = server.time() + serverAhead
        const off = Math.max(known.earliest - time, time - known.latest)
        if (off > 0) recorder.record(machine.name, { _tag: "Misjudged", off })
        return known
      }),
      read: (id, { mayBeStale = false } = {}) =>
        ask("read", mayBeStale ? server.cached(cacheLag(), id) : served.read(id), undefined, id),
      create: (id, annotations, content) => ask("create", served.create(id, annotations, content), Option.none(), id),
      // The lock makes no dry run.
      dryRun: (id, patch) => served.dryRun(id, patch),
      compareAndSwap: (id, write) =>
        ask(isCommit(id, write) ? "commit" : "write", served.compareAndSwap(id, write), Option.none(), id),
      remove: served.remove,
      watch: (id, from) => watch(id, from)
    }
  }

  // Events are late, and some come twice. A watch that breaks misses what happens until it is opened again, and then
  // begins with the present state. Nobody is told at once that it broke.
  const watch = (id: string, from: WatchOptions | undefined): Stream.Stream<WatchEvent, LockError.StoreError> =>
    Stream.suspend(() => {
      const connection = server.restarts
      return served.watch(id, from).pipe(
        Stream.mapEffect((change) => deliver(change, connection, from?.label === undefined ? "watch" : "own watch")),
        Stream.takeWhile((events) => events !== undefined),
        Stream.flattenIterable,
        Stream.concat(Stream.suspend(() => watch(id, from?.label === undefined ? {} : { label: from.label })))
      )
    })

  // The way of an event: how often it comes. Undefined where the watch breaks, and once it can be opened again.
  const deliver = Effect.fnUntraced(function* (change: WatchEvent, connection: number, what: string) {
    const awayFor = (millis: number) =>
      Effect.gen(function* () {
        recorder.record(machine.name, { _tag: "Away", what })
        yield* pause(millis)
        while (network.cut || server.down) yield* pause(50)
        recorder.record(machine.name, { _tag: "Back", what })
      })
    yield* pause(Math.max(1 / (plan.grain ?? 1), usual()))
    const weather = ofNow(plan.weather).filter(({ apart }) => apart === undefined)
    const isStormy = weather.length > 0
    if (server.down || server.restarts !== connection || (isStormy && dice.chance(0.1))) {
      yield* awayFor(dice.between(50, longestAway))
      return undefined
    }
    if (isStormy && dice.chance(0.1)) yield* awayFor(dice.between(500, longestDelay))
    if (weather.some(({ troubles }) => dice.chance(troubles["403"] ?? 0))) {
      recorder.record(machine.name, { _tag: "Trouble", what: "watch: 403" })
      return yield* new LockError.Forbidden({
        object: id,
        verb: "watch",
        status: 403,
        refusedBy: "Authorizer",
        detail: "the server answered 403"
      })
    }
    if (network.cut) {
      yield* awayFor(0)
      if (dice.chance(0.5)) return undefined
    }
    yield* machine.turn
    return dice.chance(0.1) ? [change, change] : [change]
  })

  return network
}

// How far a server's cache is behind at most.
const longestLag = 5000

// How long a watch is away at most.
const longestAway = 4000

// How often a process may ask in a second: several times as often as the busiest does.
const mostAsked = 300

// Longer than any process waits for an answer.
const longestDelay = 8000

// Longer than anybody tries to make the fate of a request certain.
const latest = 30_000

const ofWrites: ReadonlySet<Trouble> = new Set<Trouble>(["409", "request late"])

const unavailable = (verb: string, status?: number, retryAfter?: Duration.Duration): LockError.Unavailable =>
  new LockError.Unavailable({
    object: id,
    verb,
    detail: status === undefined ? "no answer" : `the server answered ${status}`,
    ...(status === undefined ? {} : { status }),
    ...(retryAfter === undefined ? {} : { retryAfter })
  })

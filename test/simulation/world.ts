/** A world: everything in it, set going, driven to its end, and what happened in it. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import * as serverClock from "../../src/internal/time/serverClock.ts"
import type * as LockError from "../../src/LockError.ts"
import * as candidate from "./candidate.ts"
import * as dexPeer from "./dexPeer.ts"
import * as dice from "./dice.ts"
import * as goPeer from "./goPeer.ts"
import * as History from "./history.ts"
import * as holder from "./holder.ts"
import { leaseOn } from "./leaseOn.ts"
import { lineOn } from "./lineOn.ts"
import * as machines from "./machine.ts"
import type { Mutation } from "./mutations.ts"
import * as networks from "./network.ts"
import type { Blow, Plan, ProcessPlan } from "./plan.ts"
import * as servers from "./server.ts"
import { namespace, sessionsOn } from "./sessionsOn.ts"
import * as operator from "./operator.ts"
import * as outsider from "./outsider.ts"
import * as taker from "./taker.ts"
import * as vandals from "./vandal.ts"
import * as witnesses from "./witness.ts"

/** Runs a world to its end, and answers what happened in it. The same plan gives the same history. */
export const run = (plan: Plan, mutation: Mutation = {}): Effect.Effect<History.History> =>
  Effect.provide(runOnTestClock(plan, mutation), TestClock.layer({ warningDelay: "1 hour" }))

const runOnTestClock = Effect.fnUntraced(function* (plan: Plan, mutation: Mutation) {
  const trueClock = yield* Clock.Clock
  const now = () => trueClock.currentTimeMillisUnsafe()
  const at = (millis: number) => trueClock.sleep(Duration.millis(millis))
  const recorder = History.recorder(now)
  const kept = sessionsOn(plan.ahead, now)
  const versionOf =
    plan.permits !== undefined
      ? lineOn(plan.ahead)
      : plan.election === undefined
        ? servers.lockOn(plan.ahead, kept.endOf)
        : leaseOn(plan.ahead, now)
  const keptOn = plan.sessions === true ? kept.keptOn : undefined
  const objects = plan.sessions === true ? [servers.id, servers.second] : [servers.id]
  const server = yield* servers.make({ recorder, now, ahead: plan.ahead, exists: plan.exists, versionOf, keptOn })
  const witness = witnesses.make(recorder)
  const served = mutation.served?.(server.store) ?? server.store
  const surroundings = { plan, recorder, server, trueClock, learn: mutation.learns ?? serverClock.learn }
  const isBusy = () => now() < plan.busyUntil
  const resources = new Map(objects.map((object) => [object, fencedResource(recorder)]))
  const working = new Set<string>()

  // Detached, as processes are: what crashed stays where it was, and no finalizer runs.
  const start = (effect: Effect.Effect<unknown>) => Effect.forkDetach(effect, { startImmediately: true })

  const befall = (machine: machines.Machine, network: networks.Network, blow: Blow) =>
    Effect.gen(function* () {
      yield* at(blow.at)
      switch (blow._tag) {
        case "Crash":
          witness.forget(machine.name)
          machine.halt("Crash")
          working.delete(machine.name)
          return recorder.record(machine.name, { _tag: "Crashed" })
        case "SetWall": {
          const isByHours = Math.abs(blow.by) >= 3_600_000
          machine.setWall(blow.by)
          return recorder.record(machine.name, {
            _tag: "Trouble",
            what: `wall clock set by ${isByHours ? "hours" : "a while"}`
          })
        }
        case "Partition":
          recorder.record(machine.name, { _tag: "Away", what: blow._tag })
          network.cut = true
          yield* at(blow.lasts)
          network.cut = false
          return recorder.record(machine.name, { _tag: "Back", what: blow._tag })
        default:
          recorder.record(machine.name, { _tag: "Away", what: blow._tag })
          machine.halt(blow._tag)
          yield* at(blow.lasts)
          recorder.record(machine.name, { _tag: "Back", what: blow._tag })
          return machine.proceed()
      }
    })

  const restart = Effect.fnUntraced(function* (restart: Plan["restarts"][number]) {
    yield* at(restart.at)
    recorder.record("server", { _tag: "Away", what: "Restart" })
    server.restarts++
    server.down = true
    yield* at(restart.lasts)
    server.down = false
    recorder.record("server", { _tag: "Back", what: "Restart" })
  })

  const settle = Effect.fnUntraced(function* (
    process: ProcessPlan,
    throws: boolean,
    make: (
      machine: machines.Machine,
      network: networks.Network,
      die: dice.Dice
    ) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
  ) {
    const { name, rate } = process
    const machine = yield* machines.make({ name, wall: plan.ahead + process.skew, rate, grain: plan.grain ?? 1 })
    machine.onWait = witness.look
    const die = dice.make(plan.seed, name)
    const network = networks.make(surroundings, {
      machine,
      dice: die,
      requestTimeout: process.requestTimeout,
      serverAhead: process.serverAhead,
      served
    })
    working.add(name)
    const scope = yield* Scope.make()
    const onMachine = <A>(effect: Effect.Effect<A, never, Scope.Scope>) =>
      effect.pipe(
        Effect.provideService(Clock.Clock, machine.clock),
        Effect.provideService(Random.Random, die.random),
        Scope.provide(scope)
      )
    const life = yield* Effect.provide(onMachine(make(machine, network, die)), logTo(recorder, name, throws))
    yield* start(
      onMachine(Effect.ensuring(life, Scope.close(scope, Exit.void))).pipe(
        Effect.catchDefect((defect) =>
          Effect.sync(() => recorder.record(name, { _tag: "Broke", defect: String(defect) }))
        ),
        Effect.andThen(
          Effect.sync(() => {
            working.delete(name)
            recorder.record(name, { _tag: "Finished" })
          })
        ),
        Effect.provide(logTo(recorder, name, throws)),
        throws ? Effect.provideService(Tracer.Tracer, throwingTracer(recorder, name)) : identity
      )
    )
    for (const blow of process.blows) yield* start(befall(machine, network, blow))
  })

  const { election } = plan
  for (const holderPlan of plan.holders) {
    yield* settle(holderPlan, holderPlan.throws, (machine, network, die) => {
      const peek = (on: string) => Option.getOrUndefined(Exit.getSuccess(Effect.runSyncExit(server.store.read(on))))
      const writeFencedOn = (on: string) => (acquisition: string, token: bigint) =>
        network.tell(resources.get(on)!(acquisition, token))
      const writeFenced = writeFencedOn(servers.id)
      const leases = { ...network.store, createIfMissing: true }
      const sessionLeases = plan.sessions === true ? { namespace, leases: () => leases } : undefined
      const unchanged = {
        store: { ...network.store, sessionLeases },
        clock: machine.clock,
        key: holder.keyOf(holderPlan)
      }
      const { clock, store } = mutation.seen?.(machine, unchanged) ?? unchanged
      const common = { plan: holderPlan, isBusy, dice: die, recorder, witness, store, writeFenced }
      const life =
        plan.permits !== undefined
          ? Effect.succeed(Effect.scoped(taker.run({ ...common, peek, permits: plan.permits })))
          : election === undefined
            ? holder.make({ ...common, peek, objects, writeFencedOn, holds: mutation.holds })
            : candidate.make({ ...common, election: mutation.times?.(election) ?? election })
      return Effect.map(life, Effect.provideService(Clock.Clock, clock))
    })
  }
  for (const dexPlan of plan.dexes) {
    yield* settle(dexPlan, false, (_, network, die) =>
      Effect.succeed(dexPeer.run({ plan: dexPlan, isBusy, dice: die, recorder, network, served: server.store }))
    )
  }
  for (const goPlan of election?.goes ?? []) {
    yield* settle(goPlan, false, (machine, network, die) => {
      const signal = Effect.suspend(() => {
        const next = goPlan.signals.find((one) => one > now())
        return next === undefined ? Effect.never : Effect.andThen(at(next - now()), machine.turn)
      })
      const common = { isBusy, signal, dice: die, recorder, witness, network, served: server.store }
      return Effect.succeed(goPeer.run({ plan: goPlan, election: election!, ...common }))
    })
  }
  for (const one of plan.restarts) yield* start(restart(one))
  for (const one of plan.deletions) yield* start(Effect.andThen(at(one), Effect.sync(server.remove)))
  yield* start(own(plan, server, at))
  if (plan.vandal !== undefined) {
    const keys = [...new Set(plan.holders.map(holder.keyOf))]
    yield* start(vandals.run({ plan: plan.vandal, dice: dice.make(plan.seed, "vandal's"), server, keys, at, now }))
  }
  yield* start(Effect.ignore(observe(surroundings)))
  if (plan.permits !== undefined) yield* start(Effect.scoped(operator.run(surroundings, plan.permits, at)))
  if (plan.breaks !== undefined) {
    const { breaks = identity } = mutation
    yield* start(Effect.scoped(operator.breakLocks(surroundings, plan.breaks, objects, at, breaks)))
  }

  const pass = Effect.fnUntraced(function* (millis: number) {
    for (let passed = 0; passed < millis; passed += witnesses.sight) {
      yield* TestClock.adjust(witnesses.sight)
      witness.look()
    }
  })
  // Also where all have crashed: what is told is judged when nothing goes wrong any more.
  while ((working.size > 0 || now() < plan.calmFrom) && now() < plan.busyUntil + longEnough(plan))
    yield* pass(witnesses.sight)
  yield* pass(10_000)
  return recorder.events
})

// Longer than a round can take, if nothing hangs. A leader leads for up to three leases.
const longEnough = ({ election }: Plan): number => (election === undefined ? 200_000 : 1_000_000)

// The resource that the lock protects: refuses a token that is smaller than one that it has seen.
const fencedResource = (recorder: History.Recorder) => {
  let largest = 0n
  return (acquisition: string, token: bigint) =>
    Effect.sync(() => {
      const accepted = token >= largest
      if (accepted) largest = token
      recorder.record("resource", { _tag: "Fenced", acquisition, token, accepted })
    })
}

const foreignFields = [
  { path: ["spec", "strategy"], value: "OldestEmulationVersion" },
  { path: ["spec", "preferredHolder"], value: "somebody" },
  { path: ["spec", "preferredHolder"], value: null }
] as const

// The owner of the object: changes an annotation of its own now and then, and so the object's version; rarely a
// label, and rarely a field of a Lease that no election has.
const own = (plan: Plan, server: servers.Server, at: (millis: number) => Effect.Effect<void>) => {
  const die = dice.make(plan.seed, "owner")
  const change = (id: string) =>
    Effect.flatMap(server.store.read(id), ({ annotations, labels, resourceVersion }) =>
      server.store.compareAndSwap(id, {
        ...(plan.election === undefined || die.chance(0.7) ? {} : { content: [die.pick(foreignFields)] }),
        expect: { resourceVersion },
        annotations: {
          "example.com/count": String(Number(annotations["example.com/count"] ?? 0) + 1),
          "example.com/color": die.pick(["red", "blue", null])
        },
        labels: die.chance(0.8) ? {} : { "example.com/team": "example.com/team" in labels ? null : "a" }
      })
    )
  return Effect.forever(
    Effect.andThen(
      Effect.suspend(() => at(die.between(100, plan.ownerWrites))),
      Effect.sync(() => {
        const id = plan.sessions === true ? die.pick([servers.id, servers.second]) : servers.id
        return server.handle("owner", "annotate", change(id), id)
      })
    )
  )
}

// Somebody who watches the object and is told of its versions.
const observe = Effect.fnUntraced(function* (
  surroundings: networks.Surroundings
): Effect.fn.Return<void, LockError.StoreError> {
  const name = "observer"
  const store = yield* outsider.storeOf(surroundings, name, dice.make(surroundings.plan.seed, name))
  yield* Stream.runForEach(store.watch(servers.id), (change) =>
    Effect.sync(() => {
      if (change._tag === "Deleted") return
      const version = Number(change.snapshot.resourceVersion)
      surroundings.recorder.record(name, { _tag: "Told", version })
    })
  ).pipe(Effect.retry(Schedule.spaced("100 millis")))
})

// The library's warnings belong to the history. Names in them are random.
const logTo = (recorder: History.Recorder, process: string, throws: boolean) =>
  Logger.layer([
    Logger.make(({ message }) => {
      const text = (Array.isArray(message) ? message : [message]).join(" ")
      recorder.record(process, { _tag: "Said", message: History.plainly(text) })
      if (!throws) return
      recorder.record(process, { _tag: "Odd", what: "its logger throws" })
      throw new Error("a logger that throws")
    })
  ])

const throwingTracer = (recorder: History.Recorder, process: string) => {
  let spans = 0
  const shatter = (): never => {
    recorder.record(process, { _tag: "Odd", what: "its tracer throws" })
    throw new Error("a tracer that throws")
  }
  return Tracer.make({
    // Every other span can be begun, and then throws.
    span: (options) =>
      spans++ % 2 === 0
        ? shatter()
        : Object.assign(new Tracer.NativeSpan(options), { attribute: shatter, end: shatter })
  })
}

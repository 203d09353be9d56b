/**
 * A small world to play with: processes that contend for one lock, an API server, and the networks between them.
 *
 * Its parts are those of the simulation (`test/simulation`), and what runs on its machines is the library. Only what happens is up to
 * the reader. Its clock is the one in context.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as serverClock from "../../../src/internal/time/serverClock.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { type ObjectSnapshot, ObjectStore } from "../../../src/ObjectStore.ts"
import * as Dex from "../../../src/testing/dex/Dex.ts"
import { clientOf } from "../../../test/simulation/dexPeer.ts"
import * as dice from "../../../test/simulation/dice.ts"
import * as History from "../../../test/simulation/history.ts"
import * as machines from "../../../test/simulation/machine.ts"
import * as networks from "../../../test/simulation/network.ts"
import { plainWorld } from "../../../test/simulation/plainPlan.ts"
import type { Plan } from "../../../test/simulation/plan.ts"
import * as servers from "../../../test/simulation/server.ts"

/** What a process does, as far as it knows. */
export type State = "idle" | "waiting" | "holding" | "lost" | "gave up"

/** A process as it looks from outside. */
export interface Process {
  readonly name: string
  readonly kind: "kubelock" | "Dex"
  readonly state: State
  readonly condition: "well" | "paused" | "crashed"
  readonly isCut: boolean
}

/** The world. */
export interface World {
  readonly processes: () => ReadonlyArray<Process>
  /** The locked object as it is at the API server. */
  readonly object: () => ObjectSnapshot
  /** What happened, the last first, as sentences with their time in seconds. */
  readonly story: () => ReadonlyArray<{ readonly at: number; readonly text: string }>
  /** How many processes that run believe that they have the lock. */
  readonly inside: () => number
  readonly add: (kind: Process["kind"]) => Effect.Effect<string>
  /** Wants the lock, and keeps it until it is told to release it. */
  readonly want: (name: string) => Effect.Effect<void>
  readonly release: (name: string) => Effect.Effect<void>
  readonly crash: (name: string) => void
  /** Pauses a process, or lets it go on. */
  readonly pause: (name: string) => void
  /** Cuts a process off from the API server, or mends its cable. */
  readonly cut: (name: string) => void
}

/** How long a lease of kubelock lasts here. It is shorter than by default, so that nobody has to wait for long. */
export const ttl = Duration.seconds(5)

const calm: Plan = { ...plainWorld, seed: 1, theme: "calm", ahead: 0, delay: 60, busyUntil: 0, calmFrom: 0 }

interface Actor {
  readonly name: string
  readonly kind: Process["kind"]
  readonly machine: machines.Machine
  readonly network: networks.Network
  /** Runs the lock once, until it is released or lost. */
  readonly use: (released: Effect.Effect<void>) => Effect.Effect<void>
  state: State
  condition: Process["condition"]
  released: Deferred.Deferred<void>
}

/** Makes a world. It has no processes yet. `onChange` is called whenever there is something new to see. */
export const make = (onChange: () => void): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const trueClock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const now = () => trueClock.currentTimeMillisUnsafe()
    const began = now()
    const recorder = History.recorder(now)
    const server = yield* servers.make({ recorder, now, ahead: 0, exists: true, versionOf: servers.lockOn(0) })
    const surroundings = { plan: calm, recorder, server, trueClock, learn: serverClock.learn }
    const actors = new Map<string, Actor>()
    const story: Array<{ readonly at: number; readonly text: string }> = []

    const tell = (text: string): void => {
      story.unshift({ at: (now() - began) / 1000, text })
      story.length = Math.min(story.length, 100)
      onChange()
    }

    const become = (actor: Actor, state: State, text: string): void => {
      actor.state = state
      tell(`${actor.name} ${text}`)
    }

    const add = Effect.fnUntraced(function* (kind: Process["kind"]) {
      const count = [...actors.values()].filter((actor) => actor.kind === kind).length + 1
      const name = kind === "Dex" ? `dex-${count}` : `pod-${count}`
      const machine = yield* machines.make({ name, wall: 0, rate: 1, grain: 1 })
      const network = networks.make(surroundings, {
        machine,
        dice: dice.make(count, name),
        requestTimeout: 3000,
        serverAhead: 0,
        served: server.store
      })
      const use =
        kind === "Dex"
          ? useDex(clientOf(network, server.store), () => actor)
          : useLock(
              yield* Lock.make({
                identity: name,
                policy: LockPolicy.make({ ttl, waitSchedule: Schedule.spaced("1 second"), sharedWithDex: true })
              }).pipe(
                Effect.provide(Layer.succeed(ObjectStore, network.store)),
                Effect.provideService(Clock.Clock, machine.clock),
                Scope.provide(scope)
              ),
              () => actor
            )
      const actor: Actor = {
        name,
        kind,
        machine,
        network,
        use,
        state: "idle",
        condition: "well",
        released: Deferred.makeUnsafe()
      }
      actors.set(name, actor)
      tell(`${name} starts`)
      return name
    })

    const useLock = (lock: Lock.Lock["Service"], actor: () => Actor) => (released: Effect.Effect<void>) =>
      Effect.scoped(
        Effect.flatMap(lock.scoped(servers.id), (held) => {
          become(actor(), "holding", `has the lock, token ${held.fencingToken}`)
          return Effect.raceFirst(released, held.lost)
        })
      ).pipe(
        Effect.andThen(Effect.sync(() => become(actor(), "idle", "released the lock"))),
        Effect.catch((error) =>
          Effect.sync(() =>
            error._tag === "LockLost"
              ? become(actor(), "lost", `lost the lock: ${error.reason}`)
              : become(actor(), "gave up", `gave up: ${error._tag}`)
          )
        )
      )

    const useDex = (client: Dex.DexClient, actor: () => Actor) => (released: Effect.Effect<void>) =>
      Effect.suspend(() => {
        const { lock, unlock } = Dex.make(client, servers.id)
        return lock.pipe(
          Effect.andThen(Effect.sync(() => become(actor(), "holding", "has the lock, without a token"))),
          Effect.andThen(released),
          Effect.andThen(unlock),
          Effect.andThen(Effect.sync(() => become(actor(), "idle", "released the lock"))),
          Effect.catch((error) => Effect.sync(() => become(actor(), "gave up", `gave up: ${error._tag}`)))
        )
      })

    const find = (name: string): Actor => actors.get(name)!

    return {
      add,
      want: (name) =>
        Effect.suspend(() => {
          const actor = find(name)
          const released = Deferred.makeUnsafe<void>()
          actor.released = released
          become(actor, "waiting", "wants the lock")
          // A paused process hears of it later.
          const use = actor.use(Effect.andThen(Deferred.await(released), actor.machine.turn))
          return Effect.asVoid(
            Effect.forkIn(
              Effect.andThen(actor.machine.turn, use).pipe(Effect.provideService(Clock.Clock, actor.machine.clock)),
              scope
            )
          )
        }),
      release: (name) =>
        Effect.sync(() => {
          Deferred.doneUnsafe(find(name).released, Exit.void)
        }),
      crash: (name) => {
        const actor = find(name)
        actor.machine.halt("Crash")
        actor.condition = "crashed"
        tell(`${name} crashed`)
      },
      pause: (name) => {
        const actor = find(name)
        if (actor.condition === "paused") actor.machine.proceed()
        else actor.machine.halt("Suspend")
        actor.condition = actor.condition === "paused" ? "well" : "paused"
        tell(actor.condition === "paused" ? `${name} is paused` : `${name} goes on`)
      },
      cut: (name) => {
        const { network } = find(name)
        network.cut = !network.cut
        tell(network.cut ? `${name} is cut off` : `the cable of ${name} is mended`)
      },
      processes: () =>
        [...actors.values()].map(({ condition, kind, name, network, state }) => ({
          name,
          kind,
          state,
          condition,
          isCut: network.cut
        })),
      object: () => Effect.runSync(Effect.orDie(server.store.read(servers.id))),
      story: () => story,
      inside: () =>
        [...actors.values()].filter(({ condition, state }) => state === "holding" && condition === "well").length
    }
  })

/**
 * A world of chance in virtual time: processes with and without sessions want the same locks, and everything goes wrong that can. Requests
 * are lost on their way or on the way back, land late, or wait before they are sent as those of a suspended process do. Processes are cut
 * off, and die. Each knows the server's time as badly as it does. All chance comes from the seed. In the worlds of odd seeds little
 * of that happens, but most looks at a session are answered late.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Held } from "../../../src/Held.ts"
import * as Lock from "../../../src/Lock.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockPolicy from "../../../src/LockPolicy.ts"
import { ObjectStore } from "../../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../../src/ObjectStoreMemory.ts"
import * as dice from "../../simulation/dice.ts"
import type { Mutation } from "./mutations.ts"

type Store = ObjectStore["Service"]

/** What became of a world: what was broken, if anything, and how often things happened. */
export interface Outcome {
  readonly broken: string | undefined
  readonly acquired: number
  readonly lost: number
  readonly lostWithSession: number
}

interface Hold {
  readonly held: Held
  readonly name: string
  readonly id: string
  isTold: boolean
  invalidSince: number | undefined
}

const ids = ["a", "b"]
const step = 20
const troubledFor = 80_000
const calmFor = 120_000
const patient = LockPolicy.fixedPolls("1 second", 100_000)

/** Runs the world of a seed. */
export const run = (seed: number, mutation: Mutation = (leases) => leases): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    const objects = yield* ObjectStoreMemory.make()
    const leases = yield* ObjectStoreMemory.make()
    const world = dice.make(seed, "world")
    const isMild = seed % 2 === 1
    const holds = new Set<Hold>()
    let isCalm = false
    const result: { broken: string | undefined } = { broken: undefined }
    const newest = new Map<string, bigint>()
    let acquired = 0
    let lost = 0
    let lostWithSession = 0
    const gotInCalm = new Set<string>()

    const breach = (what: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        result.broken ??= `seed ${seed}, after ${now} ms: ${what}`
      })

    const aProcess = Effect.fnUntraced(function* (name: string, options: { session: boolean; knows: boolean }) {
      const chance = dice.make(seed, name)
      const life = { isDead: false, cutOffUntil: 0 }
      const behind = chance.between(0, 1500)
      const ahead = chance.between(0, 1500)

      const through = (store: Store, isLate: number): Store => {
        const failure = new LockError.Unavailable({ object: name, verb: "patch", detail: "chance" })
        const request = <A>(effect: Effect.Effect<A, LockError.StoreError>): Effect.Effect<A, LockError.StoreError> =>
          Effect.gen(function* () {
            if (isCalm && !life.isDead) return yield* Effect.delay(effect, chance.between(1, 10))
            const pause = () =>
              chance.between(1, 30) + (!isMild && chance.chance(0.03) ? chance.between(1000, 20_000) : 0)
            yield* Effect.sleep(pause())
            const isCutOff = life.isDead || (yield* Clock.currentTimeMillis) < life.cutOffUntil
            const fate = isCutOff ? 0 : chance.between(1, 100)
            if (fate <= 4) return yield* Effect.fail(failure)
            if (fate <= 6) return yield* Effect.delay(Effect.fail(failure), "5 seconds")
            if (fate <= 8) {
              yield* Effect.forkDetach(Effect.ignore(Effect.delay(effect, chance.between(500, 30_000))))
              return yield* Effect.delay(Effect.fail(failure), "1 second")
            }
            const answer = yield* Effect.exit(effect)
            if (fate <= 12) return yield* Effect.fail(failure)
            yield* Effect.sleep(pause())
            return yield* answer
          })
        return {
          ...store,
          read: (id, options) =>
            Effect.tap(request(store.read(id, options)), () =>
              !isCalm && chance.chance(isLate) ? Effect.sleep(chance.between(5000, 15_000)) : Effect.void
            ),
          create: (id, annotations, content) => request(store.create(id, annotations, content)),
          compareAndSwap: (id, patch) => request(store.compareAndSwap(id, patch)),
          now: Effect.map(Clock.currentTimeMillis, (now) => ({ earliest: now - behind, latest: now + ahead }))
        }
      }

      const scope = yield* Scope.make()
      const ownLeases = mutation(through(leases.store, isMild ? 0.7 : 0))
      const lock = yield* Lock.make({
        identity: name,
        policy: LockPolicy.make({ session: options.session, waitSchedule: patient })
      }).pipe(
        Effect.provideService(ObjectStore, {
          ...through(objects.store, 0),
          sessionLeases: options.knows ? { namespace: "jobs", leases: () => ownLeases } : undefined
        }),
        Scope.provide(scope)
      )

      const holdOnce = Effect.fnUntraced(function* (id: string) {
        yield* Effect.sleep(chance.between(0, 3000))
        if (life.isDead) return yield* Effect.never
        const scope = yield* Scope.make()
        const got = yield* Effect.exit(Scope.provide(lock.scoped(id), scope))
        if (Exit.isFailure(got)) return yield* Scope.close(scope, Exit.void)
        const hold: Hold = { held: got.value, name, id, isTold: false, invalidSince: undefined }
        acquired++
        if (isCalm) gotInCalm.add(`${name} ${id}`)
        if (yield* hold.held.isValid) {
          const { fencingToken } = hold.held
          if (fencingToken <= (newest.get(id) ?? -1n)) yield* breach(`${name} has ${id} with an old token`)
          newest.set(id, fencingToken)
        }
        holds.add(hold)
        const told = Effect.catch(hold.held.lost, ({ withSession }) =>
          Effect.sync(() => {
            if (hold.isTold) result.broken ??= `seed ${seed}: ${name} was told twice that it lost ${id}`
            hold.isTold = true
            lost++
            if (withSession === true) lostWithSession++
          })
        )
        yield* Effect.raceFirst(
          Effect.andThen(told, Effect.sleep(chance.between(0, 100))),
          Effect.sleep(chance.between(0, isCalm ? 1000 : 15_000))
        )
        holds.delete(hold)
        yield* Scope.close(scope, Exit.void)
      })

      for (const id of ids) yield* Effect.forkDetach(Effect.forever(holdOnce(id)), { startImmediately: true })
      return { name, life, scope }
    })

    const kinds = [
      { session: true, knows: true },
      { session: true, knows: true },
      { session: false, knows: true }
    ]
    const processes: Array<Effect.Success<ReturnType<typeof aProcess>>> = []
    for (const [index, options] of kinds.entries()) processes.push(yield* aProcess(`process-${index}`, options))
    let born = kinds.length

    const check = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const id of ids) {
        const valid: Array<string> = []
        for (const hold of holds) {
          if (hold.id !== id) continue
          if (yield* hold.held.isValid) valid.push(hold.name)
          else {
            hold.invalidSince ??= now
            if (!hold.isTold && now - hold.invalidSince > 200)
              yield* breach(`${hold.name} was not told that it lost ${id}`)
          }
        }
        if (valid.length > 1) yield* breach(`${valid.join(" and ")} both have ${id}`)
      }
    })

    const trouble = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const index = world.between(0, processes.length - 1)
      const { life } = processes[index]!
      if (world.chance(isMild ? 0.0005 : 0.006)) life.cutOffUntil = now + world.between(3000, 25_000)
      if (world.chance(0.001)) {
        life.isDead = true
        processes[index] = yield* aProcess(`process-${born++}`, kinds[world.between(0, 2)]!)
      }
    })

    for (let millis = 0; millis < troubledFor && result.broken === undefined; millis += step) {
      yield* TestClock.adjust(step)
      yield* trouble
      yield* check
    }
    isCalm = true
    const awaited = () =>
      processes.flatMap(({ name }) => ids.map((id) => `${name} ${id}`)).filter((one) => !gotInCalm.has(one))
    for (let millis = 0; millis < calmFor && result.broken === undefined && awaited().length > 0; millis += 100) {
      yield* TestClock.adjust(100)
      yield* check
    }
    if (result.broken === undefined && awaited().length > 0) yield* breach(`${awaited().join(", ")} never had it`)
    for (const { life } of processes) life.isDead = true
    return { broken: result.broken, acquired, lost, lostWithSession }
  }).pipe(Effect.provideService(Random.Random, dice.make(seed, "library").random))

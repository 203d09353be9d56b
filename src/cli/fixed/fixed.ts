/** What `kubelock acquire`, `renew` and `release` do: a lock is acquired and given away at once, and then used by its handle. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Held } from "../../Held.ts"
import * as Lock from "../../Lock.ts"
import * as ObjectStoreKubernetes from "../../ObjectStoreKubernetes.ts"
import { Ended, exitCodes, misused } from "../exitCodes.ts"
import * as lockOptions from "../lockOptions.ts"
import { reach } from "../reach.ts"
import * as words from "../run/words.ts"
import * as target from "../target.ts"
import * as waiting from "../waiting.ts"
import type { AcquireGiven, ReleaseGiven, RenewGiven } from "./command.ts"
import * as handle from "./handle.ts"
import * as renewing from "./renewing.ts"

/** Acquires a lock, and leaves it on the object. */
export const acquire = (given: AcquireGiven) =>
  Effect.gen(function* () {
    const problem = waiting.problemOf(given)
    if (problem !== undefined) return yield* misused(problem)
    const { name, nonblock, output, resource, ttl } = given
    const options = yield* lockOptions.make({ ttl, renewEvery: false, waitSchedule: waiting.scheduleOf(given) })
    const lock = yield* Lock.make(options)
    const snapshot = yield* reach(given)
    const acquisition: Effect.Effect<Held, Lock.AcquireError | Lock.TryError, Scope.Scope> = nonblock
      ? lock.tryScoped(name)
      : lock.scoped(name, snapshot === undefined ? {} : { snapshot })
    const held = yield* Effect.raceFirst(acquisition, waiting.overdue(given))
    const { expiry, fencingToken, holderId } = yield* held.give()
    const namespace = yield* target.namespace
    const text = handle.format({ namespace, resource, name, holderId, fencingToken })
    const told = { handle: text, holder: holderId, fencingToken: String(fencingToken), expires: expiry }
    yield* Console.log(output === "json" ? JSON.stringify(told, undefined, 2) : text)
  }).pipe(
    Effect.scoped,
    Effect.catchTags(waiting.endings(given)),
    Effect.provide(target.store(given.resource)),
    Effect.provide(target.client)
  )

/** Renews a hold: once, or for as long as a command runs under it. */
export const renew = (given: RenewGiven) =>
  Effect.gen(function* () {
    const [file, ...args] = given.command
    if (words.isScattered(given.command, process.argv)) return yield* misused(words.scattered)
    yield* using(given.handle, (lock, which) => {
      const renewal = lock.renewGiven(which, given.ttl)
      return file === undefined ? renewal : renewing.run([file, ...args], given, renewal)
    })
  })

/** Releases a hold. */
export const release = ({ handle }: ReleaseGiven) => using(handle, (lock, which) => lock.releaseGiven(which))

const using = (
  { holderId, name, namespace, resource }: handle.Handle,
  use: (lock: Lock.Lock["Service"], which: Lock.Which) => Effect.Effect<void, Lock.HandleError | Ended>
) =>
  Effect.gen(function* () {
    const lock = yield* Lock.make(yield* lockOptions.make({}))
    yield* use(lock, { id: name, holderId })
  }).pipe(
    Effect.catchTag("LockStale", ({ message }) => Effect.fail(new Ended({ code: exitCodes.lost, message }))),
    Effect.scoped,
    Effect.provide(ObjectStoreKubernetes.layer({ resource, namespace })),
    Effect.provide(target.client)
  )

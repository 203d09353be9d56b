/** A process that is a candidate of the library: its fibers campaign, lead, give the Lease back, and do so again. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as LeaderElection from "../../src/LeaderElection.ts"
import type * as LockError from "../../src/LockError.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import { type Happening, plainly } from "./history.ts"
import type { ElectionPlan } from "./plan.ts"
import { id } from "./server.ts"
import { rounds, wishFor, type Wishing } from "./wishing.ts"

/** What a candidate needs of its world. */
export interface Options extends Wishing {
  readonly election: ElectionPlan
  readonly store: ObjectStore["Service"]
  /** Writes to the resource that the leader alone may change. */
  readonly writeFenced: (term: string, token: bigint) => Effect.Effect<void>
}

/** Makes a candidate that does its rounds. Runs on the clock in context. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Effect.Effect<void>, never, Scope.Scope> {
  const { election, plan } = options
  const elections = yield* LeaderElection.make({
    identity: plan.name,
    announces: false,
    timing: {
      leaseDuration: Duration.millis(election.leaseDuration),
      renewDeadline: Duration.millis(election.renewDeadline),
      retryPeriod: Duration.millis(election.retryPeriod)
    }
  }).pipe(Effect.provideService(ObjectStore, options.store))
  return rounds(options, (name, steppedDown: boolean | undefined) =>
    goOnce(options, elections, name, steppedDown === true)
  )
})

// Answers whether it stepped down. The library counts campaigns as we do, except one that ends before it has begun: after a step down.
const goOnce = (
  world: Options,
  elections: LeaderElection.LeaderElection["Service"],
  name: string,
  steppedDown: boolean
): Effect.Effect<boolean | undefined> => {
  const { dice, election, plan, recorder, witness, writeFenced } = world
  const record = (happening: Happening) => Effect.sync(() => recorder.record(plan.name, happening))

  const wish: Effect.Effect<LeaderElection.Term | undefined, LockError.StoreError, Scope.Scope> =
    !steppedDown && dice.chance(plan.hurries)
      ? Effect.timeoutOrElse(elections.scoped(id), {
          duration: dice.between(1, 2 * election.leaseDuration),
          orElse: () => Effect.undefined
        })
      : elections.scoped(id)

  const work = (term: LeaderElection.Term) =>
    Effect.gen(function* () {
      const step = dice.between(50, 500)
      for (let left = dice.between(0, plan.holds); left > 0; left -= step) {
        yield* writeFenced(name, term.fencingToken)
        yield* Effect.sleep(Math.min(step, left))
      }
    })

  const lead = Effect.fnUntraced(function* (term: LeaderElection.Term) {
    const turn = plainly(term.identity)
    recorder.record(plan.name, { _tag: "WishEnded", acquisition: name, end: { _tag: "Granted", turn } })
    witness.follow(name, term)
    yield* Effect.addFinalizer(() => record({ _tag: "Releasing", acquisition: name }))
    yield* term.lost.pipe(
      Effect.catch(({ reason }) =>
        reason === "Released" ? Effect.void : record({ _tag: "Lost", acquisition: name, reason })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* plan.stubborn ? work(term) : Effect.catchTag(term.guard(work(term)), "LockLost", () => Effect.void)
    const stepsDown = plan.fibers === 1 && dice.chance(election.stepsDown)
    if (stepsDown) {
      yield* record({ _tag: "Releasing", acquisition: name })
      yield* term.stepDown
    }
    return stepsDown
  })

  return wishFor(world, { _tag: "Wished", acquisition: name }, wish, lead)
}

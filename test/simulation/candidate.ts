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
import { follow, hurried, rounds, wishFor, type Wishing, work } from "./wishing.ts"

/** What a candidate needs of its world. */
export interface Options extends Wishing {
  readonly election: ElectionPlan
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
  const { dice, election, plan, recorder } = world
  const record = (happening: Happening) => Effect.sync(() => recorder.record(plan.name, happening))

  const wish: Effect.Effect<LeaderElection.Term | undefined, LockError.StoreError, Scope.Scope> = steppedDown
    ? elections.scoped(id)
    : hurried(world, elections.scoped(id), 2 * election.leaseDuration)

  const lead = Effect.fnUntraced(function* (term: LeaderElection.Term) {
    const turn = plainly(term.identity)
    recorder.record(plan.name, { _tag: "WishEnded", acquisition: name, end: { _tag: "Granted", turn } })
    const lost = Effect.catchIf(
      term.lost,
      ({ reason }) => reason === "Released",
      () => Effect.void
    )
    yield* follow(world, name, { isValid: term.isValid, fencingToken: term.fencingToken, lost })
    const working = work(world, name, term)
    yield* plan.stubborn ? working : Effect.catchTag(term.guard(working), "LockLost", () => Effect.void)
    const stepsDown = plan.fibers === 1 && dice.chance(election.stepsDown)
    if (stepsDown) {
      yield* record({ _tag: "Releasing", acquisition: name })
      yield* term.stepDown
    }
    return stepsDown
  })

  return wishFor(world, { _tag: "Wished", acquisition: name }, wish, lead)
}

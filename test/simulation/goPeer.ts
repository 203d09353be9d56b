/** A process that is client-go: its elector with all its defects (`src/testing/clientGo`). Each of its lives has a name of its own. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Content, ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import * as elector from "../../src/testing/clientGo/LeaderElector.ts"
import type { Dice } from "./dice.ts"
import type { Recorder } from "./history.ts"
import type { Network } from "./network.ts"
import type { ElectionPlan, GoPlan } from "./plan.ts"
import { id } from "./server.ts"
import type { Witness } from "./witness.ts"

/** What a client-go needs of its world. */
export interface Options {
  readonly plan: GoPlan
  readonly election: ElectionPlan
  /** Whether there is to be another life. */
  readonly isBusy: () => boolean
  /** Ends when it is told to stop. */
  readonly signal: Effect.Effect<void>
  readonly dice: Dice
  readonly recorder: Recorder
  readonly witness: Witness
  readonly network: Network
  readonly served: ObjectStore["Service"]
}

/** Lives: campaigns, leads for a while or until it is lost, is stopped, and starts anew. Runs on the clock in context. */
export const run = Effect.fnUntraced(function* (options: Options) {
  const { dice, election, isBusy, network, plan, recorder, served, signal, witness } = options
  const api = apiOf(network, served)
  const settings = {
    leaseDuration: Duration.millis(election.leaseDuration),
    renewDeadline: Duration.millis(election.renewDeadline),
    retryPeriod: Duration.millis(election.retryPeriod),
    releaseOnCancel: plan.releases
  }
  yield* Effect.sleep(plan.startsAt)
  for (let life = 1; life === 1 || isBusy(); life++) {
    yield* Effect.sleep(dice.between(1, plan.thinks))
    const identity = `${plan.name}/${life}`
    const record = (happening: Parameters<Recorder["record"]>[1]) => recorder.record(plan.name, happening)
    const started = yield* Deferred.make<void>()
    let leads = false
    const leading = Effect.sync(() => {
      witness.look()
      leads = true
      record({ _tag: "WishEnded", acquisition: identity, end: { _tag: "Granted", turn: "" } })
      Deferred.doneUnsafe(started, Effect.void)
    }).pipe(
      Effect.andThen(Effect.never),
      Effect.onExit(() => Effect.sync(() => record({ _tag: "Released", acquisition: identity })))
    )
    record({ _tag: "Wished", acquisition: identity })
    const running = yield* Effect.forkChild(
      elector.run(api, { identity, ...settings }, { onStartedLeading: leading }),
      { startImmediately: true }
    )
    const isHurried = isBusy() && dice.chance(plan.hurries)
    const stopped = isHurried
      ? Effect.sleep(dice.between(1, election.leaseDuration))
      : Effect.andThen(Deferred.await(started), Effect.sleep(dice.between(0, plan.holds)))
    yield* Effect.raceFirst(Effect.raceFirst(stopped, signal), Fiber.await(running))
    if (leads) record({ _tag: "Releasing", acquisition: identity })
    else record({ _tag: "WishEnded", acquisition: identity, end: { _tag: "GivenUp" } })
    yield* Fiber.interrupt(running)
  }
})

/** Whole Leases over a network: a PUT replaces the metadata and the spec, under the resourceVersion that was read. */
const apiOf = (network: Network, served: ObjectStore["Service"]): elector.LeaseApi => {
  const toLeaseError = (error: Error) => new elector.LeaseError({ detail: error.message })
  const required = (answer: Option.Option<ObjectSnapshot>) =>
    Option.isSome(answer)
      ? Effect.succeed(leaseIn(answer.value))
      : Effect.fail(new elector.LeaseError({ detail: "409" }))
  return {
    get: Effect.matchEffect(network.ask("read", served.read(id)), {
      onSuccess: (found) => Effect.succeedSome(leaseIn(found)),
      onFailure: (error) => (error._tag === "LockNotFound" ? Effect.succeedNone : Effect.fail(toLeaseError(error)))
    }),
    create: (spec) =>
      Effect.mapError(
        network.ask("create", served.create(id, {}, { spec: contentOf(spec) }), Option.none()),
        toLeaseError
      ).pipe(Effect.flatMap(required)),
    update: ({ annotations, labels, resourceVersion, spec }) => {
      const replace = Effect.flatMap(served.read(id), (current) =>
        served.compareAndSwap(id, {
          expect: { resourceVersion },
          annotations: { ...removed(current.annotations), ...annotations },
          labels: { ...removed(current.labels), ...labels },
          content: [{ path: ["spec"], value: contentOf(spec) }]
        })
      )
      return Effect.mapError(network.ask("put", replace, Option.none()), toLeaseError).pipe(Effect.flatMap(required))
    }
  }
}

const leaseIn = ({ annotations, content, labels, resourceVersion }: ObjectSnapshot): elector.Lease => ({
  resourceVersion,
  annotations,
  labels,
  spec: (content?.["spec"] ?? {}) as elector.LeaseSpec
})

const contentOf = (spec: elector.LeaseSpec): Content =>
  Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined))

const removed = (values: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.keys(values).map((name) => [name, null]))

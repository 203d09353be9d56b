/** Candidates for one Lease that can be told to campaign, to step aside in order, and to crash: kubelock, and the model of client-go. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ElectionTiming from "../../src/ElectionTiming.ts"
import type { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import * as LeaseClient from "../../src/testing/clientGo/LeaseClient.ts"
import * as OwnClient from "../harness/ownClient.ts"

/**
 * A candidate that campaigns.
 *
 * - `leads`: completes when it leads.
 * - `ends`: it stops, and gives the Lease up if it leads.
 * - `crashes`: none of its requests arrives any more.
 * - `requests`: how many it has made so far.
 */
export interface Candidate {
  readonly leads: Effect.Effect<void>
  readonly ends: Effect.Effect<void>
  readonly crashes: Effect.Effect<void>
  readonly requests: () => number
}

/** How a kind of candidate begins to campaign for a Lease. */
export type Campaign = (name: string) => Effect.Effect<Candidate, never, KubernetesClient>

export const namespace = "default"

/** kubelock, with client-go's default times. */
export const kubelock: Campaign = (name) =>
  Effect.gen(function* () {
    const client = yield* OwnClient.make
    const scope = yield* Scope.make()
    const elections = LeaderElection.layer({ namespace, announces: false, timing: ElectionTiming.make() })
    const context = yield* Layer.buildWithScope(Layer.provide(elections, client.layer), scope)
    const term = yield* Scope.make()
    const won = yield* Deferred.make<void>()
    const campaign = Effect.provide(LeaderElection.scoped(name), context).pipe(
      Scope.provide(term),
      Effect.andThen(Deferred.succeed(won, undefined))
    )
    const fiber = yield* Effect.forkIn(campaign, scope)
    return {
      leads: Deferred.await(won),
      ends: Fiber.interrupt(fiber).pipe(
        Effect.andThen(Scope.close(term, Exit.void)),
        Effect.andThen(Scope.close(scope, Exit.void))
      ),
      crashes: client.cut,
      requests: client.requests
    }
  }).pipe(Effect.orDie)

let electors = 0

/** The model of client-go with its defaults, which releases when it is told to stop. */
export const clientGo: Campaign = (name) =>
  Effect.gen(function* () {
    const client = yield* OwnClient.make
    const api = yield* Effect.provide(
      LeaseClient.make({
        namespace,
        name,
        requestTimeout: LeaderElector.requestTimeout(LeaderElector.defaults.renewDeadline)
      }),
      client.layer
    )
    const won = yield* Deferred.make<void>()
    const options = { ...LeaderElector.defaults, identity: `go_${++electors}`, releaseOnCancel: true }
    const fiber = yield* Effect.forkDetach(
      LeaderElector.run(api, options, {
        onStartedLeading: Effect.andThen(Deferred.succeed(won, undefined), Effect.never)
      })
    )
    return {
      leads: Deferred.await(won),
      ends: Fiber.interrupt(fiber),
      crashes: client.cut,
      requests: client.requests
    }
  })

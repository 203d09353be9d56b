/** A candidate that elects a leader as client-go does, by the model of it. It campaigns again when a term has ended, until SIGTERM. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { layerKubeConfig } from "../../src/KubernetesClient.ts"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import * as LeaseClient from "../../src/testing/clientGo/LeaseClient.ts"
import { flags, lead, term } from "./candidateProgram.ts"
import { now, tell } from "./events.ts"

const campaign = Effect.gen(function* () {
  const over = yield* Deferred.make<void>()
  const api = yield* LeaseClient.make({
    ...flags,
    requestTimeout: LeaderElector.requestTimeout(flags.renewDeadline)
  })
  const onStartedLeading = Effect.raceFirst(
    lead(Effect.succeed(true)),
    Effect.andThen(term, Deferred.succeed(over, undefined))
  )
  const elector = LeaderElector.run(api, flags, {
    onStartedLeading: Effect.asVoid(onStartedLeading),
    onNewLeader: (leader) => Effect.sync(() => tell({ event: "leader", at: now(), leader }))
  })
  yield* Effect.raceFirst(elector, Deferred.await(over))
})

// It would take the Lease again before anybody else has looked.
const pause = Effect.sleep(Duration.times(flags.retryPeriod, 2.2))

Effect.forever(Effect.andThen(campaign, pause)).pipe(
  Effect.provide(layerKubeConfig({ file: flags.kubeconfig })),
  NodeRuntime.runMain
)

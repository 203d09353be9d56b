/** A candidate that elects a leader with this library, beside client-go on the same Lease, until SIGTERM. It releases at the end. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as ElectionTiming from "../../src/ElectionTiming.ts"
import { layerKubeConfig } from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import { flags, lead, term } from "./candidateProgram.ts"
import { now, tell } from "./events.ts"

// Until it knows of a leader: more requests would not be those of a candidate.
const observe = Stream.runForEach(Stream.takeUntil(LeaderElection.observe(flags.name), Option.isSome), (leader) =>
  Effect.sync(() =>
    tell({
      event: "leader",
      at: now(),
      leader: Option.match(leader, { onNone: () => "", onSome: (it) => it.identity })
    })
  )
)

const campaign = LeaderElection.lead(flags.name)(({ fencingToken, isValid, stepDown }) =>
  Effect.raceFirst(lead(isValid, fencingToken), Effect.andThen(term, Effect.andThen(stepDown, Effect.never)))
)

Effect.raceFirst(campaign, Effect.andThen(observe, Effect.never)).pipe(
  Effect.provide(
    LeaderElection.layer({
      namespace: flags.namespace,
      identity: flags.identity,
      timing: ElectionTiming.make(flags)
    }).pipe(Layer.provide(layerKubeConfig({ file: flags.kubeconfig })))
  ),
  NodeRuntime.runMain
)

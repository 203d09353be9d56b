/**
 * A process that contends for one lock until it gets a signal. Its arguments are `flags` below.
 *
 * While it holds the lock it writes to the witness several times, each time with the fencing token. Before some of the
 * writes it asks whether the lock is valid.
 *
 * - `--unguarded`: works without `guard` and never asks whether the lock is valid. Only the fence can stop it.
 * - `--careless`: does the same, and the witness does not check the tokens of its writes.
 * - `--election`: the lock is the leadership of a Lease.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { parseArgs } from "node:util"
import * as ElectionTiming from "../../src/ElectionTiming.ts"
import type * as HeldLock from "../../src/Held.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as LeaderElection from "../../src/LeaderElection.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Dice from "../simulation/dice.ts"
import * as settings from "./settings.ts"
import { type Claim, type Ending, now, Testimony } from "./testimony.ts"

const flags = parseArgs({
  options: {
    name: { type: "string", default: "holder" },
    kubeconfig: { type: "string", default: "" },
    id: { type: "string", default: "" },
    witness: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
    unguarded: { type: "boolean", default: false },
    careless: { type: "boolean", default: false },
    election: { type: "boolean", default: false }
  }
}).values

const guarded = !flags.unguarded && !flags.careless
const dice = Dice.make(Number(flags.seed), flags.name)

const encode = Schema.encodeEffect(Testimony)

/** Reports to the witness. Returns false if the witness refused a write. */
const tell = Effect.fnUntraced(function* (testimony: Testimony) {
  const body = yield* Effect.orDie(encode(testimony))
  const response = yield* HttpClientRequest.post(flags.witness).pipe(
    HttpClientRequest.bodyJsonUnsafe(body),
    HttpClient.execute,
    Effect.orDie
  )
  return response.status === 200
})

/** What the process has, a lock or a term. */
type Held = Pick<HeldLock.Held, "holderId" | "fencingToken" | "isValid" | "lost" | "guard">

const about = (held: Held) => ({ name: flags.name, holder: held.holderId, token: held.fencingToken, at: now() })

const claim = Effect.fnUntraced(function* (held: Held, step: Claim["step"]) {
  const checked = guarded && (step !== "Write" || dice.chance(0.5))
  const testimony: Claim = { _tag: "Claim", ...about(held), step, checked, fenced: !flags.careless }
  if (checked && !(yield* held.isValid)) return yield* held.lost
  return (yield* tell(testimony)) ? undefined : yield* Effect.fail("Refused" as const)
})

const stay = (held: Held) =>
  Effect.gen(function* () {
    const long = flags.careless || dice.chance(settings.longStays)
    const [fewest, most] = long ? settings.longStay : settings.shortStay
    const writes = dice.between(fewest, most)
    yield* claim(held, "Enter")
    for (let write = 0; write < writes; write++) {
      yield* Effect.sleep(dice.between(...settings.pause))
      yield* claim(held, "Write")
    }
    yield* claim(held, "Leave")
  })

const end = (held: Held, how: Ending["how"], reason?: string) =>
  tell({ _tag: "Ending", ...about(held), how, ...(reason === undefined ? {} : { reason }) })

const lead = Effect.map(LeaderElection.scoped(flags.id), (term): Held => ({
  ...term,
  holderId: term.identity
}))

const roundOf = Effect.fnUntraced(function* <E extends { readonly _tag: string }, R>(
  acquire: Effect.Effect<Held, E, R>
) {
  const held = yield* acquire
  yield* (guarded ? held.guard(stay(held)) : stay(held)).pipe(
    Effect.catch((error) => (error === "Refused" ? end(held, "Refused") : end(held, "Lost", error.reason))),
    Effect.onInterrupt(() => end(held, "Interrupted").pipe(Effect.timeout("1 second"), Effect.ignore))
  )
})

const rounds = <E extends { readonly _tag: string }, R>(acquire: Effect.Effect<Held, E, R | Scope.Scope>) =>
  Effect.gen(function* () {
    yield* Effect.sleep(dice.between(0, 300))
    yield* Effect.scoped(roundOf(acquire)).pipe(
      Effect.catch((error) => tell({ _tag: "Failure", name: flags.name, tag: error._tag })),
      Effect.andThen(Effect.suspend(() => Effect.sleep(dice.between(100, 500)))),
      Effect.forever
    )
  })

const policy = LockPolicy.make({
  ttl: Duration.millis(settings.ttl),
  waitSchedule: Schedule.spaced(Duration.millis(settings.pollInterval)).pipe(Schedule.upTo({ duration: "20 seconds" }))
})

const kubeConfig = { file: flags.kubeconfig }

const LockLive = Lock.layer({ policy, identity: flags.name }).pipe(
  Layer.provide(
    ObjectStoreKubernetes.layerKubeConfig({
      resource: Resource.refreshToken,
      kubeConfig,
      requestTimeout: Duration.millis(settings.requestTimeout)
    })
  )
)

const ElectionLive = LeaderElection.layer({
  identity: flags.name,
  namespace: "dex",
  timing: ElectionTiming.make({
    leaseDuration: settings.ttl,
    renewDeadline: settings.renewDeadline,
    retryPeriod: settings.ttl / 3
  })
}).pipe(Layer.provide(KubernetesClient.layerKubeConfig(kubeConfig)))

const main = flags.election
  ? Effect.provide(rounds(lead), ElectionLive)
  : Effect.provide(rounds(Lock.scoped(flags.id)), LockLive)

main.pipe(Effect.provide(FetchHttpClient.layer), NodeRuntime.runMain)

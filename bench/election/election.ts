/**
 * What an election takes and costs, beside the model of client-go: `npm run bench:election`. See `--help`.
 *
 * Both run on the same API server, in turns. Times are client-go's defaults: 15, 10 and 2 seconds.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { KubernetesClient } from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import { whole } from "../../tools/flags.ts"
import { run } from "../../tools/program.ts"
import * as GoElection from "../contest/leaderElection.ts"
import * as realServer from "../harness/realServer.ts"
import { median, timed } from "../../src/cli/bench/harness/statistics.ts"
import { markdown, number, time } from "../../src/cli/bench/harness/text.ts"
import { type Campaign, clientGo, kubelock, namespace } from "./candidates.ts"

/** The samples of each row and column, in milliseconds or requests. */
type Samples = Map<string, Array<number>>

const add = (samples: Samples, row: string, column: string): Array<number> => {
  const key = `${row}|${column}`
  const found = samples.get(key) ?? []
  samples.set(key, found)
  return found
}

const kinds = [
  ["kubelock", kubelock],
  ["client-go", clientGo]
] as const

let names = 0
const freshName = () => `election-${++names}`

// One leads, another waits, and the first gives the Lease up at any moment of the other's pause.
const handOver = (from: Campaign, to: Campaign, samples: Array<number>) =>
  Effect.gen(function* () {
    const name = freshName()
    const first = yield* from(name)
    yield* first.leads
    const second = yield* to(name)
    yield* Effect.sleep(500 + Math.random() * 4000)
    yield* timed(samples, Effect.andThen(first.ends, second.leads))
    yield* second.ends
  })

const takeOver = (campaign: Campaign, samples: Array<number>) =>
  Effect.gen(function* () {
    const name = freshName()
    const first = yield* campaign(name)
    yield* first.leads
    const second = yield* campaign(name)
    yield* Effect.sleep(3000 + Math.random() * 2000)
    yield* first.crashes
    yield* timed(samples, second.leads)
    yield* second.ends
  })

const requests = (campaign: Campaign, seconds: number, leader: Array<number>, follower: Array<number>) =>
  Effect.gen(function* () {
    const name = freshName()
    const first = yield* campaign(name)
    yield* first.leads
    const second = yield* campaign(name)
    yield* Effect.sleep("5 seconds")
    const before = [first.requests(), second.requests()] as const
    yield* Effect.sleep(seconds * 1000)
    const perHour = 3600 / seconds
    leader.push((first.requests() - before[0]) * perHour)
    follower.push((second.requests() - before[1]) * perHour)
    yield* second.ends
    yield* first.ends
  })

// Warm and uncontended: a lock on a Lease, and the fewest requests with which client-go can take and release one.
const cycles = Effect.fnUntraced(function* (samples: Samples, rounds: number) {
  const client = Layer.succeed(KubernetesClient, yield* KubernetesClient)
  const store = ObjectStoreKubernetes.layer({ resource: Resource.lease, namespace })
  const context = yield* Layer.build(Layer.provide(Lock.layer(), Layer.provide(store, client)))
  const ours = Effect.provide(Effect.scoped(Lock.scoped("cycle")), context)
  yield* ours
  // The lock makes the other Lease, too.
  yield* Effect.provide(Effect.scoped(Lock.scoped("cycle-of-go")), context)
  const candidate = yield* GoElection.make({ namespace, name: "cycle-of-go", timings: LeaderElector.defaults })
  const theirs = Effect.scoped(candidate)
  for (let round = 0; round < rounds; round++) {
    yield* timed(add(samples, "cycle", "kubelock"), Effect.repeat(ours, { times: 99 }))
    yield* timed(add(samples, "cycle", "client-go"), Effect.repeat(theirs, { times: 99 }))
  }
})

const measure = Effect.fnUntraced(function* (rounds: number) {
  const samples: Samples = new Map()
  for (let round = 0; round < rounds; round++) {
    for (const [name, campaign] of kinds) {
      yield* handOver(campaign, campaign, add(samples, "hand-over", name))
      if (round % 3 === 0) yield* takeOver(campaign, add(samples, "take-over", name))
    }
    yield* handOver(kubelock, clientGo, add(samples, "to client-go", "kubelock"))
    yield* handOver(clientGo, kubelock, add(samples, "from client-go", "kubelock"))
  }
  yield* Effect.forEach(
    kinds,
    ([name, campaign]) => requests(campaign, 120, add(samples, "leader", name), add(samples, "follower", name)),
    { concurrency: "unbounded" }
  )
  yield* cycles(samples, 9)
  return samples
})

const rows = (samples: Samples): ReadonlyArray<ReadonlyArray<string>> => {
  const values = (row: string, column: string) => samples.get(`${row}|${column}`) ?? []
  const of = (row: string, text: (value: number | null) => string) =>
    ["client-go", "kubelock"].map((column) => {
      const all = values(row, column)
      return all.length === 0 ? "" : `${text(median(all))} (at most ${text(Math.max(...all))})`
    })
  const perSecond = (column: string) => number((100 * 1000) / (median(values("cycle", column)) ?? Number.NaN))
  return [
    ["orderly hand-over between two of a kind", ...of("hand-over", time)],
    ["the same to a client-go", ...of("to client-go", time)],
    ["the same from a client-go", ...of("from client-go", time)],
    ["take-over after a crash", ...of("take-over", time)],
    ["requests an hour of a leader", ...of("leader", number)],
    ["requests an hour of a follower", ...of("follower", number)],
    ["locks on a Lease, warm and uncontended, cycles a second", perSecond("client-go"), perSecond("kubelock")]
  ]
}

const command = Command.make(
  "npm run bench:election --",
  {
    rounds: whole("rounds", [1, 1000], "How often each hand-over is measured (default 15)").pipe(Flag.withDefault(15))
  },
  Effect.fnUntraced(function* ({ rounds }) {
    const samples = yield* Effect.provide(Effect.scoped(measure(rounds)), realServer.layer)
    yield* Console.log(markdown(["median", "client-go (model)", "kubelock"], rows(samples)))
  })
).pipe(
  Command.withDescription(
    "Measures elections beside a model of client-go on a real kube-apiserver (KUBEBUILDER_ASSETS): hand-overs, take-overs, requests."
  ),
  Command.withExamples([
    { command: "npm run bench:election", description: "Everything, about ten minutes" },
    { command: "npm run bench:election -- --rounds 1", description: "A look" }
  ])
)

run(command, process.argv.slice(2))

/**
 * Chaos on a real API server: `npx node test/chaos/chaos.ts --seed 7`. See `--help`.
 *
 * Holders are real processes that contend for a lock of each kind and for the runs of `Once`, or for the shards of an Effect cluster.
 * Faults are injected into them, their network and the API server. Witnesses record every write. Then the faults end. Every holder must
 * get each lock once more, after which it is stopped. In the end the objects must be as they were.
 *
 * On a cluster 16 processes contend, and four more share a rotating token.
 *
 * With `--kind` they contend for one kind of lock only. With `--beside` every second holder runs another version of this repository,
 * which must be checked out and installed.
 *
 * A seed repeats which faults are injected, for how long and in which order. Which process a fault hits depends on which
 * one holds the lock at that moment. The kinds of locks take turns at that.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { dexAnnotation, neutralAnnotation } from "../../src/LockPolicy.ts"
import * as Once from "../../src/Once.ts"
import { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import { whole } from "../../tools/flags.ts"
import * as program from "../../tools/program.ts"
import * as Dice from "../simulation/dice.ts"
import * as Arena from "./arena.ts"
import * as Faketime from "./faketime.ts"
import * as Fences from "./fences.ts"
import * as Houses from "./houses.ts"
import * as Injections from "./injections.ts"
import { unserved } from "./ledger.ts"
import * as Report from "./report.ts"
import * as settings from "./settings.ts"
import { now } from "./testimony.ts"

export interface Options {
  readonly server: Houses.Kind
  /** A server of this kind that runs already. */
  readonly house?: Houses.House | undefined
  readonly seed: number
  readonly seconds: number
  /** How many processes contend beside the four with peculiarities. The default depends on the house. */
  readonly crowd?: number | undefined
  /** The folder of another version. */
  readonly beside?: string | undefined
  /** What the processes contend for: a lock of each kind by default, and one lock beside another version. */
  readonly kinds?: ReadonlyArray<settings.Kind> | undefined
}

/** One holder relies on the fence alone. Two have wrong wall clocks, if libfaketime is installed. */
const cast: ReadonlyArray<Arena.HolderOptions> = [
  { name: "plain" },
  { name: "fence-only", conduct: "unguarded" },
  { name: "clock-ahead", clock: 300 },
  { name: "clock-behind", clock: -300 }
]

/** How many processes contend beside them. */
const crowds: Readonly<Record<Houses.Kind, number>> = {
  "kube-apiserver": 0,
  "apiextensions-apiserver": 0,
  cluster: 12,
  hosts: 4
}

/** How many processes share a rotating token. */
const refreshers: Readonly<Record<Houses.Kind, number>> = {
  "kube-apiserver": 0,
  "apiextensions-apiserver": 0,
  cluster: 4,
  hosts: 2
}

/** Every second holder is of the other version: those with an even place if the seed is even, otherwise the others. */
const holdersOf = ({ beside, crowd, seed, server }: Options): ReadonlyArray<Arena.HolderOptions> =>
  [
    ...cast,
    ...Array.from({ length: crowd ?? crowds[server] }, (_, index): Arena.HolderOptions => ({
      name: `holder-${index}`
    }))
  ].map(({ clock, conduct, name }, index) => ({
    name,
    clock,
    conduct,
    checkout: (index + seed) % 2 === 0 ? beside : undefined
  }))

/** Runs it once. */
export const run = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Report.Report, EnvtestError, Scope.Scope> {
  const holders = holdersOf(options)
  const { kinds = options.beside === undefined ? Houses.atOnceOn(options.server) : ["lock"] } = options
  const { house = yield* Houses.open(options.server, options.seed) } = options
  const arena = yield* Arena.make({ ...options, house, kinds, holders, refreshers: refreshers[options.server] })
  const { contested, provider } = arena
  const everybody = holders.map(({ name }) => name)
  const hurry = (is: boolean) => Effect.forEach(contested, ({ witness }) => witness.hurry(() => is), { discard: true })
  // Earlier versions hurry for good once they have been told to.
  if (options.beside === undefined) yield* hurry(true)
  if (!(yield* entered(contested, everybody, 0, 60_000 + 10_000 * holders.length))) {
    const lacking = unserved(booksOf(contested), everybody, 0).join(", ")
    return yield* new EnvtestError({ step: "chaos", detail: `not had before anything was injected: ${lacking}` })
  }
  const shards = contested.find(({ kind }) => kind === "shards")
  const unfenced = shards === undefined ? [] : yield* Fences.watch(house, shards.path)
  const first = yield* crashAlone(arena)
  yield* hurry(false)
  const written = contested.map(({ path }) => ({ path, keys: new Array<string>() }))
  const foreign = yield* Effect.forkScoped(writeForeign(house, written))
  const injected = yield* inject(arena, options)
  const ended = now()
  const settled = yield* answersInTime(arena)
  const calm = now()
  yield* hurry(true)
  const stopped = yield* Effect.forEach(arena.holders, (holder) => retire(arena, holder, calm), {
    concurrency: "unbounded"
  })
  yield* Fiber.interrupt(foreign)
  const rotationsBefore = provider.rotations
  if (arena.refreshers.length > 0) {
    yield* Effect.sleep("20 millis").pipe(
      Effect.repeat({ until: () => provider.rotations > rotationsBefore }),
      Effect.timeoutOption(settings.rotation)
    )
  }
  yield* Effect.forEach(arena.refreshers, (process) => process.stop("SIGTERM"), { concurrency: "unbounded" })
  const locks = yield* Effect.forEach(
    contested,
    Effect.fnUntraced(function* ({ kind, path, witness }, place): Effect.fn.Return<Report.OfLock> {
      const left = yield* Effect.orDie(house.request("GET", path))
      const annotations = left.body.metadata?.annotations ?? {}
      const { keys } = written[place]!
      return {
        kind,
        findings: witness.ledger.findings,
        after: stopped.map(({ after }) => after[place]),
        left: [...Object.keys(annotations).filter(isOfLock), ...leaderLeft(left.body)],
        unfenced: kind === "shards" ? unfenced : [],
        foreignWritten: keys.length,
        foreignLost: keys.filter((key) => !(key in annotations))
      }
    })
  )
  return {
    seed: options.seed,
    seconds: options.seconds,
    title: house.title,
    others:
      options.beside === undefined
        ? undefined
        : holders.filter(({ checkout }) => checkout !== undefined).map(({ name }) => name),
    clocksShifted: Faketime.library !== undefined,
    injected: [first, ...injected],
    refresh:
      arena.refreshers.length === 0
        ? undefined
        : {
            rotations: provider.rotations,
            atTheEnd: provider.rotations - rotationsBefore,
            reuses: provider.reuses,
            logs: yield* Effect.forEach(arena.refreshers, ({ log }) => log)
          },
    settled: settled ? calm - ended : undefined,
    holders: stopped,
    locks
  }
})

// The record of the last run of `Once` stays for good.
const isOfLock = (key: string): boolean =>
  (key.startsWith(dexAnnotation) || key.startsWith("kubelock.dev/")) && key !== Once.lastRunKey(neutralAnnotation)

const leaderLeft = (object: unknown): ReadonlyArray<string> => {
  const { spec } = object as { readonly spec?: { readonly holderIdentity?: string } }
  return spec?.holderIdentity ? [`holderIdentity ${spec.holderIdentity}`] : []
}

const booksOf = (contested: ReadonlyArray<Arena.Contested>) =>
  Object.fromEntries(contested.map(({ kind, witness }) => [kind, witness.ledger]))

/** Waits until all these holders have been served with each lock after `since`. Returns false if that takes longer than `limit`. */
const entered = (
  contested: ReadonlyArray<Arena.Contested>,
  names: ReadonlyArray<string>,
  since: number,
  limit: number
) =>
  Effect.sleep("20 millis").pipe(
    Effect.repeat({ until: () => unserved(booksOf(contested), names, since).length === 0 }),
    Effect.timeoutOption(limit),
    Effect.map(Option.isSome)
  )

/** Kills a holder while nothing else is injected, and waits until other processes have taken over. */
const crashAlone = Effect.fnUntraced(function* ({ contested, holders }: Arena.Arena) {
  const ledgers = contested.map(({ witness }) => witness.ledger)
  const inside = () => holders.find(({ name }) => ledgers.some(({ inside }) => inside === name))
  yield* Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => inside() !== undefined }))
  const target = inside()!
  const from = now()
  yield* target.crash
  const isTakenOver = () => ledgers.every(({ findings }) => findings.crashes.every(({ next }) => next !== undefined))
  yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: isTakenOver }), Effect.timeoutOption(settings.takeOver))
  yield* target.again
  return { kind: Injections.crash, target: target.name, from, until: now() } satisfies Report.Injected
})

/**
 * Waits until the servers take a few writes in a row, each within the request timeout: after a restart of all of them that can take a while
 * on a busy machine, and no bound holds before. Returns false if it takes too long.
 */
const answersInTime = ({ contested, house }: Arena.Arena) => {
  let inTurn = 0
  const write = Effect.suspend(() => {
    const patch = { metadata: { annotations: { "example.com/probe": String(now()) } } }
    return house.request("PATCH", contested[0]!.path, patch)
  }).pipe(Effect.timeout(settings.requestTimeout), Effect.option)
  return write.pipe(
    Effect.map((reply) => (inTurn = Option.isSome(reply) && reply.value.status === 200 ? inTurn + 1 : 0)),
    Effect.andThen(Effect.sleep("100 millis")),
    Effect.repeat({ until: () => inTurn >= 5 }),
    Effect.timeoutOption(settings.settling),
    Effect.map(Option.isSome)
  )
}

/** Waits until a holder has had each lock again, then stops it to make room for the others. */
const retire = Effect.fnUntraced(function* (
  { contested, holders }: Arena.Arena,
  { name, process }: Arena.Holder,
  since: number
) {
  const after = yield* Effect.forEach(
    contested,
    Effect.fnUntraced(function* (lock) {
      const again = yield* entered([lock], [name], since, settings.recoveryOf(holders.length))
      return again ? now() - since : undefined
    }),
    { concurrency: "unbounded" }
  )
  const had = now()
  yield* process.stop("SIGTERM")
  return { name, after, stopping: now() - had, log: yield* process.log }
})

/** Writes foreign annotations to the locked objects, one after the other. Those that the server accepted must stay. */
const writeForeign = (
  house: Houses.House,
  written: ReadonlyArray<{ readonly path: string; readonly keys: Array<string> }>
) =>
  Effect.gen(function* () {
    for (let index = 1; ; index++) {
      const { keys, path } = written[index % written.length]!
      const key = `example.com/foreign-${index}`
      const patch = { metadata: { annotations: { [key]: String(index) } } }
      const reply = yield* house.request("PATCH", path, patch).pipe(Effect.timeout("2 seconds"), Effect.option)
      if (Option.isSome(reply) && reply.value.status === 200) keys.push(key)
      yield* Effect.sleep("700 millis")
    }
  })

/** Injects faults until the time is up, several at once, and waits until all of them have ended. */
const inject = Effect.fnUntraced(function* ({ contested, holders, house }: Arena.Arena, { seconds, seed }: Options) {
  const dice = Dice.make(seed, "injections")
  const injected: Array<Report.Injected> = []
  const hurt = new Set<string>()
  const running = yield* FiberSet.make<void, EnvtestError>()

  const begin = Effect.fnUntraced(function* (kind: string, target: string, run: Effect.Effect<void, EnvtestError>) {
    const injection: Report.Injected = { kind, target, from: now(), until: Number.POSITIVE_INFINITY }
    injected.push(injection)
    hurt.add(target)
    const ended = Effect.sync(() => {
      injection.until = now()
      hurt.delete(target)
    })
    yield* FiberSet.run(running, Effect.ensuring(run, ended))
  })

  const possible = ({ injection, on }: Card, holder: Arena.Holder) =>
    !hurt.has(holder.name) &&
    (on === "server" || (holder.isAtWork() && (injection.possible === undefined || injection.possible(holder))))

  // Faults matter most while a lock is held, and to its holder.
  let strikes = 0
  const strike = Effect.fnUntraced(function* (card: Card, millis: number) {
    const { ledger } = contested[strikes++ % contested.length]!.witness
    const inside = () => holders.find((holder) => holder.name === ledger.inside && possible(card, holder))
    yield* Effect.sleep("5 millis").pipe(
      Effect.repeat({ until: () => inside() !== undefined }),
      Effect.timeoutOption("2 seconds")
    )
    if (card.on === "server") {
      return yield* begin(card.injection.kind, Report.theServer, card.injection.run(millis))
    }
    const target = inside() ?? holders.find((holder) => possible(card, holder))
    if (target !== undefined) yield* begin(card.injection.kind, target.name, card.injection.run(target, millis))
  })

  const ends = now() + seconds * 1000
  let deck: Array<Card> = []
  const deal = Effect.gen(function* () {
    while (now() < ends) {
      if (deck.length === 0) deck = shuffled(dice, holders, house)
      const next = deck.findIndex(({ on }) => on === "holder" || !hurt.has(Report.theServer))
      if (next >= 0) {
        const [card] = deck.splice(next, 1)
        yield* strike(card!, dice.between(...card!.injection.millis))
      }
      yield* Effect.sleep(dice.between(300, 1500))
    }
    yield* FiberSet.awaitEmpty(running)
  })
  yield* Effect.raceFirst(deal, Effect.andThen(FiberSet.join(running), Effect.never))
  return injected
})

type Card =
  | { readonly on: "holder"; readonly injection: Injections.HolderInjection }
  | { readonly on: "server"; readonly injection: Houses.ServerInjection }

/** Each kind of fault once, in random order. */
const shuffled = (dice: Dice.Dice, holders: ReadonlyArray<Arena.Holder>, { faults }: Houses.House): Array<Card> => {
  const cards: ReadonlyArray<Card> = [
    ...Injections.onHolder
      .filter(({ possible }) => possible === undefined || holders.some(possible))
      .map((injection) => ({ on: "holder", injection }) as const),
    ...faults.map((injection) => ({ on: "server", injection }) as const)
  ]
  return cards
    .map((card) => ({ card, order: dice.random.nextDoubleUnsafe() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ card }) => card)
}

const command = Command.make(
  "npx node test/chaos/chaos.ts",
  {
    seed: whole("seed", [0, 2 ** 31 - 1], "Decides which faults are injected (default 1)").pipe(Flag.withDefault(1)),
    seconds: whole("seconds", [1, 86_400], "How long faults are injected (default 25)").pipe(Flag.withDefault(25)),
    server: Flag.Literals("server", Houses.kinds).pipe(
      Flag.withDefault("kube-apiserver" as const),
      Flag.withDescription(
        "Which server of KUBEBUILDER_ASSETS; or a cluster of two kube-apiservers on three etcd members; or two hosts with cables (default kube-apiserver)"
      )
    ),
    kind: Flag.Literals("kind", settings.kinds).pipe(
      Flag.optional,
      Flag.withDescription(
        "What the processes contend for: a lock, the leadership of a Lease, permits of a semaphore, a shared lock, two locks under a session, the runs of Once, or the shards of an Effect cluster (default all of them but the shards, and a lock with --beside)"
      )
    ),
    crowd: whole(
      "crowd",
      [0, 100],
      "How many processes contend beside four peculiar ones (default 12 on a cluster, 4 on two hosts, and none elsewhere)"
    ).pipe(Flag.optional),
    beside: Flag.Directory("beside", { mustExist: true }).pipe(
      Flag.optional,
      Flag.withDescription("The folder of another version, which half of the processes run: a checkout, after npm ci")
    )
  },
  Effect.fnUntraced(function* ({ beside, crowd, kind, ...rest }) {
    const report = yield* run({
      ...rest,
      crowd: Option.getOrUndefined(crowd),
      kinds: kind.pipe(Option.map(Array.of), Option.getOrUndefined),
      beside: Option.getOrUndefined(beside)
    })
    yield* Console.log(Report.format(report))
    const problems = Report.problems(report)
    if (problems.length > 0) return yield* new EnvtestError({ step: "chaos", detail: problems.join("; ") })
  }, Effect.scoped)
).pipe(
  Command.withDescription("Injects faults into processes that contend for locks on a real API server."),
  Command.withExamples([
    { command: "npx node test/chaos/chaos.ts --seed 7 --seconds 60 --server kube-apiserver" },
    { command: "npx node test/chaos/chaos.ts --server cluster --seconds 600" },
    { command: "npx node test/chaos/chaos.ts --kind shared", description: "Readers and writers only" },
    { command: "npx node test/chaos/chaos.ts --beside ../kubelock-before", description: "Two versions at once" }
  ])
)

if (import.meta.main) program.run(command, process.argv.slice(2))

/**
 * etcd is restored from a snapshot while locks are held and waited for, and tokens are rotated: plainly, and as
 * `docs/guarantees.md` asks for it.
 *
 * It takes an etcdctl of 3.5.10 or later, which the program `etcdctl` beside it finds.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { renameSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import type * as Lock from "../../src/Lock.ts"
import * as Resource from "../../src/Resource.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as Dice from "../simulation/dice.ts"
import * as Acquiring from "./acquiring.ts"
import * as Cluster from "./cluster.ts"
import * as Crew from "./crew.ts"
import type { Reuse } from "./provider.ts"
import * as settings from "./settings.ts"
import { now } from "./testimony.ts"

const outputOf = async (program: string, ...args: ReadonlyArray<string>) =>
  (await promisify(execFile)(program, args)).stdout.trim()

/** The path of etcdctl, or why there is none. */
export const etcdctl = await Effect.runPromise(
  Effect.result(
    Effect.tryPromise({
      try: () => outputOf(join(import.meta.dirname, "etcdctl")),
      catch: (error) => String((error as { readonly stderr?: string }).stderr ?? error).trim()
    })
  )
)

/** By default longer than the restart of an API server takes on a busy machine, so that the lock is still held when it is back. */
const defaultTtl = 40_000

const run = (...args: ReadonlyArray<string>) => Effect.promise(() => outputOf(Result.getOrThrow(etcdctl), ...args))

const restore = Effect.fnUntraced(function* (
  { members, servers }: Cluster.Cluster,
  snapshot: string,
  flags: ReadonlyArray<string>
) {
  const [etcd] = members as [Cluster.Member]
  const [api] = servers as [Cluster.Server]
  yield* api.process.stop("SIGKILL")
  yield* etcd.process.stop("SIGTERM")
  const data = join(etcd.directory, "etcd")
  renameSync(data, `${data}.before`)
  yield* run(
    "snapshot",
    "restore",
    snapshot,
    `--data-dir=${data}`,
    `--name=${etcd.name}`,
    `--initial-cluster=${etcd.name}=${etcd.peerUrl}`,
    `--initial-advertise-peer-urls=${etcd.peerUrl}`,
    ...flags
  )
  yield* etcd.process.start
  yield* etcd.ready
  yield* api.process.start
  yield* api.ready
})

/** A process that wants a whole lock: all permits, or to write. */
const aProcess = (kind: settings.HeldKind, place: number, kubeConfig: string, ttl: number) =>
  Acquiring.make({
    kind,
    id: `held-${kind}`,
    identity: `process-${place}`,
    resource: Resource.configMap,
    dice: Dice.make(1, `process-${place}`),
    takesAll: 1,
    thread: settings.hasThread(kind, place),
    ttl,
    requestTimeout: settings.requestTimeout,
    patience: 10 * ttl
  }).pipe(Effect.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig), { local: true }), Effect.orDie)

/** A holder, and a waiter that gets the lock while the holder still calls it valid. What became of them is known after the restore. */
const contest = Effect.fnUntraced(function* (kind: settings.HeldKind, kubeConfig: string, ttl: number) {
  const [one, other] = yield* Effect.all([aProcess(kind, 0, kubeConfig, ttl), aProcess(kind, 1, kubeConfig, ttl)])
  const held = yield* Deferred.make<bigint, Lock.AcquireError>()
  const holder = yield* Effect.gen(function* () {
    const { fencingToken, lost } = yield* Effect.tapError(one, (error) => Deferred.fail(held, error))
    yield* Deferred.succeed(held, fencingToken)
    const { reason } = yield* Effect.flip(lost)
    return { at: now(), reason }
  }).pipe(Effect.scoped, Effect.forkScoped)
  const first = yield* Deferred.await(held)
  const waiter = yield* Effect.map(other, ({ fencingToken }) => ({ at: now(), fencingToken })).pipe(Effect.forkScoped)
  return Effect.fnUntraced(function* (back: number) {
    const second = yield* Fiber.join(waiter)
    const loss = yield* Fiber.join(holder)
    return {
      kind,
      waiterAfter: second.at - back,
      overlap: loss.at - second.at,
      reason: loss.reason,
      tokens: [first, second.fencingToken].map(String),
      tokenGrew: second.fencingToken > first
    }
  })
})

/** What a restore did. Times are in milliseconds, `waiterAfter` since the server was back. */
export interface Restored {
  readonly ttl: number
  readonly snapshotAge: number
  readonly contests: ReadonlyArray<{
    readonly kind: settings.Kind
    readonly waiterAfter: number
    readonly overlap: number
    readonly reason: string
    readonly tokens: ReadonlyArray<string>
    readonly tokenGrew: boolean
  }>
  readonly crew: ReadonlyArray<{
    readonly kind: string
    readonly overlaps: number
    readonly disorder: number
    readonly staleRefused: number
  }>
  readonly recovered: boolean
  readonly rotations: number
  readonly reuses: ReadonlyArray<Reuse>
}

/** How etcd is restored: with these flags. */
export const flags = {
  plain: [],
  bumped: ["--bump-revision", "1000000000", "--mark-compacted"]
} satisfies Readonly<Record<string, ReadonlyArray<string>>>
export type How = keyof typeof flags

/** Restores etcd once. */
export const play = Effect.fnUntraced(function* (
  how: How,
  seed: number,
  ttl = defaultTtl
): Effect.fn.Return<Restored, EnvtestError, Scope.Scope> {
  const cluster = yield* Cluster.start({ members: 1, servers: 1 })
  const { kubeConfig } = cluster.site
  const crew = yield* Crew.make({ kubeConfig, seed })

  const snapshot = join(cluster.site.directory, "snapshot.db")
  yield* run("--endpoints", cluster.members[0]!.clientUrl, "snapshot", "save", snapshot)
  const taken = now()

  // All locks of the crew are held by others than in the snapshot.
  yield* crew.entered(taken, settings.turnOf(4, settings.ttl))
  // Many writes, so that a plain restore goes back further than a restart goes on.
  const writes = how === "plain" ? 400 : 0
  for (let write = 0; write < writes; write++) {
    yield* Effect.orDie(
      cluster.site.request("PATCH", "/api/v1/namespaces/dex", { metadata: { annotations: { write: String(write) } } })
    )
  }

  const outcomes = yield* Effect.orDie(
    Effect.forEach(settings.heldKinds, (kind) => contest(kind, kubeConfig, ttl), { concurrency: "unbounded" })
  )
  yield* Effect.sleep("1 second")
  const rotationsSince = crew.provider.rotations
  yield* restore(cluster, snapshot, flags[how])
  const back = now()
  const [contests, recovered] = yield* Effect.all(
    [
      Effect.orDie(Effect.forEach(outcomes, (outcome) => outcome(back))),
      crew.entered(back, settings.turnOf(4, settings.ttl))
    ],
    { concurrency: "unbounded" }
  )
  // The restored object may show the lock of a rotation that was under way.
  yield* Effect.sleep("20 millis").pipe(
    Effect.repeat({ until: () => crew.provider.rotations > rotationsSince }),
    Effect.timeoutOption(settings.rotation)
  )
  return {
    ttl,
    snapshotAge: back - taken,
    contests,
    crew: Object.entries(crew.ledgers).map(([kind, { findings }]) => ({
      kind,
      overlaps: findings.exclusion.overlaps.length,
      disorder: findings.exclusion.disorder.length,
      staleRefused: findings.staleRefused
    })),
    recovered,
    rotations: crew.provider.rotations - rotationsSince,
    reuses: crew.provider.reuses
  }
})

/**
 * The broken promises, one sentence each. A process that knows that a value is spent never sends it. One that had not seen how far the
 * others had come may.
 */
export const problems = (
  how: How,
  { contests, crew, recovered, reuses, rotations, ttl }: Restored
): ReadonlyArray<string> => [
  ...contests.flatMap(({ kind, overlap, tokenGrew }) => [
    ...(overlap < ttl / 3 ? [] : [`${kind}: two called it valid for ${overlap} ms`]),
    ...(tokenGrew || how === "plain" ? [] : [`${kind}: the fencing token did not grow`])
  ]),
  ...crew.flatMap(({ disorder, kind }) =>
    disorder === 0 || how === "plain" ? [] : [`${kind}: ${disorder} fencing tokens were not greater than earlier ones`]
  ),
  ...(recovered ? [] : ["not everybody had each lock again"]),
  ...(rotations > 0 ? [] : ["the token was not rotated again"]),
  ...reuses.flatMap(({ first, generation, second }) =>
    first === second ? [`${first} spent value ${generation} of the token twice`] : []
  )
]

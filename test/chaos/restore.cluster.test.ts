/**
 * etcd is restored from a snapshot while locks are held and waited for, and tokens are rotated: plainly, and as
 * `docs/guarantees.md` asks for it.
 *
 * It takes an `etcdctl` of 3.5.10 or later: that in the path, or that of the environment variable `ETCDCTL`.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFile, spawnSync } from "node:child_process"
import { renameSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describeMissing, describeServers } from "../cluster/describeServers.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as Cluster from "./cluster.ts"
import * as Crew from "./crew.ts"
import { record } from "./options.ts"
import * as settings from "./settings.ts"
import { now } from "./testimony.ts"

const etcdctl = process.env["ETCDCTL"] ?? "etcdctl"
const canBump = String(spawnSync(etcdctl, ["snapshot", "restore", "--help"]).stdout).includes("--bump-revision")

/** Longer than the restart of an API server takes on a busy machine, so that the lock is still held when it is back. */
const ttl = Duration.seconds(40)

const run = (...args: ReadonlyArray<string>) => Effect.promise(() => promisify(execFile)(etcdctl, args))

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

const aProcess = (kubeConfig: string, identity: string) =>
  Layer.build(
    Lock.layer({
      identity,
      policy: LockPolicy.make({ ttl, waitSchedule: LockPolicy.fixedPolls("100 millis", 6000) })
    }).pipe(
      Layer.provide(
        ObjectStoreKubernetes.layer({ resource: Resource.configMap, namespace: "dex", requestTimeout: "1 second" })
      ),
      Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
    )
  )

/** What a restore did to a lock that was acquired after the snapshot: times in milliseconds since the servers were back. */
const play = Effect.fnUntraced(function* (flags: ReadonlyArray<string>) {
  const cluster = yield* Cluster.start({ members: 1, servers: 1 })
  const { kubeConfig } = cluster.site
  const crew = yield* Crew.make({ kubeConfig, seed: 5 })
  assert.isTrue(yield* crew.entered(0, 60_000))
  const [one, other] = yield* Effect.all([aProcess(kubeConfig, "one"), aProcess(kubeConfig, "other")])

  const snapshot = join(cluster.site.directory, "snapshot.db")
  yield* run("--endpoints", cluster.members[0]!.clientUrl, "snapshot", "save", snapshot)
  const taken = now()

  // The crew goes on for longer than it stays inside.
  yield* Effect.sleep("7 seconds")
  // Many writes, so that a plain restore goes back further than a restart goes on.
  for (let write = 0; write < 400; write++) {
    yield* Effect.orDie(
      cluster.site.request("PATCH", "/api/v1/namespaces/dex", { metadata: { annotations: { write: String(write) } } })
    )
  }

  const held = yield* Deferred.make<{ readonly token: bigint }>()
  const lost = yield* Deferred.make<{ readonly at: number; readonly reason: string }>()
  const acquired = yield* Deferred.make<{ readonly at: number; readonly token: bigint }>()
  yield* Effect.gen(function* () {
    const { fencingToken, lost: loss } = yield* Lock.scoped("held")
    yield* Deferred.succeed(held, { token: fencingToken })
    const { reason } = yield* Effect.flip(loss)
    yield* Deferred.succeed(lost, { at: now(), reason })
  }).pipe(Effect.scoped, Effect.provide(one), Effect.forkScoped)
  const first = yield* Deferred.await(held)
  yield* Effect.gen(function* () {
    const { fencingToken } = yield* Lock.scoped("held")
    yield* Deferred.succeed(acquired, { at: now(), token: fencingToken })
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(other), Effect.forkScoped)

  yield* Effect.sleep("1 second")
  const rotationsSince = crew.provider.rotations
  yield* restore(cluster, snapshot, flags)
  const back = now()
  const second = yield* Deferred.await(acquired)
  const loss = yield* Deferred.await(lost)
  assert.isTrue(yield* crew.entered(back, settings.turnOf(4, settings.ttl)))
  yield* Effect.sleep("1 second")
  const { exclusion, staleRefused } = crew.ledger.findings
  return {
    snapshotAge: back - taken,
    waiterAfter: second.at - back,
    overlap: loss.at - second.at,
    reason: loss.reason,
    tokens: [first.token, second.token].map(String),
    tokenGrew: second.token > first.token,
    crew: { overlaps: exclusion.overlaps.length, disorder: exclusion.disorder.length, staleRefused },
    rotations: crew.provider.rotations - rotationsSince,
    /** A process that had not seen how far the others had come. */
    reusedUnknown: crew.provider.reuses.filter(({ first, second }) => first !== second),
    reusedKnown: crew.provider.reuses.filter(({ first, second }) => first === second)
  }
})

if (canBump) {
  describeServers(
    "a restore of etcd",
    () => {
      it.live("with a bumped revision lets every fencing token grow, and the holder is told within its renewal", () =>
        Effect.gen(function* () {
          const seen = yield* play(["--bump-revision", "1000000000", "--mark-compacted"])
          yield* record({ kind: "restore with a bumped revision", ...seen })
          assert.isTrue(seen.tokenGrew)
          assert.isBelow(seen.overlap, Duration.toMillis(ttl) / 3)
          assert.strictEqual(seen.crew.disorder, 0)
          assert.deepStrictEqual(seen.reusedKnown, [])
          assert.isAbove(seen.rotations, 0)
        })
      )

      it.live("without one it costs no more than an overlap until the holder's renewal, and tokens that go back", () =>
        Effect.gen(function* () {
          const seen = yield* play([])
          yield* record({ kind: "plain restore", ...seen })
          assert.isFalse(seen.tokenGrew)
          assert.isBelow(seen.overlap, Duration.toMillis(ttl) / 3)
          assert.deepStrictEqual(seen.reusedKnown, [])
          assert.isAbove(seen.rotations, 0)
        })
      )
    },
    (server) => server === "kube-apiserver"
  )
} else {
  describeMissing("a restore of etcd", "NOT RUN, no etcdctl of 3.5.10 or later in the path or in ETCDCTL")
}

/**
 * What a contender for the shards of an Effect cluster does. It is a runner that uses the storage as `Sharding` does: it registers, refreshes
 * what it has at an interval, acquires what is free, and releases. It wants every shard. What runs on a shard writes to the witness as the
 * holder of a lock does, without a fencing token, since a shard has none.
 *
 * It relies on a shard until a refresh does not name the shard any more, or fails. Before some of the writes it asks besides whether the
 * shard is its own (`HeldShards`). A contender that works unguarded does not: it goes by the start of its last refresh that succeeded, on
 * its own clock.
 */
import * as Runner from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as KubernetesRunnerStorage from "../../src/KubernetesRunnerStorage.ts"
import { type Behavior, type Inside, type Loss, staying } from "./contending.ts"
import * as settings from "./settings.ts"
import { now, revivedTag } from "./testimony.ts"

/** A contender for the shards of the cluster with this name. `ttl`: for how long a session lives after each refresh, in milliseconds. */
export interface Contender<R> extends Behavior<R> {
  readonly id: string
  readonly ttl: number
}

const all: ReadonlyArray<ShardId.ShardId> = Array.from({ length: settings.shards }, (_, index) =>
  ShardId.make(settings.shardGroup, index + 1)
)

/** Contends until it is interrupted, over the client in context. */
export const contendForShards = Effect.fnUntraced(function* <R>(contender: Contender<R>) {
  const { conduct, dice, id, name, ttl } = contender
  // What has been sent cannot be called back.
  const tell: typeof contender.tell = (testimony) => Effect.uninterruptible(contender.tell(testimony))
  const interval = Duration.millis(ttl / 3)
  const times = ShardingConfig.layer({ shardLockExpiration: ttl, shardLockRefreshInterval: interval })
  const context = yield* Layer.build(
    KubernetesRunnerStorage.layer({ name: id, namespace: "dex" }).pipe(Layer.provide(times))
  )
  const storage = Context.get(context, RunnerStorage.RunnerStorage)
  const { has } = Context.get(context, KubernetesRunnerStorage.HeldShards)
  const { failed, interrupted, stay } = staying({ ...contender, conduct: undefined, tell })
  const address = RunnerAddress.make(name, 1)
  const runner = Runner.make({ address, groups: [settings.shardGroup], weight: 1 })

  const began = Math.round(now())
  let count = 0
  let renewedAt = Number.NEGATIVE_INFINITY
  let isHealthy = false
  let mustReleaseAll = false
  // What it relies on, and what it has not released yet. And until when it leaves alone what it has released.
  const relied = new Map<ShardId.ShardId, Reliance>()
  const restsUntil = new Map<ShardId.ShardId, number>()

  const refresh = Effect.gen(function* () {
    const asked = Array.from(relied)
    const lost = yield* Effect.filter(asked, ([shard]) => Effect.map(has(address, shard), (is) => !is))
    const at = now()
    const named = yield* storage.refresh(
      address,
      asked.map(([shard]) => shard)
    )
    renewedAt = at
    for (const [shard, reliance] of asked) if (!named.includes(shard)) giveUp(reliance, "NotNamed")
    const revived = lost.filter(([shard, reliance]) => named.includes(shard) && relied.get(shard) === reliance)
    if (revived.length > 0) yield* tell({ _tag: "Failure", name, tag: revivedTag })
  }).pipe(
    Effect.retry({ times: 5, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout(interval),
    Effect.catch(() =>
      Effect.sync(() => {
        isHealthy = false
        for (const reliance of relied.values()) giveUp(reliance, "NotRefreshed")
      })
    )
  )

  const recover = Effect.suspend(() => {
    const at = now()
    return Effect.map(storage.refresh(address, []), () => {
      renewedAt = at
      isHealthy = true
      mustReleaseAll = true
    })
  }).pipe(Effect.timeout(interval), Effect.ignore)

  const release = (shard: ShardId.ShardId) =>
    storage.release(address, shard).pipe(
      Effect.retry(Schedule.spaced("50 millis")),
      Effect.andThen(
        Effect.sync(() => {
          relied.delete(shard)
          restsUntil.set(shard, now() + dice.between(...settings.shardRest))
        })
      )
    )

  const rely = (shard: ShardId.ShardId, lost: Reliance, machine: number | undefined) => {
    const isOurs = conduct === undefined ? has(address, shard) : Effect.sync(() => now() < renewedAt + ttl)
    const inside: Inside = {
      holderId: `${name}/${began}/${++count}`,
      shard: shard.id,
      ...(machine === undefined ? {} : { machine }),
      isValid: Effect.tap(isOurs, (is) => Effect.sync(() => is || giveUp(lost, "Expired"))),
      lost: Deferred.await(lost)
    }
    return Effect.raceFirst(stay(inside), inside.lost).pipe(
      Effect.catch((error) => failed(inside, error)),
      Effect.onInterrupt(() => interrupted(inside)),
      Effect.andThen(release(shard))
    )
  }

  const fibers = yield* FiberSet.make<void>()
  const acquire = Effect.gen(function* () {
    if (mustReleaseAll && relied.size === 0) {
      yield* storage.releaseAll(address)
      mustReleaseAll = false
    }
    const at = now()
    if (!isHealthy || mustReleaseAll || at >= renewedAt + ttl) return
    const wanted = all.filter((shard) => !relied.has(shard) && at >= (restsUntil.get(shard) ?? at))
    const acquired = yield* storage.acquire(address, wanted)
    // What it acquired while a refresh failed it releases with all the rest.
    if (!isHealthy || mustReleaseAll || acquired.length === 0) return
    const reliances = acquired.map((shard) => [shard, Deferred.makeUnsafe<never, Loss>()] as const)
    for (const [shard, reliance] of reliances) relied.set(shard, reliance)
    // Its session may be a new one, which is registered anew.
    const machine = yield* Effect.orElseSucceed(storage.register(runner, true), () => undefined)
    for (const [shard, reliance] of reliances) yield* FiberSet.run(fibers, rely(shard, reliance, machine))
  })

  yield* Effect.forkScoped(
    Effect.repeat(
      Effect.suspend(() => (isHealthy ? refresh : recover)),
      Schedule.fixed(interval)
    )
  )
  return yield* acquire.pipe(
    Effect.catch(({ _tag: tag }) => tell({ _tag: "Failure", name, tag })),
    Effect.andThen(Effect.suspend(() => Effect.sleep(dice.between(...settings.shardPolls)))),
    Effect.forever
  )
})

/** Ends when the runner does not rely on the shard any more. */
type Reliance = Deferred.Deferred<never, Loss>

const giveUp = (reliance: Reliance, reason: string): boolean =>
  Deferred.doneUnsafe(reliance, Effect.fail({ _tag: "LockLost", reason }))

/** How each kind takes a lock. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { lockOf, type Prepare, refuse, takes as takesOfLocks } from "../../src/cli/bench/contest/takes.ts"
import * as LeaderElector from "../../src/testing/clientGo/LeaderElector.ts"
import * as elsewhere from "../elsewhere/open.ts"
import * as TakeElsewhere from "../elsewhere/take.ts"
import * as Connection from "../../src/cli/bench/harness/connection.ts"
import * as Build from "./build.ts"
import type { Refusal, Take } from "../../src/cli/bench/contest/contest.ts"
import type { AnyKind, Elsewhere } from "./kind.ts"
import * as leaderElection from "./leaderElection.ts"
import * as plainClient from "./plainClient.ts"
import * as rawWrites from "./rawWrites.ts"
import * as relay from "./relay.ts"
import type { Task } from "./task.ts"

const refuseUnknown = (error: unknown): Refusal => refuse(error instanceof Error ? error : { message: String(error) })

const earlierBuild = Effect.fnUntraced(function* (task: Task) {
  const modules = yield* Build.load(task.before!)
  const yaml = Connection.yamlOf(task.connection)
  const client = yield* Layer.build(modules.KubernetesClient.layerKubeConfigYaml(yaml))
  return yield* Effect.provideContext(lockOf(task, modules), client)
})

const lease = (timings: leaderElection.Timings) =>
  Effect.fnUntraced(function* ({ ids, namespace }: Task) {
    const lead = yield* leaderElection.make({ namespace, name: ids[0]!, timings })
    const take: Take = () => lead
    return take
  })

/**
 * The package's own loops, which wait for the lock and renew it, cannot be interrupted. These loops do the same. A holder
 * name can renew one lease only, so each acquisition has a name of its own.
 */
const k8sLeaseLock = Effect.fnUntraced(function* ({ connection, namespace }: Task) {
  if (connection._tag === "KubeConfig") process.env["KUBECONFIG"] = connection.file
  const { K8SLock } = yield* Effect.promise(() => import("@nullplatform/k8s-lease-lock"))
  const take: Take = (leaseName) =>
    Effect.gen(function* () {
      const lock = new K8SLock({
        leaseName,
        namespace,
        lockLeaserId: crypto.randomUUID(),
        leaseDurationInSeconds: 1,
        createLeaseIfNotExist: false
      })
      const attempt = Effect.tryPromise({ try: () => lock.getLock(false), catch: refuseUnknown })
      while (!(yield* Effect.uninterruptible(attempt))) yield* Effect.sleep("100 millis")
      const renew = Effect.repeat(Effect.ignore(Effect.uninterruptible(attempt)), Schedule.spaced("500 millis"))
      yield* Effect.forkScoped(Effect.delay(renew, "500 millis"))
    })
  return take
})

const onOtherServer = ({ address, kind, seconds }: Task) =>
  TakeElsewhere.make(() => elsewhere.open(kind as Elsewhere, address ?? "", seconds))

const boundary = (
  make: (client: plainClient.PlainClient, task: Task) => Effect.Effect<Effect.Effect<void, unknown, Scope.Scope>>
) =>
  Effect.fnUntraced(function* (task: Task) {
    const client = yield* plainClient.make(Connection.yamlOf(task.connection), {
      id: task.ids[0]!,
      namespace: task.namespace
    })
    const step = yield* make(client, task)
    const take: Take = () => Effect.mapError(step, refuseUnknown)
    return take
  })

/** Prepares a worker to take locks. */
export const takes: Readonly<Record<AnyKind, Prepare<Task>>> = {
  ...takesOfLocks,
  "kubelock-before": earlierBuild,
  "kubelock-lease": takesOfLocks.kubelock,
  "kubelock-configmap": takesOfLocks.kubelock,
  "lease-fast": lease(leaderElection.fastest),
  "lease-default": lease(LeaderElector.defaults),
  "k8s-lease-lock": k8sLeaseLock,
  "etcd-mutex": onOtherServer,
  etcdctl: onOtherServer,
  "redis-semaphore": onOtherServer,
  "redis-semaphore-everysec": onOtherServer,
  redlock: onOtherServer,
  "redlock-everysec": onOtherServer,
  "effect-distributed-lock": onOtherServer,
  "effect-distributed-lock-everysec": onOtherServer,
  relay: boundary(relay.make),
  raw: boundary(rawWrites.make)
}

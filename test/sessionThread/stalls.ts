/** What becomes of the locks of a process whose event loop is blocked. On any API server, in real time. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as holders from "./holders.ts"

const patient = LockPolicy.make({ waitSchedule: LockPolicy.fixedPolls("1 second", 600) })

// Another process, as this one is to the holder.
const contender = (kubeConfig: string) =>
  Lock.layer({ identity: "contender", policy: patient }).pipe(
    Layer.provide(ObjectStoreKubernetes.layer({ resource: Resource.configMap })),
    Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
  )

// Waits for the lock in the background. It answers when it had it, and with which token.
const waits = (id: string) =>
  Effect.forkChild(
    Effect.scoped(Effect.map(Lock.scoped(id), ({ fencingToken }) => ({ hadAt: performance.now(), fencingToken }))),
    { startImmediately: true }
  )

/**
 * A stall that is shorter than `maxStall`, and longer than two TTLs: whether the lock is kept. If it is not, the machine may have been too
 * busy to renew it in time.
 */
export const isKept = Effect.fnUntraced(
  function* (kubeConfig: string, times: holders.Times) {
    const id = `kept-${times.ttl}`
    const holder = yield* holders.start(kubeConfig, id, times)
    const { fencingToken } = yield* holder.next("Holds")
    const waiting = yield* waits(id)
    const { isValid } = yield* holder.next("GoesOn")
    if (isValid) assert.isUndefined(waiting.pollUnsafe())
    const { lost } = yield* holder.next("Ends")
    assert.strictEqual(yield* holder.exited, 0)
    assert.isAbove(Number((yield* Fiber.join(waiting)).fencingToken), Number(fencingToken))
    return isValid && lost === null
  },
  (kept, kubeConfig) => kept.pipe(Effect.scoped, Effect.provide(contender(kubeConfig)))
)

/** A stall that is longer than `maxStall`, and ends: the lock is lost by then, and its holder is told. */
export const isLost = Effect.fnUntraced(
  function* (kubeConfig: string, times: holders.Times) {
    const holder = yield* holders.start(kubeConfig, `lost-${times.maxStall}`, times)
    yield* holder.next("Holds")
    assert.deepStrictEqual(yield* holder.next("GoesOn"), { _tag: "GoesOn", isValid: false })
    const { isValid, lost } = yield* holder.next("Ends")
    assert.isFalse(isValid)
    assert.strictEqual(lost?.reason, "Expired")
    assert.strictEqual(yield* holder.exited, 0)
    return { withSession: lost?.withSession, logged: holder.logged }
  },
  (lost) => Effect.scoped(lost)
)

/** A stall without an end: another process has the lock once `maxStall` is over, with a greater token. */
export const isTaken = Effect.fnUntraced(
  function* (kubeConfig: string, times: Omit<holders.Times, "blockedFor" | "by">) {
    const holder = yield* holders.start(kubeConfig, "taken", { ...times, blockedFor: 86_400_000, by: "Sleep" })
    const { fencingToken } = yield* holder.next("Holds")
    const since = performance.now()
    const taken = yield* Effect.flatMap(waits("taken"), Fiber.join)
    assert.isAbove(Number(taken.fencingToken), Number(fencingToken))
    assert.isAtLeast(taken.hadAt - since, times.maxStall)
    assert.isNull(holder.process.exitCode)
    return taken.hadAt - since
  },
  (taken, kubeConfig) => taken.pipe(Effect.scoped, Effect.provide(contender(kubeConfig)))
)

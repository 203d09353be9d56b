/** What happens to a lock when a node goes down: some of the processes that wait for it are killed together. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Lock from "../../src/Lock.ts"
import { neutralAnnotation } from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"

const program = Path.join(import.meta.dirname, "waiter.ts")

/**
 * Starts waiters one after the other behind a holder, kills those whose names begin with `dead`, and then lets the holder
 * release the lock. Ends when all the living have had it.
 *
 * Answers the living in the order in which they got the lock, the dead to which it was handed, and for how many milliseconds
 * it was kept from the living.
 */
export const nodeDown = Effect.fnUntraced(function* (kubeConfig: string, order: ReadonlyArray<string>) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubelock-waiters-"))),
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
  )
  const file = Path.join(directory, "kubeconfig")
  Fs.writeFileSync(file, kubeConfig)
  const context = yield* Layer.build(
    Layer.provideMerge(
      Lock.layer({ identity: "holder" }),
      ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, kubeConfig: { file } })
    )
  )
  const state = Effect.flatMap(ObjectStore, (store) => store.read("a")).pipe(
    Effect.map(({ annotations }) => ({
      waiters: LockQueue.fromAnnotations(neutralAnnotation, annotations).waiters.length,
      holder: LockRecord.leaseOf(LockRecord.fromAnnotations(neutralAnnotation, annotations))?.holderId?.split("/")[0]
    })),
    Effect.provide(context)
  )
  const until = <E>(condition: Effect.Effect<boolean, E>) =>
    Effect.sleep("10 millis").pipe(Effect.repeat({ until: () => condition }))

  const scope = yield* Scope.make()
  yield* Lock.scoped("a").pipe(Scope.provide(scope), Effect.provide(context))

  const living: Array<string> = []
  let firstHeld = 0
  const children = yield* Effect.forEach(order, (name, index) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = ChildProcess.spawn(process.execPath, [program, file, name], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        child.stdout.once("data", () => {
          if (living.push(name) === 1) firstHeld = performance.now()
        })
        return { name, child, gone: new Promise((resolve) => child.once("exit", resolve)) }
      }),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    ).pipe(Effect.tap(() => until(Effect.map(state, ({ waiters }) => waiters > index))))
  )
  const dead = children.filter(({ name }) => name.startsWith("dead"))
  for (const { child } of dead) child.kill("SIGKILL")
  yield* Effect.promise(() => Promise.all(dead.map(({ gone }) => gone)))
  const released = performance.now()
  yield* Scope.close(scope, Exit.void)

  const handedToDead = new Set<string>()
  yield* until(
    Effect.map(state, ({ holder }) => {
      if (holder?.startsWith("dead")) handedToDead.add(holder)
      return living.length === order.length - dead.length && holder === undefined
    })
  )
  yield* Effect.promise(() => Promise.all(children.map(({ gone }) => gone)))
  return { living, handedToDead: [...handedToDead], standstill: firstHeld - released }
})

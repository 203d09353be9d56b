/** Processes that wait for a lock and are killed together, as when a node goes down: the lock is handed to one of them, not to each. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Lock from "../../src/Lock.ts"
import { dexAnnotation } from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"

const program = Path.join(import.meta.dirname, "waiter.ts")
const order = ["dead1", "first", "dead2", "dead3", "second", "dead4"]

it.live("waiters that are killed together cost one hand-over lease, and all the living get the lock", () =>
  Effect.gen(function* () {
    const server = yield* ApiServer.make()
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubelock-waiters-"))),
      (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
    )
    const kubeconfig = Path.join(directory, "kubeconfig")
    Fs.writeFileSync(kubeconfig, server.kubeConfig)
    const annotations = Effect.map(
      server.list(Resource.configMap, ""),
      (objects) => objects.find(({ metadata }) => metadata.name === "a")?.metadata.annotations ?? {}
    )
    const waiters = Effect.map(annotations, (found) => LockQueue.fromAnnotations(dexAnnotation, found).waiters)
    const holder = Effect.map(
      annotations,
      (found) => LockRecord.leaseOf(LockRecord.fromAnnotations(dexAnnotation, found))?.holderId?.split("/")[0]
    )
    const until = (condition: Effect.Effect<boolean>) =>
      Effect.sleep("10 millis").pipe(Effect.repeat({ until: () => condition }))

    const scope = yield* Scope.make()
    const lock = yield* Layer.build(
      Lock.layer({ identity: "holder" }).pipe(
        Layer.provide(
          ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap, kubeConfig: { file: kubeconfig } })
        )
      )
    )
    yield* Lock.scoped("a").pipe(Scope.provide(scope), Effect.provide(lock))

    const had: Array<string> = []
    const children = yield* Effect.forEach(order, (name, index) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const child = ChildProcess.spawn(process.execPath, [program, kubeconfig, name], {
            stdio: ["ignore", "pipe", "inherit"]
          })
          child.stdout.once("data", () => had.push(name))
          return { name, child }
        }),
        ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
      ).pipe(Effect.tap(() => until(Effect.map(waiters, ({ length }) => length > index))))
    )
    const gone = children.map(({ child }) => new Promise((resolve) => child.once("exit", resolve)))
    for (const { child, name } of children) if (name.startsWith("dead")) child.kill("SIGKILL")
    yield* Scope.close(scope, Exit.void)

    const holders = new Set<string>()
    yield* until(
      Effect.map(holder, (name) => {
        if (name !== undefined) holders.add(name)
        return had.length === 2 && name === undefined
      })
    )
    yield* Effect.promise(() => Promise.all(gone))
    assert.deepStrictEqual(had.toSorted(), ["first", "second"])
    assert.deepStrictEqual(
      [...holders].filter((name) => name.startsWith("dead")),
      ["dead1"]
    )
  })
)

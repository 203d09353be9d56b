/** What happens to a lock when a node goes down: some of the processes that wait for it are killed together. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fromContent, holderOf } from "../../src/internal/election/leaseSpec.ts"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import { neutralAnnotation } from "../../src/LockPolicy.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as PermitRecord from "../../src/PermitRecord.ts"
import * as Resource from "../../src/Resource.ts"
import * as Dice from "../simulation/dice.ts"
import * as Acquiring from "./acquiring.ts"
import type * as settings from "./settings.ts"

/** The kinds whose waiters stand on the locked object. */
export type Kind = Exclude<settings.HeldKind, "session">

const id = "a"

/** In milliseconds. */
export const ttl = 5000

/** A process that wants a whole lock: all permits, or to write. */
export const aProcess = (identity: string, kind: settings.HeldKind) =>
  Acquiring.make({
    kind,
    id,
    identity,
    resource: Resource.configMap,
    dice: Dice.make(1, identity),
    takesAll: 1,
    ttl,
    requestTimeout: 5000,
    patience: 300_000
  })

const program = Path.join(import.meta.dirname, "waiter.ts")

/** The name of the contender that has a lock, and how many wait for it. Of permits, the first in the line has them. */
const lineOf = (kind: Kind, { annotations, content }: ObjectSnapshot) => {
  const [first, ...behind] = isLine(kind) ? PermitRecord.holderIds(annotations) : queueOf(kind, annotations, content)
  return { holder: first?.split("/")[0], waiters: behind.length }
}

const isLine = (kind: Kind): boolean => kind === "semaphore" || kind === "shared"

const queueOf = (
  kind: Kind,
  annotations: ObjectSnapshot["annotations"],
  content: ObjectSnapshot["content"]
): ReadonlyArray<string | undefined> =>
  kind === "election"
    ? [holderOf(fromContent(content)), ...LockQueue.fromAnnotations("kubelock.dev/leader", annotations).waiters]
    : [
        LockRecord.leaseOf(LockRecord.fromAnnotations(neutralAnnotation, annotations))?.holderId,
        ...LockQueue.fromAnnotations(neutralAnnotation, annotations).waiters
      ]

/** A crowd. The dead are those whose names begin with `dead`. `order` is that in which they come. */
export interface Options {
  readonly kubeConfig: string
  readonly kind: Kind
  readonly order: ReadonlyArray<string>
}

/**
 * Starts waiters one after the other behind a holder, kills those that are to die, and then lets the holder release the lock. Ends when
 * all the living have had it, and no dead one holds it. Those that died in a line behind all the living stay there.
 *
 * Answers the living in the order in which they got the lock, the dead to which it was handed, and for how many milliseconds
 * it was kept from the living.
 */
export const nodeDown = Effect.fnUntraced(function* ({ kind, kubeConfig, order }: Options) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubelock-waiters-"))),
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
  )
  const file = Path.join(directory, "kubeconfig")
  Fs.writeFileSync(file, kubeConfig)
  const context = yield* Layer.build(KubernetesClient.layerKubeConfig({ file }))
  const store = yield* ObjectStoreKubernetes.make({
    resource: kind === "election" ? Resource.lease : Resource.configMap,
    namespace: "dex"
  }).pipe(Effect.provide(context))
  const state = Effect.map(store.read(id), (snapshot) => lineOf(kind, snapshot))
  const until = <E>(condition: Effect.Effect<boolean, E>) =>
    Effect.sleep("10 millis").pipe(Effect.repeat({ until: () => condition }))

  const scope = yield* Scope.make()
  yield* Effect.flatten(aProcess("holder", kind)).pipe(Scope.provide(scope), Effect.provide(context))

  const living: Array<string> = []
  let firstHeld = 0
  const children = yield* Effect.forEach(order, (name, index) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = ChildProcess.spawn(process.execPath, [program, file, name, kind], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        child.stdout.on("data", (text) => {
          if (/^held$/m.test(String(text)) && living.push(name) === 1) firstHeld = performance.now()
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
      return living.length === order.length - dead.length && (holder === undefined || isLine(kind))
    })
  )
  yield* Effect.promise(() => Promise.all(children.map(({ gone }) => gone)))
  return { living, handedToDead: [...handedToDead], standstill: firstHeld - released }
})

/** The store of a process in an explored world, and what the machines hear of it. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Answer } from "../../src/internal/protocol/answer.ts"
import type * as LockError from "../../src/LockError.ts"
import { type ConditionalPatch, type ObjectSnapshot, ObjectStore } from "../../src/ObjectStore.ts"
import { runAt } from "./time.ts"

/** A store of Leases that can do these things, and no others. */
export const make = (annotation: string, parts: Partial<ObjectStore["Service"]>): ObjectStore["Service"] =>
  ObjectStore.of({
    createIfMissing: true,
    sharedWithDex: false,
    holdsLeases: true,
    annotation,
    includesContent: true,
    describe: (id) => id,
    now: Effect.die("no time"),
    read: () => Effect.die("no read"),
    create: () => Effect.die("no creation"),
    compareAndSwap: () => Effect.die("no write"),
    remove: () => Effect.die("no removal"),
    dryRun: () => Effect.die("no dry run"),
    announce: () => Effect.void,
    watch: () => Stream.never,
    ...parts
  })

/** The answers of a store about one object, at a tick. */
export const answersOf = (store: ObjectStore["Service"], id: string, tick: number) => {
  const answer = (request: Effect.Effect<Answer, LockError.StoreError>): Answer =>
    runAt(
      tick,
      Effect.catch(request, (error) =>
        Effect.succeed<Answer>(error._tag === "LockNotFound" ? { _tag: "Missing", error } : { _tag: "Failed", error })
      )
    )
  return {
    read: () => answer(Effect.map(store.read(id), (snapshot): Answer => ({ _tag: "Found", snapshot }))),
    write: (write: ConditionalPatch) => answer(Effect.map(store.compareAndSwap(id, write), written)),
    create: (annotations: Readonly<Record<string, string>>) =>
      answer(Effect.map(store.create(id, annotations), written))
  }
}

const written = (answer: Option.Option<ObjectSnapshot>): Answer =>
  Option.isSome(answer) ? { _tag: "Written", snapshot: answer.value } : { _tag: "Refused" }

/** The protocol of sessions with one thing wrong, as a process sees its store of Leases. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ObjectSnapshot, ObjectStore } from "../../../src/ObjectStore.ts"

type Store = ObjectStore["Service"]

/** What is different in the store of Leases of a process. */
export type Mutation = (leases: Store) => Store

/** Takes the locks of a session that has expired, and does not fence it. */
export const withoutFence: Mutation = (leases) => ({
  ...leases,
  compareAndSwap: (id, patch) =>
    Effect.flatMap(leases.read(id), (found) =>
      isFence(patch) ? Effect.succeedSome({ ...found, uid: "ended" }) : leases.compareAndSwap(id, patch)
    )
})

/** Fences a session without comparing. */
export const withoutComparison: Mutation = (leases) => ({
  ...leases,
  compareAndSwap: (id, patch) =>
    leases.compareAndSwap(id, isFence(patch) ? { ...patch, expect: { annotations: {} } } : patch)
})

/** Takes every renewal for written: to the Lease as it is, or was when it was last seen. */
export const believing: Mutation = (leases) => {
  const last = new Map<string, ObjectSnapshot>()
  const note = (id: string) => (lease: ObjectSnapshot) => {
    last.set(id, lease)
    return lease
  }
  const noteWritten = (id: string) => Effect.map(Option.map(note(id)))
  const read: Store["read"] = (id) => Effect.map(leases.read(id), note(id))
  const believed = (id: string, { content = [] }: Patch) =>
    Effect.map(
      Effect.orElseSucceed(read(id), () => last.get(id)!),
      (found) => {
        const spec = Object.fromEntries(content.map(({ path, value }) => [path[1]!, value]))
        return Option.some({ ...found, content: { spec } })
      }
    )
  return {
    ...leases,
    read,
    create: (id, annotations, content) => noteWritten(id)(leases.create(id, annotations, content)),
    compareAndSwap: (id, patch) => {
      const written = noteWritten(id)(leases.compareAndSwap(id, patch))
      return isFence(patch)
        ? written
        : Effect.catch(
            Effect.flatMap(written, Option.match({ onNone: () => believed(id, patch), onSome: Effect.succeedSome })),
            () => believed(id, patch)
          )
    }
  }
}

type Patch = Parameters<Store["compareAndSwap"]>[1]

const isFence = (patch: Patch): boolean =>
  (patch.content ?? []).some(({ path, value }) => path[1] === "holderIdentity" && value === "")

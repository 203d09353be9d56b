/** The protocol of sessions with one thing wrong, as a process sees its store of Leases. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ObjectStore } from "../../../src/ObjectStore.ts"

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

/** Takes every renewal for written. */
export const believing: Mutation = (leases) => ({
  ...leases,
  compareAndSwap: (id, patch) => {
    const written = leases.compareAndSwap(id, patch)
    return isFence(patch)
      ? written
      : Effect.catch(
          Effect.flatMap(
            written,
            Option.match({ onNone: () => believed(leases, id, patch), onSome: Effect.succeedSome })
          ),
          () => believed(leases, id, patch)
        )
  }
})

type Patch = Parameters<Store["compareAndSwap"]>[1]

const believed = (leases: Store, id: string, patch: Patch) =>
  Effect.map(
    Effect.orElseSucceed(leases.read(id), () => ({ uid: "", resourceVersion: "1", annotations: {}, labels: {} })),
    (found) => {
      const spec = Object.fromEntries((patch.content ?? []).map(({ path, value }) => [path[1]!, value]))
      return Option.some({ ...found, content: { spec } })
    }
  )

const isFence = (patch: Patch): boolean =>
  (patch.content ?? []).some(({ path, value }) => path[1] === "holderIdentity" && value === "")

/** Before the upstream is asked: can its answer be written? An answer that cannot be written is lost. */
import * as Effect from "effect/Effect"
import type { Held } from "../../Held.ts"
import * as LockError from "../../LockError.ts"
import * as RefreshError from "../../RefreshError.ts"
import * as fieldPatches from "../protocol/fieldPatches.ts"
import { contentOf, type Deps, hasLease, mayPass } from "./deps.ts"
import * as Location from "./location.ts"

/** `Writable`, as far as can be told. `Changed`: the object, or its lock, is not as it was when the lock was acquired. */
export type Verdict =
  | { readonly _tag: "Writable" | "Changed" }
  | { readonly _tag: "Unavailable"; readonly error: LockError.StoreError }

/**
 * Asks the object whether it takes a new value, and if the last write of this process did not go well, or there was none, also the
 * server, by a dry run.
 */
export const check = Effect.fnUntraced(function* <A, E>(
  deps: Deps<A, E>,
  held: Held
): Effect.fn.Return<Verdict, RefreshError.NotWritable> {
  const { kind, knowledge, location, path, store } = deps
  const { id, snapshot } = held
  const object = store.describe(id)
  const content = contentOf(snapshot)
  const rejected = (detail: string) => new LockError.Rejected({ object, verb: "patch", status: 422, detail })
  const notWritable = (reason: LockError.StoreError) => new RefreshError.NotWritable({ id, object, reason })

  if (deps.isImmutable(content)) return yield* notWritable(rejected("the object says of itself that it is immutable"))
  if (knowledge.get(id)?.hasWritten === true) return { _tag: "Writable" }

  const patch = yield* location.rehearsal(content)
  const guarded = { expect: { annotations: { [kind.key]: true } }, annotations: {} }
  const answer = yield* Effect.result(store.dryRun(id, fieldPatches.into(guarded, [patch], content)))
  if (answer._tag === "Failure") {
    const error = answer.failure
    if (mayPass(error)) return { _tag: "Unavailable", error }
    if (error._tag === "LockNotFound" && error.missing === "object") return { _tag: "Changed" }
    return yield* notWritable(error)
  }
  switch (answer.success._tag) {
    case "Unknown":
      return { _tag: "Writable" }
    case "Accepted":
      if (!hasLease(deps, held, answer.success.snapshot)) return { _tag: "Changed" }
      if (fieldPatches.isApplied(answer.success.snapshot.content, patch)) return { _tag: "Writable" }
      return yield* notWritable(new LockError.Altered({ object, verb: "patch", field: Location.describe(path) }))
    case "Refused": {
      const found = yield* Effect.option(store.read(id))
      return found._tag === "Some" && found.value.resourceVersion === snapshot.resourceVersion
        ? yield* notWritable(rejected(`no object can be made on the way to ${Location.describe(path)}`))
        : { _tag: "Changed" }
    }
  }
})

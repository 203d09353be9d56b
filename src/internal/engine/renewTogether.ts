/** One write that renews a lease, and those that its process has beside it on the object. */
import * as Effect from "effect/Effect"
import type { AnnotationGuardedPatch, ObjectStore } from "../../ObjectStore.ts"
import type { Answer } from "../protocol/answer.ts"
import * as requests from "./requests.ts"

/** The renewal of a lease with the write of another one. `take` takes the answer if the write was applied. */
export interface RenewalBeside {
  readonly write: AnnotationGuardedPatch
  readonly take: (answer: Answer) => Effect.Effect<void>
}

/**
 * A lease that the write of another one can renew. `renewBeside` answers what that write does, which has no renewal of this lease if it is not
 * valid, or being written.
 */
export interface Beside {
  readonly renewBeside: <A>(write: (renewal: RenewalBeside | undefined) => Effect.Effect<A>) => Effect.Effect<A>
}

/** Writes the renewal of a lease, and of those beside it. If one of them has changed, the lease is renewed alone. */
export const write = (
  store: ObjectStore["Service"],
  id: string,
  own: AnnotationGuardedPatch,
  beside: ReadonlyArray<Beside>
): Effect.Effect<Answer> => {
  // No answer if there is nothing beside it, or one of them has changed.
  const writeWith = Effect.fnUntraced(function* (others: ReadonlyArray<RenewalBeside>) {
    if (others.length === 0) return undefined
    const answer = yield* requests.write(store, id, together([own, ...others.map(({ write }) => write)]))
    if (answer._tag === "Refused") return undefined
    if (answer._tag === "Written") for (const { take } of others) yield* take(answer)
    return answer
  })
  const collect = (
    [next, ...rest]: ReadonlyArray<Beside>,
    others: ReadonlyArray<RenewalBeside>
  ): Effect.Effect<Answer | undefined> =>
    next === undefined
      ? writeWith(others)
      : next.renewBeside((renewal) => collect(rest, renewal === undefined ? others : [...others, renewal]))
  return Effect.flatMap(collect(beside, []), (answer) =>
    answer === undefined ? requests.write(store, id, own) : Effect.succeed(answer)
  )
}

// All of them or none.
const together = (writes: ReadonlyArray<AnnotationGuardedPatch>): AnnotationGuardedPatch => ({
  expect: { annotations: Object.assign({}, ...writes.map(({ expect }) => expect.annotations)) },
  annotations: Object.assign({}, ...writes.map(({ annotations }) => annotations))
})

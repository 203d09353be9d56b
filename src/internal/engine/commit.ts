/** Performs a commit: the requests that the machine in `protocol/commit.ts` commands. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Lease } from "../../LockRecord.ts"
import type { FieldPatch, MetadataPatch, ObjectSnapshot } from "../../ObjectStore.ts"
import * as protocol from "../protocol/commit.ts"
import type { Outcome } from "../protocol/release.ts"
import type { Contender } from "./contender.ts"
import { requestOf } from "./release.ts"
import * as requests from "./requests.ts"
import * as retries from "./retries.ts"
import * as waitBudget from "./waitBudget.ts"

/**
 * How a commit ended: it was applied, or the lock is not ours any more and nothing was written, or it failed. A failure `inDoubt`
 * may have been applied, or may still be.
 */
export type Committed =
  | { readonly _tag: "Applied"; readonly outcome: Outcome | undefined }
  | Extract<protocol.Command, { readonly _tag: "Lost" | "Fail" }>

/** Writes content and annotations and releases the lease, both or nothing, by the object as last seen. */
export const commit = Effect.fnUntraced(function* (
  contender: Contender,
  lease: Lease,
  seen: ObjectSnapshot,
  inDoubt: boolean,
  content: ReadonlyArray<FieldPatch>,
  annotations: MetadataPatch | undefined
): Effect.fn.Return<Committed> {
  const { engine, id, settings } = contender
  const { store } = engine
  const self = { ...requestOf(contender, undefined), object: settings.describe(id), content, annotations }
  const budget = waitBudget.make(schedule)
  let [state, command] = protocol.begin(self, lease, seen, inDoubt, yield* requests.now(store))
  for (;;) {
    let event: protocol.Event
    switch (command._tag) {
      case "Done":
        return { _tag: "Applied", outcome: command.outcome }
      case "Lost":
      case "Fail":
        return command
      case "Write":
        event = yield* requests.write(store, id, command.write)
        break
      case "Read":
        event = yield* requests.read(store, id)
        break
      case "WriteLater": {
        const left = yield* budget.left(command.error)
        if (Option.isNone(left)) {
          return { _tag: "Fail", error: command.error, inDoubt: state.unanswered !== undefined, check: undefined }
        }
        yield* Effect.sleep(Duration.millis(left.value))
        event = { _tag: "Elapsed" }
      }
    }
    ;[state, command] = protocol.step(self, state, event, yield* requests.now(store))
  }
})

/** How long a commit goes on trying. Our choice. */
export const patience = Duration.seconds(30)

const schedule = retries.upTo(patience)

/** The machine of a commit (`src/internal/protocol/commit.ts`) in the world's numbers. */
import type { Answer } from "../../../src/internal/protocol/answer.ts"
import * as machine from "../../../src/internal/protocol/commit.ts"
import type { Outcome } from "../../../src/internal/protocol/release.ts"
import * as wire from "../wire.ts"
import type { Actor, Seen } from "../world.ts"
import { leaseOf, type Options, type Port, type Sent, type Step, unavailable, type WriteAnswer } from "./port.ts"
import { planOf } from "./release.ts"

/**
 * What a commit does next. `Unsettled`: it has failed, and if it is in doubt, nobody can tell whether it was applied. `Rejected`: the
 * server refuses it for good.
 */
export type Committed =
  | ({ readonly _tag: "Sends" } & Sent)
  | ({ readonly _tag: "Waits" } & Pick<Actor, "lease" | "unanswered">)
  | { readonly _tag: "Released"; readonly outcome: Outcome["_tag"] | undefined }
  | { readonly _tag: "Unsettled"; readonly inDoubt: boolean }
  | { readonly _tag: "Reads" | "Lost" | "Rejected" }

/** Makes the commits of a library. */
export const make = ({ neutral, sharedWithDex }: Options, port: Port) => {
  const selfOf = (index: number): machine.Commit => ({
    kind: wire.kindOf({ neutral }, index),
    holderId: wire.holderId(index),
    requeue: undefined,
    sharedWithDex,
    object: "object",
    content: [{ path: [contentField], value: wire.holderId(index) }]
  })

  const stateOf = (actor: Actor, index: number, request: machine.State["request"]): machine.State => ({
    request,
    lease: leaseOf(actor.lease, index),
    snapshot: { ...wire.snapshotOfQueue(actor.known!), content: {} },
    plan: planOf(actor),
    unanswered: actor.unanswered ? unavailable : undefined,
    failure: undefined,
    isMissing: false
  })

  const committed = ({ send }: Step, [state, command]: machine.Step): Committed => {
    switch (command._tag) {
      case "Write":
        return { _tag: "Sends", ...send(command.write) }
      case "Read":
        return { _tag: "Reads" }
      case "WriteLater": {
        const { lease, unanswered } = state
        return { _tag: "Waits", lease: wire.tickOf(lease.expiry), unanswered: unanswered !== undefined }
      }
      case "Done":
        return { _tag: "Released", outcome: command.outcome?._tag }
      case "Lost":
        return { _tag: "Lost" }
      case "Fail":
        return command.error._tag === "LockUnavailable"
          ? { _tag: "Unsettled", inDoubt: command.inDoubt }
          : { _tag: "Rejected" }
    }
  }

  const after = (index: number, step: Step, state: machine.State, event: machine.Event): Committed =>
    committed(step, machine.step(selfOf(index), state, event, step.now))

  return {
    /** A holder commits. */
    commit: (actor: Actor, index: number, uncertainty: number): Committed => {
      const step = port(index, uncertainty)
      const { lease, snapshot } = stateOf(actor, index, "Write")
      return committed(step, machine.begin(selfOf(index), lease, snapshot, actor.unanswered, step.now))
    },

    /** It commits again. */
    elapsed: (actor: Actor, index: number, uncertainty: number): Committed =>
      after(index, port(index, uncertainty), stateOf(actor, index, "Write"), { _tag: "Elapsed" }),

    /** The commit is answered. */
    committed: (actor: Actor, index: number, answer: WriteAnswer): Committed => {
      const step = port(index, 0)
      return after(index, step, stateOf(actor, index, "Write"), step.hear(answer, actor.seen, "commit"))
    },

    /** It reads the object after a refused commit. `last` is the contender whose commit was applied last. */
    found: (actor: Actor, index: number, seen: Seen | "lost", last: number): Committed => {
      const step = port(index, 0)
      return after(index, step, stateOf(actor, index, "Read"), withContent(step.read(seen), actor, index, seen, last))
    }
  }
}

// The version has changed unless lease and queue are as the commit expected them.
const withContent = (
  answer: Answer,
  { known, lease }: Actor,
  index: number,
  seen: Seen | "lost",
  last: number
): Answer => {
  if (answer._tag !== "Found" || seen === "lost") return answer
  const isUnchanged = seen.by === index && seen.lock === lease && wire.sameQueue(seen.queue, known!)
  const content = last === wire.nobody ? {} : { [contentField]: wire.holderId(last) }
  const resourceVersion = isUnchanged ? wire.version : `${wire.version}0`
  return { ...answer, snapshot: { ...answer.snapshot, resourceVersion, content } }
}

const contentField = "committed"

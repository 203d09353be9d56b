/** A contender whose commit is under way, or about to be sent again. */
import type { Committed } from "./library/commit.ts"
import { answerTo, type Move, to } from "./move.ts"
import { end, handOver, lost, spent, timesOf } from "./releasing.ts"
import { answered, request, sending } from "./requests.ts"
import { see } from "./world.ts"

/** It commits. */
export const beginCommit = (move: Move): void => {
  const { actor, index, rules } = move
  for (const uncertainty of timesOf(move)) {
    committed(move, rules.library.commit.commit(actor, index, uncertainty), uncertainty)
  }
}

/** What may happen to it. */
export const commit = (move: Move): void => {
  const { actor, index, rules } = move
  const { library } = rules
  if (actor.request === undefined) {
    for (const uncertainty of timesOf(move)) {
      committed(move, library.commit.elapsed(actor, index, uncertainty), uncertainty, "commits again")
    }
    return to(move, "gives up its commit", answered(actor, "Holding"))
  }
  const answer = answerTo(actor)
  if (answer !== undefined) committed(move, library.commit.committed(actor, index, answer), 0)
}

/** What a commit does next. `known` is the queue as it knows it then. */
export const committed = (
  move: Move,
  next: Committed,
  detail: number,
  name = "sends a commit",
  known = move.actor.known
): void => {
  const { actor } = move
  switch (next._tag) {
    case "Sends":
      return to(move, name, sending(actor, "Committing", request("commit", next)), undefined, detail)
    case "Waits": {
      const { lease, unanswered } = next
      return to(move, name, { ...answered(actor, "Committing"), lease, unanswered, known })
    }
    case "Released":
      if (next.outcome !== "Awaited") return end(move, "has committed", next.outcome, false)
      return handOver(move, "has committed", spent(actor), actor.seen!)
    case "Lost": {
      const violation = actor.hasCommitted ? "a commit that was applied is taken for lost" : undefined
      return to(move, "reads that the lock is gone", lost(actor), violation)
    }
    case "Unsettled":
      return to(move, "cannot tell what became of its commit", {
        ...answered(actor, "Holding"),
        unanswered: next.inDoubt
      })
    case "Rejected":
      return to(move, "fails to commit", lost(actor), "a commit was refused for no reason")
    case "Reads":
      return read(move)
  }
}

// It reads the object after a refused commit, or gets no answer to its read.
const read = (move: Move): void => {
  const { index, rules, world } = move
  const { found } = rules.library.commit
  const actor = answered(move.actor, "Committing")
  const next = { ...move, actor }
  const { queue } = world.annotations
  committed(next, found(actor, index, see(world), world.committed), 0, "reads that it may commit again", queue)
  committed(next, found(actor, index, "lost", world.committed), 0, "gets no answer to its read")
}

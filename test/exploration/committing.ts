/** A contender whose commit is under way, or about to be sent again. */
import type { Committed } from "./library/commit.ts"
import { answerTo, type Move, to } from "./move.ts"
import { end, handOver, lost, spent, timesOf } from "./releasing.ts"
import { answered, request, sending } from "./requests.ts"
import { see } from "./world.ts"

/** It commits. */
export const beginCommit = (move: Move): void => {
  const { actor, index, rules } = move
  for (const uncertainty of timesOf(actor)) {
    committed(move, rules.library.commit.commit(actor, index, uncertainty), uncertainty)
  }
}

/** What may happen to it. */
export const commit = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { library } = rules
  if (actor.request === undefined) {
    for (const uncertainty of timesOf(actor)) {
      committed(move, library.commit.elapsed(actor, index, uncertainty), uncertainty, "commits again")
    }
    return to(move, "gives up its commit", lost(actor))
  }
  const answer = answerTo(actor)
  if (answer === undefined) return
  const next = library.commit.committed(actor, index, answer)
  if (next._tag !== "Reads") return committed(move, next, 0)
  const reading = { ...move, actor: answered(actor, "Committing") }
  committed(
    reading,
    library.commit.found(actor, index, see(world), world.committed),
    0,
    "reads that it may commit again",
    world.annotations.queue
  )
  committed(reading, library.commit.found(actor, index, "lost", world.committed), 0, "gets no answer to its read")
}

/** What a commit does next. `known` is the queue as it knows it then. */
export const committed = (
  move: Move,
  next: Committed,
  detail: number,
  name = "sends a commit",
  known = move.actor.known
): void => {
  const { actor, index, world } = move
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
    case "Lost":
    case "Unsettled": {
      const isApplied = next._tag === "Lost" && world.committed === index
      const violation = isApplied ? "a commit that was applied is taken for lost" : undefined
      return to(move, "reads that the lock is gone", lost(actor), violation)
    }
    case "Rejected":
      return to(move, "fails to commit", lost(actor), "a commit was refused for no reason")
    case "Reads":
  }
}

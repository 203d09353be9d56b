/** A contender that has the lock: it renews its lease, hears that it has lost it, commits or gives it up. */
import { beginCommit } from "./committing.ts"
import type { Renewed } from "./library/holding.ts"
import { uncertainties } from "./library/port.ts"
import { answerTo, type Move, to } from "./move.ts"
import { giveUp, lost } from "./releasing.ts"
import { answered, request, sending } from "./requests.ts"
import { letGo, see, type Seen } from "./world.ts"

/** What may happen to it. */
export const hold = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { commits, library, renews } = rules
  switch (actor.stage) {
    case "Holding":
      if (renews && actor.left > 0) {
        for (const uncertainty of uncertainties) {
          const { written, ...sent } = library.holding.renew(actor, index, uncertainty)
          const next = { ...sending(actor, "Renewing", request("renew", sent)), written }
          to(move, "sends a renewal", next, undefined, uncertainty)
        }
      }
      if (commits) beginCommit(move)
      break
    case "Renewing": {
      const answer = answerTo(actor)
      if (answer !== undefined) renewed(move, library.holding.renewed(actor, index, answer))
      break
    }
    case "Refused":
      verified(move, see(world))
      verified(move, "lost")
  }
  if (actor.left === 0) to(move, "lets its lease run out", lost(letGo(actor)))
  giveUp(move)
}

/** What it makes of the answer to a renewal. */
export const renewed = (move: Move, { next, ...known }: Renewed): void => {
  const { actor } = move
  switch (next) {
    case "Renewed":
      return to(move, "has renewed", {
        ...answered(actor, "Holding"),
        ...known,
        known: actor.seen?.queue ?? actor.known
      })
    case "Read":
      return to(move, "finds its renewal refused", answered(actor, "Refused"))
    case "Retry":
      return to(move, "renews again later", answered(actor, "Holding"))
    case "Lost":
      return to(move, "loses the lock", lost(answered(actor, "Lost")))
  }
}

const verified = (move: Move, seen: Seen | "lost"): void => {
  const { actor, index, rules } = move
  const { next, ...known } = rules.library.holding.verified(actor, index, seen)
  if (next === "Lost") return to(move, "reads that the lock is lost", lost(actor))
  if (seen === "lost") return to(move, "gets no answer to its read", { ...actor, stage: "Holding" })
  const violation = actor.robbed > 0 ? "a renewal after the loss did not notice it" : undefined
  to(
    move,
    "reads that the lock is still its own",
    { ...actor, ...known, stage: "Holding", known: seen.queue },
    violation
  )
}

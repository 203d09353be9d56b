/** A contender that wants the lock: what happens to its acquisition, and what it does next. */
import type { Acquired } from "./library/acquisition.ts"
import type { Library } from "./library/library.ts"
import { uncertainties } from "./library/port.ts"
import { answerTo, type Move, to } from "./move.ts"
import { answered, request, sending } from "./requests.ts"
import { tokenIsNoGreater } from "./rules.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, letGo, see } from "./world.ts"

/** What may happen to it. */
export const seek = (move: Move): void => {
  const { actor, index, rules } = move
  const { library } = rules
  const answer = answerTo(actor)
  switch (actor.stage) {
    case "Beginning":
      for (const uncertainty of uncertainties)
        acquired(move, library.acquisition.begun(actor, index, uncertainty), uncertainty)
      break
    case "Idle":
      reads(move)
      if (actor.watched !== undefined) {
        to(move, "sees by a watch that the lock is its own", {
          ...actor,
          stage: "Read",
          seen: actor.watched,
          watched: undefined
        })
      }
      break
    case "Read":
      for (const uncertainty of uncertainties) {
        const found = library.acquisition.found(actor, index, uncertainty)
        acquired(move, found, uncertainty)
        const changed = library.acquisition.changed(actor, index, uncertainty)
        if (differ(found, changed)) acquired(move, changed, uncertainty + 1)
      }
      break
    case "BackingOff":
      acquired(move, library.acquisition.elapsed(actor, index), 0)
      break
    case "Joining":
      if (answer !== undefined) {
        for (const uncertainty of answer === "done" ? uncertainties : [0]) {
          acquired(move, library.acquisition.joined(actor, index, answer, uncertainty), uncertainty)
        }
      }
      break
    case "Acquiring":
      if (answer !== undefined) {
        library.acquisition.acquired(actor, index, answer).forEach((next, detail) => acquired(move, next, detail))
      }
  }
  if (actor.stage === "Idle" || actor.stage === "BackingOff") {
    acquired(move, library.acquisition.exhausted(actor, index), 0)
  } else {
    to(move, "is interrupted", cutOff(actor, index, library, true))
    if (actor.request?.answer === "none")
      to(move, "is interrupted before it sends", cutOff(actor, index, library, false))
  }
}

// It reads once its wait is over, or at once. A watch event from before is old news then: the machine ignores older versions.
const reads = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { hasYielded, mayQueue, unanswered } = rules.library.acquisition.elapsed(actor, index)
  to(move, "reads", { ...actor, hasYielded, mayQueue, unanswered, stage: "Read", seen: see(world), watched: undefined })
}

// Most of what a watch brings comes to the same as a reading.
const differ = (a: Acquired, b: Acquired): boolean => a._tag !== b._tag || a.hasYielded !== b.hasYielded

/** What an acquisition does next. */
export const acquired = (move: Move, next: Acquired, detail: number): void => {
  const { actor, index } = move
  const { hasYielded, mayQueue, unanswered } = next
  const seen = actor.seen
  const known: Actor = { ...answered(actor, "Idle"), hasYielded, mayQueue, unanswered }
  const isOwn = seen !== undefined && seen.owner === index && seen.lock !== wire.absent
  switch (next._tag) {
    case "Waits": {
      const violation = isOwn && actor.stage !== "Acquiring" ? "a contender waits out a lock of its own" : undefined
      return to(move, waitName(actor), known, violation, detail)
    }
    case "BacksOff":
      return to(move, "has lost the race and backs off", { ...known, stage: "BackingOff" }, undefined, detail)
    case "Acquires": {
      const write = request("acquire", next, seen!.current)
      return to(move, "sends an acquiring write", sending(known, "Acquiring", write), undefined, detail)
    }
    case "Joins": {
      const write = request("join", next)
      return to(move, "joins the queue", sending(known, "Joining", write), undefined, detail)
    }
    case "Succeeds":
      return succeed(move, next, detail)
    case "Fails":
      return to(
        move,
        actor.stage === "Read" ? "fails" : "gives up waiting",
        withdrawn(actor, unanswered || mayQueue),
        undefined,
        detail
      )
  }
}

const waitName = ({ request, stage }: Actor): string => {
  if (stage === "Acquiring") return "has lost the race and reads again"
  if (stage !== "Joining") return "waits"
  return request?.answer === "refused" ? "finds no holder to queue behind" : "waits in the queue"
}

const succeed = (
  move: Move,
  { lease, left }: Extract<Acquired, { readonly _tag: "Succeeds" }>,
  detail: number
): void => {
  const { actor, index, world } = move
  const seen = actor.seen!
  const holder: Actor = {
    ...answered(actor, "Holding"),
    unanswered: false,
    mayQueue: false,
    hasYielded: false,
    lease,
    left,
    watched: undefined,
    known: seen.queue
  }
  if (actor.stage === "Acquiring") return to(move, "is granted the lock", holder, undefined, detail)
  const isPresent = seen.current && world.owner === index
  const isOutdone = seen.current && world.actors.some(({ token }, at) => at !== index && token === 2)
  const claimed: Actor = { ...holder, token: seen.current ? 2 : 1, robbed: isPresent ? 0 : actor.robbed }
  to(move, "claims the lock", claimed, isOutdone ? tokenIsNoGreater : undefined, detail)
}

const cutOff = (actor: Actor, index: number, library: Library, isSent: boolean): Actor => {
  const { held, queued } = library.acquisition.cutOff(actor, index, isSent)
  return withdrawn(isSent ? letGo(actor) : { ...actor, request: undefined }, held || queued)
}

// An acquisition has failed. It withdraws if it may have the lock or stand in the queue.
const withdrawn = (actor: Actor, isInDoubt: boolean): Actor =>
  isInDoubt
    ? {
        ...answered(actor, "Removing"),
        unanswered: false,
        mayQueue: false,
        hasYielded: false,
        robbed: 0,
        watched: undefined
      }
    : ended(actor, "Done")

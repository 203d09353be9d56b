/** A contender that gives up: a lease, a lock that is free and awaited, or whatever may be its own. */
import { uncertainties } from "./library/port.ts"
import type { Released } from "./library/release.ts"
import { answerTo, type Move, to } from "./move.ts"
import { answered, request, sending } from "./requests.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, letGo, type Release, see, type Seen, withActor } from "./world.ts"

/** A contender that has lost the lock, or does not know whether it has. It does not rely on the lock any more. */
export const lost = (actor: Actor): Actor => ({
  ...answered(actor, "Lost"),
  unanswered: false,
  hasCommitted: false,
  written: 0,
  left: 0,
  robbed: 0
})

/** How uncertain a releaser may be of the time. If nobody waits, releases at different times come to the same. */
export const timesOf = (move: Move): ReadonlyArray<number> => (isAwaited(move) ? uncertainties : [0])

const isAwaited = ({ actor, index, rules }: Move): boolean => rules.library.holding.isAwaited(actor, index)

/** Gives up a lease. A contender of the same process may ask for a place in the queue with the same write, if others wait. */
export const giveUp = (move: Move): void => {
  const { actor, index, rules } = move
  const times = timesOf(move)
  const knowsWaiters = isAwaited(move)
  for (const release of releasesOf(actor, knowsWaiters ? "known" : "afterwards", knowsWaiters)) {
    for (const uncertainty of times) {
      const releaser: Actor = { ...letGo(actor), release }
      const next = rules.library.release.release(releaser, index, uncertainty)
      released({ ...move, actor: releaser }, "", next, uncertainty + (release.requeues ? 1 : 0))
    }
  }
}

const releasesOf = ({ next }: Actor, handsOver: Release["handsOver"], mayRequeue: boolean): ReadonlyArray<Release> =>
  (mayRequeue && next !== wire.nobody ? [false, true] : [false]).map((requeues) => ({ handsOver, requeues }))

/** What may happen to it. */
export const release = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { library } = rules
  if (actor.stage === "Removing") {
    const seen = see(world)
    for (const uncertainty of uncertainties) {
      const next = library.release.found(actor, index, seen, uncertainty)
      released({ ...move, actor: { ...actor, seen } }, "reads what is left of its own", next, uncertainty)
    }
    return
  }
  const answer = answerTo(actor)
  if (answer === undefined) return
  const name = wording[actor.stage as keyof typeof wording][answer]
  for (const uncertainty of answer === "done" ? uncertainties : [0]) {
    released(move, name, library.release.released(actor, index, answer, uncertainty), uncertainty)
  }
}

const wording = {
  Releasing: { done: "has released", refused: "finds its release refused" },
  Leaving: { done: "has left the queue", refused: "finds that the queue has changed" },
  Settling: { done: "has taken the lock that it gave up", refused: "finds that the object has changed" }
} as const

/** What a release does next, after what just happened. */
export const released = (move: Move, happened: string, next: Released, detail: number): void => {
  const { actor } = move
  const seen = actor.seen
  switch (next._tag) {
    case "Reads":
      return to(move, happened, { ...answered(actor, "Removing"), ...noLease }, undefined, detail)
    case "Settles": {
      const settling = sending(actor, "Settling", next.write)
      return to(move, `${happened} and settles its write`, settling, undefined, detail)
    }
    case "Leaves": {
      const write = request("leave", next)
      return to(move, `${happened} and leaves the queue`, sending(actor, "Leaving", write), undefined, detail)
    }
    case "Releases": {
      const name = happened === "" ? "sends its release" : `${happened} and sends its release`
      return send(move, name, sending(spent(actor), "Releasing", request("release", next)), next.requeues, detail)
    }
    case "HandsOver": {
      const write = request("handOver", next, seen!.current)
      return send(
        move,
        `${happened} and hands over the lock`,
        sending(spent(actor), "Releasing", write),
        next.requeues,
        detail
      )
    }
    case "Ends":
      return next.outcome === "Awaited" && actor.release.handsOver === "afterwards"
        ? handOver(move, happened, actor, seen!)
        : end(move, happened, next.outcome, next.isRequeued, detail)
  }
}

/** Hands over a lock that has been released, and that others wait for. */
export const handOver = (move: Move, happened: string, actor: Actor, free: Seen): void => {
  for (const release of releasesOf(actor, "atOnce", actor.stage !== "Committing")) {
    const releaser: Actor = { ...actor, release }
    for (const uncertainty of uncertainties) {
      const next = move.rules.library.release.handOver(releaser, move.index, free, uncertainty)
      released({ ...move, actor: releaser }, happened, next, uncertainty + (release.requeues ? 1 : 0))
    }
  }
}

// Sends a write. The next contender of the process may be in the queue then, if it asks for a place there.
const send = ({ emit, index, world }: Move, name: string, actor: Actor, requeues: boolean, detail: number): void => {
  const next = withActor(world, index, actor)
  const queued = { ...world.actors[actor.next]!, mayQueue: true }
  emit({ name, index, detail }, requeues ? withActor(next, actor.next, queued) : next)
}

/** The release has ended. The next contender of the process begins with what is known. */
export const end = (
  move: Move,
  name: string,
  outcome: Extract<Released, { readonly _tag: "Ends" }>["outcome"] | undefined,
  isRequeued: boolean,
  detail = 0
): void => {
  const { actor } = move
  const start = isRequeued || outcome === "Freed" ? actor.seen : undefined
  to(move, name, ended(answered(actor, "Removing"), "Done"), undefined, detail, start)
}

const noLease = { lease: 0, written: 0, left: 0, robbed: 0, known: undefined }

/** A contender that relies on its lease no more. */
export const spent = (actor: Actor): Actor => ({ ...actor, ...noLease, unanswered: false, hasCommitted: false })

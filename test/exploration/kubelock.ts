/** What happens to a contender of kubelock, and what it does next: by the library's own machines. */
import {
  type Acquired,
  type Committed,
  type Library,
  type Released,
  type Renewed,
  uncertainties,
  type WriteAnswer
} from "./library.ts"
import { answered, request, sending } from "./requests.ts"
import { type Emit, type Rules, tokenIsNoGreater } from "./rules.ts"
import * as wire from "./wire.ts"
import { type Actor, ended, letGo, type Release, see, type Seen, withActor, type World } from "./world.ts"

/** A contender at its move, and where to tell what it leads to. */
interface Move {
  readonly world: World
  readonly index: number
  readonly actor: Actor
  readonly rules: Rules
  readonly emit: Emit
}

/** What it may do next. */
export const steps = (world: World, index: number, rules: Rules, emit: Emit): void => {
  const move: Move = { world, index, actor: world.actors[index]!, rules, emit }
  switch (move.actor.stage) {
    case "Beginning":
    case "Idle":
    case "Read":
    case "BackingOff":
    case "Joining":
    case "Acquiring":
      return seek(move)
    case "Holding":
    case "Renewing":
    case "Refused":
      return hold(move)
    case "Committing":
      return commit(move)
    case "Lost":
      return giveUp(move)
    case "Releasing":
    case "Leaving":
    case "Removing":
      return release(move)
    case "Local":
    case "Done":
    case "Crashed":
  }
}

const to = (
  { emit, index, world }: Move,
  name: string,
  actor: Actor,
  violation?: string,
  detail = 0,
  start?: Seen
): void => emit({ name, index, detail }, withActor(world, index, actor, start), violation)

// The answer to the request under way; nothing if there is none yet.
const answerTo = ({ request }: Actor): Exclude<WriteAnswer, "lost"> | undefined =>
  request === undefined || request.answer === "none" ? undefined : request.answer

// A contender that wants the lock.
const seek = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { library } = rules
  const answer = answerTo(actor)
  switch (actor.stage) {
    case "Beginning":
      for (const uncertainty of uncertainties) acquired(move, library.begun(actor, index, uncertainty), uncertainty)
      break
    case "Idle":
      to(move, "reads", { ...actor, stage: "Read", seen: see(world) })
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
        const found = library.found(actor, index, "Found", uncertainty)
        acquired(move, found, uncertainty)
        const changed = library.found(actor, index, "Changed", uncertainty)
        if (differ(found, changed)) acquired(move, changed, uncertainty + 1)
      }
      break
    case "BackingOff":
      acquired(move, library.backedOff(actor, index), 0)
      break
    case "Joining":
      if (answer !== undefined) {
        for (const uncertainty of answer === "done" ? uncertainties : [0]) {
          acquired(move, library.joined(actor, index, answer, uncertainty), uncertainty)
        }
      }
      break
    case "Acquiring":
      if (answer !== undefined) {
        library.acquired(actor, index, answer).forEach((next, detail) => acquired(move, next, detail))
      }
  }
  if (actor.request === undefined) to(move, "gives up waiting", cutOff(actor, index, library, true))
  else {
    to(move, "is interrupted", cutOff(actor, index, library, true))
    if (actor.request.answer === "none")
      to(move, "is interrupted before it sends", cutOff(actor, index, library, false))
  }
}

// Most of what a watch brings comes to the same as a reading.
const differ = (a: Acquired, b: Acquired): boolean => a._tag !== b._tag || a.hasYielded !== b.hasYielded

// What an acquisition does next.
const acquired = (move: Move, next: Acquired, detail: number): void => {
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
      return to(move, "fails", withdrawn(actor, unanswered || mayQueue), undefined, detail)
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
  const { held, queued } = library.cutOff(actor, index, isSent)
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

// A contender that has the lock.
const hold = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { commits, library, renews } = rules
  switch (actor.stage) {
    case "Holding":
      if (renews && actor.left > 0) {
        for (const uncertainty of uncertainties) {
          const { written, ...sent } = library.renew(actor, index, uncertainty)
          const next = { ...sending(actor, "Renewing", request("renew", sent)), written }
          to(move, "sends a renewal", next, undefined, uncertainty)
        }
      }
      if (commits) {
        for (const uncertainty of timesOf(actor))
          committed(move, library.commit(actor, index, uncertainty), uncertainty)
      }
      break
    case "Renewing": {
      const answer = answerTo(actor)
      if (answer !== undefined) renewed(move, library.renewed(actor, index, answer))
      break
    }
    case "Refused":
      verified(move, see(world))
      verified(move, "lost")
  }
  if (actor.left === 0) to(move, "lets its lease run out", lost(letGo(actor)))
  giveUp(move)
}

const renewed = (move: Move, { next, ...known }: Renewed): void => {
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
  const { next, ...known } = rules.library.verified(actor, index, seen)
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

// A contender that knows that it has lost the lock, or that nobody can tell whether it has.
const lost = (actor: Actor): Actor => ({
  ...answered(actor, "Lost"),
  unanswered: false,
  written: 0,
  left: 0,
  robbed: 0
})

// If nobody is to be handed the lock, releases at different times come to the same.
const timesOf = ({ known }: Actor): ReadonlyArray<number> =>
  wire.waitingIn({ ...freeLock, queue: known! }).length > 0 ? uncertainties : [0]

const freeLock: wire.Annotations = {
  lock: wire.absent,
  by: wire.nobody,
  byUntil: 0,
  foreign: 0,
  queue: wire.emptyQueue
}

// A commit under way, or about to be sent again.
const commit = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { library } = rules
  if (actor.request === undefined) {
    for (const uncertainty of timesOf(actor)) {
      committed(move, library.commitAgain(actor, index, uncertainty), uncertainty, "commits again")
    }
    return to(move, "gives up its commit", lost(actor))
  }
  const answer = answerTo(actor)
  if (answer === undefined) return
  const next = library.committed(actor, index, answer)
  if (next._tag !== "Reads") return committed(move, next, 0)
  const reading = { ...move, actor: answered(actor, "Committing") }
  committed(
    reading,
    library.commitVerified(actor, index, see(world), world.committed),
    0,
    "reads that it may commit again",
    world.annotations.queue
  )
  committed(reading, library.commitVerified(actor, index, "lost", world.committed), 0, "gets no answer to its read")
}

const committed = (
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
      return passOn(move, "has committed", spent(actor), actor.seen!)
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

// Gives up a lease. A contender of the same process may ask for a place in the queue with the same write, if others wait.
const giveUp = (move: Move): void => {
  const { actor, index, rules } = move
  const times = timesOf(actor)
  const isAwaited = times.length > 1
  for (const release of releasesOf(actor, isAwaited ? "known" : "afterwards", isAwaited)) {
    for (const uncertainty of times) {
      const releaser: Actor = { ...letGo(actor), release }
      const next = rules.library.release(releaser, index, uncertainty)
      released({ ...move, actor: releaser }, "", next, uncertainty + (release.requeues ? 1 : 0))
    }
  }
}

const releasesOf = ({ next }: Actor, handsOver: Release["handsOver"], mayRequeue: boolean): ReadonlyArray<Release> =>
  (mayRequeue && next !== wire.nobody ? [false, true] : [false]).map((requeues) => ({ handsOver, requeues }))

// A release under way.
const release = (move: Move): void => {
  const { actor, index, rules, world } = move
  const { library } = rules
  if (actor.stage === "Removing") {
    const seen = see(world)
    for (const uncertainty of uncertainties) {
      const next = library.looked(actor, index, seen, uncertainty)
      released({ ...move, actor: { ...actor, seen } }, "reads what is left of its own", next, uncertainty)
    }
    return
  }
  const answer = answerTo(actor)
  if (answer === undefined) return
  const name =
    answer === "refused"
      ? actor.stage === "Leaving"
        ? "finds that the queue has changed"
        : "finds its release refused"
      : actor.stage === "Leaving"
        ? "has left the queue"
        : "has released"
  for (const uncertainty of answer === "done" ? uncertainties : [0]) {
    released(move, name, library.released(actor, index, answer, uncertainty), uncertainty)
  }
}

// What a release does next, after what just happened.
const released = (move: Move, happened: string, next: Released, detail: number): void => {
  const { actor } = move
  const seen = actor.seen
  switch (next._tag) {
    case "Reads":
      return to(move, happened, { ...answered(actor, "Removing"), ...noLease }, undefined, detail)
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
        ? passOn(move, happened, actor, seen!)
        : end(move, happened, next.outcome, next.isRequeued, detail)
  }
}

// Hands over a lock that is free once it has been released.
const passOn = (move: Move, happened: string, actor: Actor, free: Seen): void => {
  for (const release of releasesOf(actor, "atOnce", actor.stage !== "Committing")) {
    const releaser: Actor = { ...actor, release }
    for (const uncertainty of uncertainties) {
      const next = move.rules.library.handOver(releaser, move.index, free, uncertainty)
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

// The release has ended. The next contender of the process begins with what is known.
const end = (
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

// Its lease is no longer relied on.
const spent = (actor: Actor): Actor => ({ ...actor, ...noLease, unanswered: false })

/** What it makes of a write whose answer does not come. `isLost`: the server will never receive the write. */
export const unanswered = (world: World, index: number, isLost: boolean, rules: Rules, emit: Emit): void => {
  const actor = world.actors[index]!
  const { library } = rules
  const gone: Actor = { ...(isLost ? { ...actor, request: undefined, seen: undefined } : letGo(actor)), sent: 0 }
  const move: Move = { world, index, actor: gone, rules, emit }
  switch (actor.stage) {
    case "Acquiring":
      return library.acquired(actor, index, "lost").forEach((next) => acquired(move, next, 0))
    case "Joining":
      return acquired(move, library.joined(actor, index, "lost", 0), 0)
    case "Renewing":
      return renewed(move, library.renewed(actor, index, "lost"))
    case "Committing":
      return committed(move, library.committed(actor, index, "lost"), 0)
    case "Releasing":
    case "Leaving":
      return released(move, "", library.released(actor, index, "lost", 0), 0)
  }
}

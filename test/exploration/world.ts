/**
 * A state of the small world: one object, its contenders, and every request under way.
 *
 * Of resourceVersions one thing matters: is it still the current one? It never comes back, so a version is `current` or it is not.
 */
import { type Condition, conditionEarlier, type Patch, patchEarlier } from "./patch.ts"
import { absent, type Annotations, emptyQueue, nobody, type Queue, queueEarlier } from "./wire.ts"

/**
 * The TTL in ticks. A lease is relied on for the tick in which it was sent and the next, and has expired three ticks on. That a
 * holder relies on it for a little less than the TTL (`clockReading.safetyMargin`) makes no difference in whole ticks.
 */
export const ttl = 2

/** The kinds of contenders. An operator breaks the lock once. */
export const kinds = ["kubelock", "dex", "operator"] as const
export type Kind = (typeof kinds)[number]

/**
 * What a contender is doing.
 *
 * - `Beginning`: it is its move, with the object in hand that its predecessor in the local queue knew.
 * - `Idle`: it seeks the lock and waits, in the queue or not. It may read the object at any time.
 * - `Read`: it has the object in hand, from an answer or a watch.
 * - `BackingOff`: it is about to join the queue.
 * - `Acquiring`, `Joining`, `Renewing`, `Releasing`, `Leaving`: such a write is under way.
 * - `Committing`: a commit is under way, or about to be sent again.
 * - `Refused`: it reads the object after a renewal whose precondition did not hold.
 * - `Lost`: it had the lock and does not rely on it any more. It has yet to release it.
 * - `Removing`: it reads what is left of its own.
 * - `Settling`: it sends again the acquiring write that was cut off, so that the first one cannot be applied later.
 * - `Local`: it waits in the local queue of its process.
 */
export const stages = [
  "Idle",
  "Read",
  "Acquiring",
  "Holding",
  "Renewing",
  "Refused",
  "Committing",
  "Lost",
  "Releasing",
  "Removing",
  "Done",
  "Crashed",
  "Local",
  "Joining",
  "Leaving",
  "BackingOff",
  "Beginning",
  "Settling"
] as const
export type Stage = (typeof stages)[number]

/** The kinds of writes. `release` gives up a lock that its sender has, `handOver` hands on a lock that is free. */
export const writes = ["acquire", "renew", "release", "handOver", "join", "leave", "commit"] as const
export const answers = ["none", "done", "refused"] as const

/**
 * A write under way. `answer` is there once the server has worked on it. `current`: the version that it expects is still the
 * object's. `target`: the holder whose lock an operator or a Dex means to remove.
 */
export interface Request {
  readonly write: (typeof writes)[number]
  readonly condition: Condition
  readonly patch: Patch
  readonly current: boolean
  readonly target: number
  readonly answer: (typeof answers)[number]
}

/** The object as it was read. `owner` is the contender that truly has the lock. */
export interface Seen extends Annotations {
  readonly owner: number
  readonly current: boolean
}

/**
 * What a release does about waiters that it did not know of: nothing, since the releaser knew of others (`known`); it hands
 * over the free lock once it has been released (`afterwards`); or it hands over at once (`atOnce`).
 */
export const handOvers = ["known", "afterwards", "atOnce"] as const

/** A release under way. `requeues`: it asks for a place in the queue for the next contender of its process. */
export interface Release {
  readonly handsOver: (typeof handOvers)[number]
  readonly requeues: boolean
}

/**
 * A contender.
 *
 * - `unanswered`: a write that takes the lock, or that commits, got no answer. It may have been applied, or may still be. A holder
 *   whose commit it was is in doubt until a renewal settles it.
 * - `hasCommitted`: its commit was applied, whether it knows or not.
 * - `mayQueue`: it may be in the queue.
 * - `hasYielded`: it left the free lock to others.
 * - `lease`, `written`: the expiry of its lease, and a bit for each other expiry that this hold may have written (`writtenBit`).
 * - `left`: for how many ticks it goes on relying on its lease.
 * - `sent`: ticks since the write under way was sent. From the TTL on they are all the same.
 * - `token`: the fencing token: 0 none, 1 an older version, 2 the current version.
 * - `robbed`: 0, or one more than the ticks that were left of its lock when an operator, a Dex or a stranger took it. For that long
 *   it may go on relying on it.
 * - `limbo`: writes given up on, which the server may still receive.
 * - `seen`: the object as last read, or as the answer to its write shows it.
 * - `watched`: the object as a watch brings it, sooner or later: from the moment in which the contender became its holder.
 * - `known`: the queue as the holder saw it last.
 * - `next`: the contender that waits in the local queue of the same process.
 */
export interface Actor {
  readonly kind: Kind
  readonly stage: Stage
  readonly unanswered: boolean
  readonly hasCommitted: boolean
  readonly mayQueue: boolean
  readonly hasYielded: boolean
  readonly release: Release
  readonly lease: number
  readonly written: number
  readonly left: number
  readonly sent: number
  readonly token: number
  readonly robbed: number
  readonly request: Request | undefined
  readonly limbo: ReadonlyArray<Request>
  readonly seen: Seen | undefined
  readonly watched: Seen | undefined
  readonly known: Queue | undefined
  readonly next: number
}

/**
 * The world.
 *
 * - `owner`: the contender that truly has the lock: the one that wrote it, or the one that it was handed to.
 * - `late`: nobody is to blame for a lock left behind. It was handed to a contender that had been put into the queue behind its back.
 * - `litter`: a bit for each contender that was put into the queue behind its back, by a late write of its own or by a vandal.
 * - `committed`: the contender whose commit was applied last.
 * - `strangers`, `scribbles`, `vandals`: how often strangers may still change the object, write what is no time into the lock,
 *   and meddle with the queue.
 */
export interface World {
  readonly annotations: Annotations
  readonly owner: number
  readonly late: boolean
  readonly litter: number
  readonly committed: number
  readonly strangers: number
  readonly scribbles: number
  readonly vandals: number
  readonly actors: ReadonlyArray<Actor>
}

/**
 * The contenders, and what else may happen. `again` is a contender of the same process as the one before it. `neutral` is a kubelock with
 * the neutral key. It comes after all others.
 */
export interface Cast {
  readonly actors: ReadonlyArray<Kind | "again" | "neutral">
  readonly strangers?: number
  readonly scribbles?: number
  readonly vandals?: number
}

/** What most releases are. */
export const handsOverAtOnce: Release = { handsOver: "atOnce", requeues: false }

const idle = (kind: Kind): Actor => ({
  kind,
  stage: "Idle",
  unanswered: false,
  hasCommitted: false,
  mayQueue: false,
  hasYielded: false,
  release: handsOverAtOnce,
  lease: 0,
  written: 0,
  left: 0,
  sent: 0,
  token: 0,
  robbed: 0,
  request: undefined,
  limbo: [],
  seen: undefined,
  watched: undefined,
  known: undefined,
  next: nobody
})

/** A bit for each contender that has the neutral key. */
export const neutralOf = ({ actors }: Cast): number =>
  actors.reduce((bits, kind, index) => (kind === "neutral" ? bits | (1 << index) : bits), 0)

/** A free lock on an object that a stranger has annotated too. */
export const begin = (cast: Cast): World => ({
  annotations: { lock: absent, by: nobody, byUntil: 0, foreign: 1, queue: { ...emptyQueue, neutral: neutralOf(cast) } },
  owner: nobody,
  late: false,
  litter: 0,
  committed: nobody,
  strangers: cast.strangers ?? 0,
  scribbles: cast.scribbles ?? 0,
  vandals: cast.vandals ?? 0,
  actors: cast.actors.map((kind, index) => ({
    ...idle(kind === "again" || kind === "neutral" ? "kubelock" : kind),
    stage: kind === "again" ? "Local" : "Idle",
    next: cast.actors[index + 1] === "again" ? index + 1 : nobody
  }))
})

/**
 * The world with another actor in the place of one. If it has no lock any more, and seeks none, the next of its process begins:
 * with `start` in hand, if its predecessor knows the object.
 */
export const withActor = (world: World, index: number, actor: Actor, start?: Seen): World => {
  const actors = world.actors.slice()
  actors[index] = actor
  const next = actors[actor.next]
  if (next?.stage !== "Local") return { ...world, actors }
  const hasGivenUp = actor.stage === "Removing" && seeks(world.actors[index]!.stage)
  if (hasGivenUp || actor.stage === "Done" || actor.stage === "Crashed") {
    actors[index] = { ...actor, next: nobody }
    actors[actor.next] =
      actor.stage === "Crashed"
        ? ended(next, "Crashed")
        : { ...next, stage: start === undefined ? "Idle" : "Beginning", seen: start }
  }
  return { ...world, actors }
}

/** A contender that does nothing any more. Only its token and its requests are remembered. */
export const ended = (actor: Actor, stage: "Done" | "Crashed"): Actor => ({
  ...idle(actor.kind),
  stage,
  token: actor.token,
  limbo: actor.limbo,
  next: actor.next
})

/** How many writes without an answer of one contender are followed at a time. */
export const maxLimbo = 2

/** The actor without its request. If the server has not received it yet, it may receive it later. */
export const letGo = (actor: Actor): Actor => {
  const { limbo, request } = actor
  if (request === undefined) return actor
  const lingers =
    request.answer === "none" && limbo.length < maxLimbo && (!request.condition.version || request.current)
  return { ...actor, request: undefined, seen: undefined, limbo: lingers ? [...limbo, request] : limbo }
}

/** The acquiring write of an acquisition that was given up, if the server may still apply it. */
export const pendingOf = ({ limbo }: Actor): Request | undefined => limbo.find(({ write }) => write === "acquire")

/** One tick on: every time that is written comes nearer. */
export const tick = (world: World): World => ({
  ...world,
  annotations: earlier(world.annotations),
  actors: world.actors.map((actor) => ({
    ...actor,
    lease: holds(actor.stage) || actor.stage === "Lost" ? actor.lease - 1 : 0,
    written: actor.written >> 1,
    left: Math.max(0, actor.left - 1),
    sent: actor.request === undefined ? 0 : Math.min(ttl, actor.sent + 1),
    robbed: actor.robbed > 1 ? actor.robbed - 1 : holds(actor.stage) ? actor.robbed : 0,
    request: actor.request === undefined ? undefined : requestEarlier(actor.request),
    limbo: actor.limbo.map(requestEarlier),
    seen: actor.seen === undefined ? undefined : seenEarlier(actor.seen),
    watched: actor.watched === undefined || actor.watched.lock <= 1 ? undefined : seenEarlier(actor.watched),
    known: actor.known === undefined ? undefined : queueEarlier(actor.known)
  }))
})

const firstWritten = -4

/** The bit of an expiry in `written`. Expiries long past do not matter. */
export const writtenBit = (tick: number): number => (tick < firstWritten ? 0 : 1 << (tick - firstWritten))

/** The expiries in `written`. */
export const writtenTicks = (written: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let bit = 0; written >> bit > 0; bit++) if ((written >> bit) & 1) found.push(bit + firstWritten)
  return found
}

/** Whether a contender holds a lease that, as far as it knows, stands. */
export const holds = (stage: Stage): boolean =>
  stage === "Holding" || stage === "Renewing" || stage === "Refused" || stage === "Committing"

/** Whether a contender still wants the lock. */
export const seeks = (stage: Stage): boolean =>
  stage === "Beginning" ||
  stage === "Idle" ||
  stage === "Read" ||
  stage === "BackingOff" ||
  stage === "Joining" ||
  stage === "Acquiring"

const earlier = ({ by, byUntil, foreign, lock, queue }: Annotations): Annotations => ({
  lock: lock <= absent ? lock : lock - 1,
  by,
  byUntil: by === nobody ? 0 : byUntil - 1,
  foreign,
  queue: queueEarlier(queue)
})

const seenEarlier = (seen: Seen): Seen => ({ ...seen, ...earlier(seen) })

const requestEarlier = (request: Request): Request => ({
  ...request,
  condition: conditionEarlier(request.condition),
  patch: patchEarlier(request.patch)
})

/** The object has a new version: every contender that knew the last one knows an old one. */
export const outdated = (actors: ReadonlyArray<Actor>): ReadonlyArray<Actor> =>
  actors.map((actor) => ({
    ...actor,
    token: Math.min(actor.token, 1),
    request: actor.request?.current === true ? { ...actor.request, current: false } : actor.request,
    limbo: actor.limbo.some(byVersion) ? actor.limbo.filter((request) => !byVersion(request)) : actor.limbo,
    seen: actor.seen?.current === true ? { ...actor.seen, current: false } : actor.seen,
    watched: actor.watched?.current === true ? { ...actor.watched, current: false } : actor.watched
  }))

const byVersion = ({ condition }: Request): boolean => condition.version

/** The object as it is. */
export const see = ({ annotations, owner }: World): Seen => ({ ...annotations, owner, current: true })

/**
 * A state of the small world: one object, its contenders, and every request under way.
 *
 * Of resourceVersions only this matters: is it still the current one? It never comes back, so a version is `current` or
 * it is not.
 */
import { type Condition, conditionEarlier, type Patch, patchEarlier } from "./patch.ts"
import { absent, type Annotations, emptyQueue, nobody, type Queue, queueEarlier } from "./wire.ts"

/**
 * The TTL in ticks: a lease is relied on for the tick it was sent in and the next, and has expired three ticks on. That
 * this is a little less than the TTL (`stopwatch.maxDrift`) makes no difference in whole ticks.
 */
export const ttl = 2

/** Who takes part. An operator breaks the lock once, whoever holds it. */
export const kinds = ["kubelock", "dex", "operator"] as const
export type Kind = (typeof kinds)[number]

/**
 * Where a contender is.
 *
 * `Local` while it waits for its turn in its own process; `Idle` between attempts, in the queue or not; `Read` with the
 * object in hand; `Acquiring`, `Joining`, `Renewing`, `Committing`, `Releasing`, `Leaving` with a write under way; `Refused`
 * after a renewal whose condition did not hold; `Lost` when it knows; `Removing` before it looks what is left of its own.
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
  "Leaving"
] as const
export type Stage = (typeof stages)[number]

/** `release` gives up a lock that its sender has, `grant` hands on one that is free. */
export const writes = ["acquire", "renew", "release", "grant", "join", "leave"] as const
export const answers = ["none", "done", "refused"] as const

/** A write under way. `answer` is there once the server has worked on it. */
export interface Request {
  readonly write: (typeof writes)[number]
  readonly condition: Condition
  readonly patch: Patch
  /** The version expected is still the object's. */
  readonly current: boolean
  /** Whose lock the sender means to remove. */
  readonly target: number
  readonly answer: (typeof answers)[number]
}

/** What was read, and when: `owner` is who truly has the lock. */
export interface Seen extends Annotations {
  readonly owner: number
  readonly current: boolean
}

export interface Actor {
  readonly kind: Kind
  readonly stage: Stage
  /** An earlier write without an answer may have been applied, or may still be. */
  readonly mayHold: boolean
  /** It may stand in the queue. */
  readonly mayQueue: boolean
  /** It has left the lock free for Dex when it found it so. */
  readonly leftGap: boolean
  readonly lease: number
  /** For how many ticks it goes on relying on its lease. */
  readonly left: number
  /** Ticks since the write under way was sent; from the TTL on they are all the same. */
  readonly sent: number
  /** The fencing token: 0 none, 1 an older version, 2 the current version. */
  readonly token: number
  /**
   * 0, or one more than the ticks that were left of its lock when somebody who may (operator, Dex, a stranger) took it:
   * so long it may go on.
   */
  readonly robbed: number
  readonly request: Request | undefined
  /** Writes given up on, which the server may still receive. */
  readonly limbo: ReadonlyArray<Request>
  /** The object as it was last read, or answered. */
  readonly seen: Seen | undefined
  /** The object as a watch event tells it, sooner or later: when the contender was named its holder. */
  readonly told: Seen | undefined
  /** The queue as its holder last saw it. */
  readonly known: Queue | undefined
  /** Who waits in the process of a contender for its turn to end. */
  readonly next: number
}

export interface World {
  readonly annotations: Annotations
  /** Who truly has the lock that stands: its writer, or whom it was handed to. */
  readonly owner: number
  /**
   * Nobody can be blamed for leaving the lock that stands: it was written by a request that came after its sender had given
   * up for good, or was handed to one that had been put into the queue behind its back.
   */
  readonly late: boolean
  /** A bit for each contender that was put into the queue behind its back, by a late write of its own or by a vandal. */
  readonly litter: number
  /** How often strangers may still change the object, write what is no time into the lock, and meddle with the queue. */
  readonly strangers: number
  readonly scribbles: number
  readonly vandals: number
  readonly actors: ReadonlyArray<Actor>
}

/** Who takes part, and what else may happen. `again` is a contender of the same process as the one before it. */
export interface Cast {
  readonly actors: ReadonlyArray<Kind | "again">
  readonly strangers?: number
  readonly scribbles?: number
  readonly vandals?: number
}

const idle = (kind: Kind): Actor => ({
  kind,
  stage: "Idle",
  mayHold: false,
  mayQueue: false,
  leftGap: false,
  lease: 0,
  left: 0,
  sent: 0,
  token: 0,
  robbed: 0,
  request: undefined,
  limbo: [],
  seen: undefined,
  told: undefined,
  known: undefined,
  next: nobody
})

/** A free lock on an object that a stranger has annotated too. */
export const begin = (cast: Cast): World => ({
  annotations: { lock: absent, by: nobody, byUntil: 0, foreign: 1, queue: emptyQueue },
  owner: nobody,
  late: false,
  litter: 0,
  strangers: cast.strangers ?? 0,
  scribbles: cast.scribbles ?? 0,
  vandals: cast.vandals ?? 0,
  actors: cast.actors.map((kind, index) => ({
    ...idle(kind === "again" ? "kubelock" : kind),
    stage: kind === "again" ? "Local" : "Idle",
    next: cast.actors[index + 1] === "again" ? index + 1 : nobody
  }))
})

/**
 * The world with another actor in the place of one. Once it has no lock any more, and seeks none, it is the move of the next
 * of its process.
 */
export const withActor = (world: World, index: number, actor: Actor): World => {
  const actors = world.actors.slice()
  actors[index] = actor
  const next = actors[actor.next]
  if (next?.stage !== "Local") return { ...world, actors }
  const hasGivenUp = actor.stage === "Removing" && seeks(world.actors[index]!.stage)
  if (hasGivenUp || actor.stage === "Done" || actor.stage === "Crashed") {
    actors[index] = { ...actor, next: nobody }
    actors[actor.next] = actor.stage === "Crashed" ? ended(next, "Crashed") : { ...next, stage: "Idle" }
  }
  return { ...world, actors }
}

/** A contender that does nothing any more: only its token and its requests are remembered. */
export const ended = (actor: Actor, stage: "Done" | "Crashed"): Actor => ({
  ...idle(actor.kind),
  stage,
  token: actor.token,
  limbo: actor.limbo,
  next: actor.next
})

/** How many writes without an answer of one contender are followed at a time. */
export const maxLimbo = 2

/** The actor without its request, which the server may receive later if it has not yet. */
export const letGo = (actor: Actor): Actor => {
  const { limbo, request } = actor
  if (request === undefined) return actor
  const lingers =
    request.answer === "none" && limbo.length < maxLimbo && (!request.condition.version || request.current)
  return { ...actor, request: undefined, seen: undefined, limbo: lingers ? [...limbo, request] : limbo }
}

/** One tick on: all that is written in times comes nearer. */
export const tick = (world: World): World => ({
  ...world,
  annotations: earlier(world.annotations),
  actors: world.actors.map((actor) => ({
    ...actor,
    lease: holds(actor.stage) || actor.stage === "Lost" ? actor.lease - 1 : 0,
    left: Math.max(0, actor.left - 1),
    sent: actor.request === undefined ? 0 : Math.min(ttl, actor.sent + 1),
    robbed: actor.robbed > 1 ? actor.robbed - 1 : holds(actor.stage) ? actor.robbed : 0,
    request: actor.request === undefined ? undefined : requestEarlier(actor.request),
    limbo: actor.limbo.map(requestEarlier),
    seen: actor.seen === undefined ? undefined : seenEarlier(actor.seen),
    told: actor.told === undefined || actor.told.lock <= 1 ? undefined : seenEarlier(actor.told),
    known: actor.known === undefined ? undefined : queueEarlier(actor.known)
  }))
})

/** Whether a lease is in hand, and for all its holder knows it stands. */
export const holds = (stage: Stage): boolean =>
  stage === "Holding" || stage === "Renewing" || stage === "Refused" || stage === "Committing"

/** Whether a contender wants the lock still. */
export const seeks = (stage: Stage): boolean =>
  stage === "Idle" || stage === "Read" || stage === "Acquiring" || stage === "Joining"

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

/** The object has a new version: whoever knew the last one knows an old one. */
export const outdated = (actors: ReadonlyArray<Actor>): ReadonlyArray<Actor> =>
  actors.map((actor) => ({
    ...actor,
    token: Math.min(actor.token, 1),
    request: actor.request?.current === true ? { ...actor.request, current: false } : actor.request,
    limbo: actor.limbo.some(byVersion) ? actor.limbo.filter((request) => !byVersion(request)) : actor.limbo,
    seen: actor.seen?.current === true ? { ...actor.seen, current: false } : actor.seen,
    told: actor.told?.current === true ? { ...actor.told, current: false } : actor.told
  }))

const byVersion = ({ condition }: Request): boolean => condition.version

/** The object as it is. */
export const see = ({ annotations, owner }: World): Seen => ({ ...annotations, owner, current: true })

/**
 * A state of the small world: one object, its contenders, and every request under way.
 *
 * Of resourceVersions only this matters: is it still the current one? It never comes back, so a version is `current` or
 * it is not.
 */
import type { Annotations } from "./wire.ts"
import { absent, nobody } from "./wire.ts"

/** The TTL in ticks: a lease is relied on for the tick it was sent in and the next, and has expired three ticks on. */
export const ttl = 2

/** Who takes part. An operator breaks the lock once, whoever holds it. */
export const kinds = ["kubelock", "dex", "operator"] as const
export type Kind = (typeof kinds)[number]

/**
 * Where a contender is.
 *
 * `Idle` between attempts; `Read` with the object in hand; `Acquiring`, `Renewing`, `Committing`, `Releasing` with a write under way;
 * `Refused` after a renewal whose condition did not hold; `Lost` when it knows; `Removing` before it looks whether the
 * lock is (still) its own to remove.
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
  "Crashed"
] as const
export type Stage = (typeof stages)[number]

export const writes = ["acquire", "renew", "remove"] as const
export const conditions = ["version", "lease", "nothing"] as const
export const answers = ["none", "done", "refused"] as const

/** A write under way, with what it expects. `answer` is there once the server has worked on it. */
export interface Request {
  readonly write: (typeof writes)[number]
  readonly expects: (typeof conditions)[number]
  /** The version expected is still the object's. */
  readonly current: boolean
  /** The expiry of the lease expected. */
  readonly lease: number
  /** The expiry to write. */
  readonly until: number
  /** Whose lock the sender means to remove. */
  readonly target: number
  readonly answer: (typeof answers)[number]
}

/** What was read, and when: `owner` is who truly wrote the lock. */
export interface Seen extends Annotations {
  readonly owner: number
  readonly current: boolean
}

export interface Actor {
  readonly kind: Kind
  readonly stage: Stage
  /** An earlier write without an answer may have been applied, or may still be. */
  readonly mayHold: boolean
  readonly lease: number
  /** Ticks since the writing of the lease began; from the TTL on they are all the same. */
  readonly age: number
  /** The same of the write under way. */
  readonly sent: number
  /** The fencing token: 0 none, 1 an older version, 2 the current version. */
  readonly token: number
  /** 0, or one more than the ticks since somebody who may (operator, Dex, a stranger) took the lock from under it. */
  readonly robbed: number
  readonly request: Request | undefined
  /** Writes given up on, which the server may still receive. */
  readonly limbo: ReadonlyArray<Request>
  readonly seen: Seen | undefined
}

export interface World {
  readonly annotations: Annotations
  /** Who truly wrote the lock that stands. */
  readonly owner: number
  /** The lock that stands was written by a request that came after its sender had given up for good. */
  readonly late: boolean
  /** How often strangers may still change the object, and write what is no time into the lock. */
  readonly strangers: number
  readonly scribbles: number
  readonly actors: ReadonlyArray<Actor>
}

/** Who takes part, and what else may happen. */
export interface Cast {
  readonly actors: ReadonlyArray<Kind>
  readonly strangers?: number
  readonly scribbles?: number
}

const idle = (kind: Kind): Actor => ({
  kind,
  stage: "Idle",
  mayHold: false,
  lease: 0,
  age: 0,
  sent: 0,
  token: 0,
  robbed: 0,
  request: undefined,
  limbo: [],
  seen: undefined
})

/** A free lock on an object that a stranger has annotated too. */
export const begin = (cast: Cast): World => ({
  annotations: { lock: absent, by: nobody, byUntil: 0, foreign: 1 },
  owner: nobody,
  late: false,
  strangers: cast.strangers ?? 0,
  scribbles: cast.scribbles ?? 0,
  actors: cast.actors.map(idle)
})

/** The world with another actor in the place of one. */
export const withActor = (world: World, index: number, actor: Actor): World => {
  const actors = world.actors.slice()
  actors[index] = actor
  return { ...world, actors }
}

/** A contender that does nothing any more: only its token and its requests are remembered. */
export const ended = (actor: Actor, stage: "Done" | "Crashed"): Actor => ({
  ...idle(actor.kind),
  stage,
  token: actor.token,
  limbo: actor.limbo
})

/** How many writes without an answer of one contender are followed at a time. */
export const maxLimbo = 2

/** The actor without its request, which the server may receive later if it has not yet. */
export const letGo = (actor: Actor): Actor => {
  const { limbo, request } = actor
  if (request === undefined) return actor
  const lingers =
    request.answer === "none" && limbo.length < maxLimbo && (request.expects !== "version" || request.current)
  return { ...actor, request: undefined, limbo: lingers ? [...limbo, request] : limbo }
}

/** One tick on: all that is written in times comes nearer. */
export const tick = (world: World): World => ({
  ...world,
  annotations: earlier(world.annotations),
  actors: world.actors.map((actor) => ({
    ...actor,
    lease: holds(actor.stage) || actor.stage === "Lost" ? actor.lease - 1 : 0,
    age: holds(actor.stage) ? Math.min(ttl, actor.age + 1) : 0,
    sent: actor.request === undefined ? 0 : Math.min(ttl, actor.sent + 1),
    robbed: actor.robbed === 0 ? 0 : Math.min(ttl + 1, actor.robbed + 1),
    request: actor.request === undefined ? undefined : requestEarlier(actor.request),
    limbo: actor.limbo.map(requestEarlier),
    seen: actor.seen === undefined ? undefined : { ...actor.seen, ...earlier(actor.seen) }
  }))
})

/** Whether a lease is in hand, and for all its holder knows it stands. */
export const holds = (stage: Stage): boolean =>
  stage === "Holding" || stage === "Renewing" || stage === "Refused" || stage === "Committing"

const earlier = ({ by, byUntil, foreign, lock }: Annotations): Annotations => ({
  lock: lock <= absent ? lock : lock - 1,
  by,
  byUntil: by === nobody ? 0 : byUntil - 1,
  foreign
})

const requestEarlier = (request: Request): Request => ({
  ...request,
  lease: request.expects === "lease" ? request.lease - 1 : 0,
  until: request.write === "remove" ? 0 : request.until - 1
})

/** The object has a new version: whoever knew the last one knows an old one. */
export const outdated = (actors: ReadonlyArray<Actor>): ReadonlyArray<Actor> =>
  actors.map((actor) => ({
    ...actor,
    token: Math.min(actor.token, 1),
    request: actor.request?.current === true ? { ...actor.request, current: false } : actor.request,
    limbo: actor.limbo.some(byVersion) ? actor.limbo.filter((request) => !byVersion(request)) : actor.limbo,
    seen: actor.seen?.current === true ? { ...actor.seen, current: false } : actor.seen
  }))

const byVersion = (request: Request): boolean => request.expects === "version"

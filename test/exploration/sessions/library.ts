/** What a process does about locks and sessions, by the library's own decisions. A mutation changes what passes between them and the world. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as electionStore from "../../../src/internal/election/electionStore.ts"
import * as acquisition from "../../../src/internal/protocol/acquisition.ts"
import type * as acquiring from "../../../src/internal/protocol/acquisitionState.ts"
import type { Answer, Now } from "../../../src/internal/protocol/answer.ts"
import * as holding from "../../../src/internal/protocol/holding.ts"
import * as release from "../../../src/internal/protocol/release.ts"
import { fence } from "../../../src/internal/session/fence.ts"
import * as sessionLease from "../../../src/internal/session/sessionLease.ts"
import * as LockError from "../../../src/LockError.ts"
import * as LockKind from "../../../src/LockKind.ts"
import * as LockProtocol from "../../../src/LockProtocol.ts"
import type { ConditionalPatch, ObjectSnapshot, ObjectStore } from "../../../src/ObjectStore.ts"
import { normal } from "../normal.ts"
import * as stores from "../stores.ts"
import { clockAt, millis } from "../time.ts"
import {
  type Bounds,
  type Cast,
  exact,
  holderId,
  incarnationOf,
  leaseOf,
  type Process,
  type Request,
  type Session,
  ttl
} from "./world.ts"

const key = "kubelock.dev/lock"
const sessionKey = "kubelock.dev/session"

/** The locks. */
export const kind = LockKind.exclusive(key)

const sessionKind = { ...electionStore.kind(sessionKey), what: "session" } as const

/**
 * What a mutation changes.
 *
 * - `fences`: what is sent as a fence; `undefined` if nothing is, and the session counts as ended.
 * - `sees`: the Lease of another's session, as a process that looks at that session sees it.
 * - `seesOwn`: the Lease of its own session, as its owner sees it, which last saw it as `known`.
 * - `believes`: the session as its owner judges whether it lives.
 * - `breaksAtOnce`: an operator does not tell the owner of a session what it breaks.
 */
export interface Mutation {
  readonly fences?: (write: ConditionalPatch) => ConditionalPatch | undefined
  readonly sees?: (lease: ObjectSnapshot, session: sessionLease.SessionReference) => ObjectSnapshot
  readonly seesOwn?: (lease: ObjectSnapshot, known: ObjectSnapshot) => ObjectSnapshot
  readonly believes?: (hold: holding.State) => holding.State
  readonly breaksAtOnce?: true
}

const unavailable = new LockError.Unavailable({ object: "object", verb: "patch", detail: "no answer" })
const missing = new LockError.NotFound({ id: "lease", object: "lease", missing: "object" })

/** The answer that does not come. */
export const lost: Answer = { _tag: "Failed", error: unavailable }

/** What a server does with requests for one Lease. */
export interface Leases {
  readonly read: () => ObjectSnapshot | undefined
  readonly write: (sent: Request) => ObjectSnapshot | "refused" | "lost"
}

/** The session of a process, as text; `undefined` if it has none. */
export const textOf = (index: number, { hold, incarnation, lease }: Session): string | undefined =>
  hold && sessionLease.format(referenceOf(index, lease, incarnation, hold.snapshot.uid))

const referenceOf = (index: number, lease: number, incarnation: number, uid: string) => ({
  namespace: "jobs",
  name: leaseOf(lease),
  uid,
  incarnation: incarnationOf(index, incarnation)
})

/** The session of a text, and the number of its Lease. */
export const parse = (text: string): { readonly reference: sessionLease.SessionReference; readonly lease: number } => {
  const reference = sessionLease.parse(text)!
  return { reference, lease: Number(reference.name.at(-1)) }
}

const storeOf = (parts: Partial<ObjectStore["Service"]>) => stores.make(sessionKey, parts)

/** Makes the library. */
export const make = (cast: Cast, mutation: Mutation) => {
  const clocks: ReadonlyArray<Bounds> = cast.clocks ?? exact

  const nowOf = ({ clock }: Pick<Process, "clock">, tick: number): Now => {
    const [earliest, latest] = clocks[clock % clocks.length]!
    return { clock: clockAt(tick), server: { earliest: millis(tick + earliest), latest: millis(tick + latest) } }
  }

  const lives = ({ session: { hold, stage } }: Process, tick: number): boolean =>
    (stage === "Open" || stage === "Renewing") &&
    hold !== undefined &&
    holding.isValid(mutation.believes?.(hold) ?? hold, clockAt(tick))

  const sessionsOf = (index: number, process: Process, tick: number): LockProtocol.KnownSessions => ({
    current: () => (lives(process, tick) ? textOf(index, process.session) : undefined),
    hasEnded: (session) => process.ended.includes(session)
  })

  // The store of the Lease of a session, as it is after what its owner has seen.
  const leaseStore = (process: Process, tick: number, leases: Leases) => {
    const { known: before, lease: number } = process.session
    const name = leaseOf(number)
    let known = before
    let isPast = before !== undefined
    const seen = (lease: ObjectSnapshot): ObjectSnapshot => {
      const changed = known === undefined || isPast ? lease : (mutation.seesOwn?.(lease, known) ?? lease)
      if (!isPast) known = lease
      return changed
    }
    const written = (sent: Request) => {
      const answer = leases.write(sent)
      return answer === "lost"
        ? Effect.fail(unavailable)
        : Effect.succeed(answer === "refused" ? Option.none<ObjectSnapshot>() : Option.some(seen(answer)))
    }
    const store = electionStore.make(
      storeOf({
        now: Effect.sync(() => nowOf(process, tick).server),
        read: () =>
          Effect.suspend(() => {
            const found = isPast ? before : leases.read()
            return found === undefined ? Effect.fail(missing) : Effect.succeed(seen(found))
          }),
        create: (_, annotations, content) =>
          Effect.suspend(() => written({ to: "lease", index: number, annotations, created: content ?? {} })),
        compareAndSwap: (_, write) => Effect.suspend(() => written({ to: "lease", index: number, write }))
      }),
      { key: sessionKey, leaseDuration: ttl, onSlowPath: () => Effect.void, onLongLease: () => Effect.void }
    )
    const answers = stores.answersOf(store, name, tick)
    if (isPast) answers.read()
    isPast = false
    return { ...answers, known: () => known }
  }

  const opener = (index: number, { session }: Process): acquiring.Acquisition => ({
    id: "lease",
    kind: sessionKind,
    holderId: incarnationOf(index, session.incarnation),
    startedAt: clockAt(0),
    settings: {
      describe: () => "lease",
      ttl: ttl * 1000,
      renews: true,
      sharedWithDex: false,
      createIfMissing: true,
      includesContent: false
    }
  })

  const sessionTerms = (index: number, { session }: Process): holding.Terms => ({
    kind: sessionKind,
    holderId: incarnationOf(index, session.incarnation),
    ttl: ttl * 1000,
    renewEvery: 1000,
    renewDeadline: ttl * 1000
  })

  const seeker = (index: number, lock: number, process: Process, tick: number): acquiring.Acquisition => ({
    id: "id",
    kind,
    holderId: holderId(index, lock),
    startedAt: clockAt(0),
    settings: {
      describe: () => "object",
      ttl: ttl * 1000,
      renews: true,
      sharedWithDex: false,
      createIfMissing: false,
      includesContent: false,
      sessions: sessionsOf(index, process, tick)
    }
  })

  const terms = (index: number, lock: number, process: Process, tick: number): holding.Terms => ({
    kind,
    holderId: holderId(index, lock),
    ttl: ttl * 1000,
    renewEvery: 1000,
    renewDeadline: ttl * 1000,
    sessions: sessionsOf(index, process, tick)
  })

  const releaseOf = (holderId: string, of: LockKind.LockKind): release.Release => ({
    kind: of,
    holderId,
    requeue: undefined,
    sharedWithDex: false,
    handsOver: true
  })

  return {
    leaseStore,
    lives,

    /** A session is opened, renewed and ended. */
    opens: (index: number, process: Process, tick: number): acquiring.Step =>
      acquisition.begin(opener(index, process), { queued: false }, nowOf(process, tick)),
    opened: (index: number, process: Process, state: acquiring.State, event: acquiring.Event, tick: number) =>
      acquisition.step(opener(index, process), state, event, nowOf(process, tick)),
    begins: (grant: acquiring.Grant): holding.State => holding.begin(grant, { renewDeadline: ttl * 1000 }),
    keeps: (index: number, process: Process, tick: number) =>
      holding.planRenewal(process.session.hold!, sessionTerms(index, process), nowOf(process, tick)),
    kept: (index: number, process: Process, hold: holding.State, answer: Answer, tick: number) =>
      holding.onAnswer(
        hold,
        sessionTerms(index, process),
        process.session.renewal!,
        answer,
        1000,
        nowOf(process, tick)
      ),
    ends: (index: number, process: Process, tick: number): ConditionalPatch | undefined => {
      const { hold, incarnation } = process.session
      const self = releaseOf(incarnationOf(index, incarnation), sessionKind)
      const [, command] = release.release(self, hold!.lease, hold!.snapshot, nowOf(process, tick))
      return command._tag === "Write" ? command.write : undefined
    },

    /** A process has read the Lease of a session: what it knows then, or the fence that it sends. */
    judges: (process: Pick<Process, "clock">, text: string, found: ObjectSnapshot | undefined, tick: number) => {
      let sent: ConditionalPatch | undefined
      const { reference } = parse(text)
      const seen = found && (mutation.sees?.(found, reference) ?? found)
      const exit = Effect.runSyncExit(
        fence(
          storeOf({
            now: Effect.succeed(nowOf(process, tick).server),
            read: () => (seen === undefined ? Effect.fail(missing) : Effect.succeed(seen)),
            compareAndSwap: (_, write) => {
              const changed = mutation.fences === undefined ? write : mutation.fences(write)
              if (changed === undefined) return Effect.succeedSome({ ...found!, uid: "ended" })
              sent ??= changed
              return Effect.fail(unavailable)
            }
          }),
          reference
        )
      )
      return { sent, hasEnded: exit._tag === "Success" && exit.value._tag === "Ended" }
    },
    /** The answer to its fence has come: whether the session has ended. */
    fenced: (
      process: Process,
      text: string,
      found: ObjectSnapshot,
      written: ObjectSnapshot | undefined,
      judgedAt: number
    ): boolean => {
      const { reference } = parse(text)
      let reads = 0
      const exit = Effect.runSyncExit(
        fence(
          storeOf({
            now: Effect.succeed(nowOf(process, judgedAt).server),
            read: () =>
              reads++ > 0 ? Effect.fail(unavailable) : Effect.succeed(mutation.sees?.(found, reference) ?? found),
            compareAndSwap: () => Effect.succeed(Option.fromUndefinedOr(written))
          }),
          reference
        )
      )
      return exit._tag === "Success" && exit.value._tag === "Ended"
    },

    /** A lock is acquired, renewed and released. */
    begun: (index: number, lock: number, process: Process, tick: number): acquiring.Step =>
      normal(acquisition.begin(seeker(index, lock, process, tick), { queued: false }, nowOf(process, tick))),
    stepped: (
      index: number,
      lock: number,
      process: Process,
      state: acquiring.State,
      event: acquiring.Event,
      tick: number
    ): acquiring.Step => {
      const now = nowOf(process, tick)
      return normal(
        acquisition.step(seeker(index, lock, process, tick), { ...state, requestedAt: now.clock }, event, now)
      )
    },
    renews: (index: number, lock: number, process: Process, hold: holding.State, tick: number) =>
      holding.planRenewal(hold, terms(index, lock, process, tick), nowOf(process, tick)),
    renewed: (
      index: number,
      lock: number,
      process: Process,
      hold: holding.State,
      renewal: holding.Renewal,
      answer: Answer,
      tick: number
    ) => holding.onAnswer(hold, terms(index, lock, process, tick), renewal, answer, 1000, nowOf(process, tick)),
    releases: (index: number, lock: number, process: Process, hold: holding.State, tick: number): release.Step =>
      release.release(releaseOf(holderId(index, lock), kind), hold.lease, hold.snapshot, nowOf(process, tick)),
    gave: (
      index: number,
      lock: number,
      process: Process,
      state: release.State,
      event: release.Event,
      tick: number
    ): release.Step => release.step(releaseOf(holderId(index, lock), kind), state, event, nowOf(process, tick)),

    /** An operator breaks a lock: whether it waits for its holder, and the write that removes the record. */
    tells: mutation.breaksAtOnce !== true,
    breaks: (found: ObjectSnapshot, tick: number): ConditionalPatch => ({
      expect: { resourceVersion: found.resourceVersion },
      ...LockProtocol.planBreak(found, { earliest: millis(tick), latest: millis(tick) }, { kind, sharedWithDex: false })
    }),
    /** What others have broken of a session, by its Lease as its owner sees it, and the write that takes it off. */
    brokenOn: (
      index: number,
      { hold, incarnation, known, lease }: Session
    ): { readonly ids: ReadonlyArray<string>; readonly write: ConditionalPatch } | undefined => {
      if (known === undefined || hold === undefined) return undefined
      const ids = sessionLease.brokenOn(known)
      const isIts = sessionLease.isOf(referenceOf(index, lease, incarnation, hold.snapshot.uid), known)
      return ids.length > 0 && isIts ? { ids, write: sessionLease.clearing(known) } : undefined
    },

    /** Whether the lease of a lock lasts, whatever became of the session. */
    lasts: (hold: holding.State, tick: number): boolean => holding.isValid(hold, clockAt(tick)),

    /** Whether a process takes a lock to be its own. */
    isValid: (index: number, process: Process, hold: holding.State, tick: number): boolean =>
      holding.isValid(hold, clockAt(tick)) &&
      (hold.session === undefined || sessionsOf(index, process, tick).current() === hold.session)
  }
}

/** A library. */
export type Library = ReturnType<typeof make>

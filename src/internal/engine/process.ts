/** What all contenders of one layer share: the ID of the process, its engine, and how they hold what they acquired. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { LockError } from "../../LockError.ts"
import type { LockKind } from "../../LockKind.ts"
import * as LockPolicy from "../../LockPolicy.ts"
import type { Asked } from "../../LockProtocol.ts"
import * as LockQueue from "../../LockQueue.ts"
import type { ObjectSnapshot, ObjectStore } from "../../ObjectStore.ts"
import type { Settings, Start } from "../protocol/acquisitionState.ts"
import * as ClockReading from "../time/clockReading.ts"
import * as timers from "../time/timers.ts"
import * as absentees from "./absentees.ts"
import type { Restore } from "./acquire.ts"
import * as Closing from "./closing.ts"
import type { Contender, Engine } from "./contender.ts"
import type { Holding } from "./holding.ts"
import * as renewer from "./renewer.ts"
import type { Sessions } from "./sessions.ts"
import * as slots from "./slots.ts"
import { acquiring, attributesOf, broken } from "./telemetry.ts"
import * as waitBudget from "./waitBudget.ts"
import * as watchPool from "./watchPool.ts"

/**
 * The options of a layer. `several` is the value of the label that wakes waiters of all processes, if there is one. `sessions` are those
 * under which its locks are held, and those of others.
 */
export interface Options {
  readonly key: string
  readonly several?: string | undefined
  readonly policy: LockPolicy.LockPolicy
  readonly identity: string | undefined
  readonly idInMetrics: boolean | undefined
  readonly sessions: Sessions
}

/** The options of one acquisition. */
export interface AcquireOptions extends LockPolicy.Overrides {
  readonly createIfMissing?: boolean | undefined
  readonly snapshot?: ObjectSnapshot | undefined
  readonly releaseInBackground?: boolean | undefined
  readonly countedAs?: string | undefined
  readonly spares?: Settings["spares"]
}

/** What all contenders of a layer share. */
export interface Process {
  readonly engine: Engine
  readonly sharedWithDex: boolean
  /** Starts work for which only the end of the layer waits. */
  readonly detach: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** Acquires as a new contender, and takes what it acquired until the scope closes. */
  readonly hold: <A, E extends LockError>(
    id: string,
    kind: LockKind,
    asks: Asked | undefined,
    options: AcquireOptions | undefined,
    acquisition: (contender: Contender, start: Start, restore: Restore) => Effect.Effect<Holding, E>,
    take: (contender: Contender, holding: Holding) => Effect.Effect<A, never, Scope.Scope>
  ) => Effect.Effect<A, E, Scope.Scope>
  /** Counts that a lock was broken. */
  readonly broke: (id: string, kind: LockKind) => Effect.Effect<void>
}

// A session has the times of its layer's policy. A lock that asks for others has a lease of its own.
const canShareSession = (own: LockPolicy.LockPolicy, policy: LockPolicy.LockPolicy): boolean =>
  own === policy ||
  (["ttl", "renewEvery", "renewDeadline"] as const).every((time) => Equal.equals(own[time], policy[time]))

/** Makes what the contenders of a layer share. When the scope closes, what was detached ends first. */
export const make = Effect.fnUntraced(function* (
  store: ObjectStore["Service"],
  { idInMetrics, identity = globalThis.process.env["HOSTNAME"] ?? "kubelock", key, policy, sessions, several }: Options
): Effect.fn.Return<Process, never, Scope.Scope> {
  const sharedWithDex = policy.sharedWithDex ?? store.sharedWithDex
  const processId = LockQueue.newProcessId()
  let acquisitions = 0

  const timing = yield* timers.make
  const unfinished = yield* FiberSet.make<void>()
  const closing = Closing.make()
  yield* Effect.addFinalizer(() => Effect.andThen(closing.begin, FiberSet.awaitEmpty(unfinished)))
  const engine: Engine = {
    store,
    timers: timing,
    watches: yield* watchPool.make(
      store,
      { key: LockQueue.labelKey(key), value: processId, ...(several === undefined ? {} : { or: several }) },
      timing
    ),
    renewer: renewer.make(timing),
    sessions,
    slots: yield* slots.make,
    absentees: yield* absentees.make,
    closing,
    scope: yield* Effect.scope
  }

  const others = { current: () => undefined, hasEnded: sessions.hasEnded }

  const { opened } = sessions

  const settingsOf = (own: LockPolicy.LockPolicy, options: AcquireOptions | undefined): Settings => ({
    describe: store.describe,
    ttl: Duration.toMillis(own.ttl),
    renews: own.renewEvery !== false,
    sessions: canShareSession(own, policy) ? sessions : others,
    spares: options?.spares,
    sharedWithDex,
    createIfMissing: options?.createIfMissing ?? store.createIfMissing,
    includesContent: store.includesContent
  })
  const shared = settingsOf(policy, undefined)

  const contender = (
    id: string,
    kind: LockKind,
    asks: Asked | undefined,
    options: AcquireOptions | undefined
  ): Effect.Effect<Contender> =>
    Effect.map(ClockReading.now, (startedAt) => {
      acquisitions++
      const own = options === undefined ? policy : LockPolicy.withOverrides(policy, options)
      return {
        id,
        kind,
        holderId: LockQueue.holderId(identity, processId, acquisitions),
        asks,
        startedAt,
        settings: options === undefined ? shared : settingsOf(own, options),
        engine,
        policy: own,
        waitBudget: waitBudget.make(own.waitSchedule, startedAt.monotonic),
        releaseInBackground: options?.releaseInBackground ?? false,
        attributes: attributesOf(kind, asks, {
          id: idInMetrics === true ? id : undefined,
          countedAs: options?.countedAs
        })
      }
    })

  return {
    engine,
    sharedWithDex,
    detach: (effect) =>
      Effect.suspend(() =>
        closing.hasBegun() ? effect : Effect.asVoid(FiberSet.run(unfinished, effect, { startImmediately: false }))
      ),
    // The wait may be interrupted. From the grant on nothing may come between, until the release is certain.
    hold: (id, kind, asks, options, acquisition, take) =>
      Effect.uninterruptibleMask((restore) => {
        const begun = contender(id, kind, asks, options)
        return Effect.flatMap(opened === undefined ? begun : Effect.andThen(restore(opened), begun), (contender) =>
          Effect.flatMap(
            acquiring(contender, acquisition(contender, { snapshot: options?.snapshot, queued: false }, restore)),
            (holding) => {
              contender.startedAt = holding.lease.issuedAt
              contender.waitBudget = waitBudget.over
              return take(contender, holding)
            }
          )
        )
      }),
    broke: (id, kind) => broken(attributesOf(kind, undefined, { id: idInMetrics === true ? id : undefined }))
  }
})

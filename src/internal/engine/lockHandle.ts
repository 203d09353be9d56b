/** What one contender can do with a lock that its process holds, until the scope of the contender closes. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { Handle } from "../../Handle.ts"
import type { Held } from "../../Held.ts"
import type { Lost } from "../../LockError.ts"
import * as LockPolicy from "../../LockPolicy.ts"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import type { Contender } from "./contender.ts"
import type { HeldLease, Holding } from "./holding.ts"
import { holdBegun, holdEnded, type ObservedHold } from "./telemetry.ts"

type Leave = (contender: Contender, held: Holding) => Effect.Effect<void>

/** Takes the lock for a contender. When its scope closes the contender has left the lock, by `leave`. */
export const take = (contender: Contender, held: Holding, leave: Leave): Effect.Effect<Held, never, Scope.Scope> =>
  Effect.flatMap(holdBegun(contender, held), (observed) => new HeldLock(contender, held, observed, leave).inScope)

/** A process may have thousands of them, so what a caller asks for is made when it asks. */
class HeldLock implements Held {
  readonly id: string
  readonly holderId: string
  readonly fencingToken: bigint
  readonly snapshot: ObjectSnapshot
  readonly #contender: Contender
  readonly #held: Holding
  readonly #observed: ObservedHold
  readonly #leave: Leave
  #hasLeft = false

  constructor(contender: Contender, held: Holding, observed: ObservedHold, leave: Leave) {
    const { fencingToken, lease } = held
    this.id = contender.id
    this.holderId = lease.contender.holderId
    this.fencingToken = fencingToken
    this.snapshot = lease.acquired
    this.#contender = contender
    this.#held = held
    this.#observed = observed
    this.#leave = leave
  }

  /**
   * The lock, until the scope closes. It is left in the context in which it was taken, whoever closes the scope. (`Effect.addFinalizer` would
   * make a context of both, anew for each lock.)
   */
  get inScope(): Effect.Effect<Held, never, Scope.Scope> {
    return Effect.flatMap(Effect.scope, (scope) => Effect.as(Scope.addFinalizerExit(scope, this.#finalizer), this))
  }

  get #finalizer(): (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> {
    return (exit) => {
      this.#hasLeft = true
      holdEnded(this.#contender, this.#observed, exit)
      return Effect.updateContext(this.#leave(this.#contender, this.#held), () => this.#observed.context)
    }
  }

  get isValid(): Effect.Effect<boolean> {
    return Effect.sync(() => !this.#hasLeft && this.#lease.isValid())
  }

  get lost(): Effect.Effect<never, Lost> {
    return this.#lease.lost
  }

  get commitAndRelease(): Held["commitAndRelease"] {
    return (content, annotations) => this.#unlessLeft(this.#lease.commitAndRelease(content, annotations))
  }

  get give(): Held["give"] {
    return (ttl) =>
      this.#unlessLeft(
        Effect.suspend(() =>
          this.#lease.give(ttl === undefined ? undefined : Duration.toMillis(LockPolicy.fixedTtl(ttl)))
        )
      ).pipe(
        Effect.map(
          ({ expiry, holderId }) => new Handle({ id: this.id, holderId, fencingToken: this.fencingToken, expiry })
        )
      )
  }

  get guard(): Held["guard"] {
    return (effect) =>
      this.#unlessLeft(this.#lease.check).pipe(
        Effect.andThen(Effect.raceFirst(effect, this.#lease.lost)),
        Effect.tap(this.#unlessLeft(this.#lease.confirm))
      )
  }

  get #lease(): HeldLease {
    return this.#held.lease
  }

  #unlessLeft<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Lost> {
    return Effect.suspend((): Effect.Effect<A, E | Lost> =>
      this.#hasLeft ? Effect.fail(this.#lease.released()) : effect
    )
  }
}

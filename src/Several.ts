/**
 * Locks, permits and shared locks at once: all of them, or none.
 *
 * They are acquired one after the other in the order of their ids, the same in all processes, so that no two processes wait for each
 * other. `Lock.scopedAll` follows the same order.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Held, Permit } from "./Held.ts"
import { acquireAll } from "./internal/acquireAll.ts"
import * as Lock from "./Lock.ts"
import type * as LockError from "./LockError.ts"
import * as Semaphore from "./Semaphore.ts"
import * as SharedLock from "./SharedLock.ts"

/** One of several. */
export interface Part<H, R> {
  /** Its id. */
  readonly id: string
  /** How it is acquired. */
  readonly acquire: Effect.Effect<H, Lock.AcquireError, R | Scope.Scope>
}

/** A lock. */
export const lock = (id: string, options?: Lock.AcquireOptions): Part<Held, Lock.Lock> => ({
  id,
  acquire: Lock.scoped(id, options)
})

/** Permits of a semaphore. */
export const permits = (id: string, options: Semaphore.TakeOptions): Part<Permit, Semaphore.Semaphore> => ({
  id,
  acquire: Semaphore.take(id, options)
})

/** A shared lock, as a reader. */
export const shared = (id: string, options?: Lock.AcquireOptions): Part<SharedLock.Shared, SharedLock.SharedLock> => ({
  id,
  acquire: SharedLock.shared(id, options)
})

/** A shared lock, as a writer. */
export const exclusive = (
  id: string,
  options?: Lock.AcquireOptions
): Part<SharedLock.Exclusive, SharedLock.SharedLock> => ({
  id,
  acquire: SharedLock.exclusive(id, options)
})

/** What a part is once it is acquired. */
type HeldOf<P> = P extends Part<infer H, infer _R> ? H : never

/** The services that a part needs. */
type NeededBy<P> = P extends Part<infer _H, infer R> ? R : never

/**
 * Waits for all parts, and holds them until the scope closes.
 *
 * The answer follows the order of `parts`. Each has the whole wait schedule to itself. All are valid when it succeeds: if one is lost
 * while it waits for another, it fails with `LockLost`.
 *
 * An id named twice would wait for itself. That is a mistake in the program: it dies with a `RangeError`, and acquires nothing.
 */
export const scopedAll = <const Parts extends ReadonlyArray<Part<Pick<Held, "guard">, unknown>>>(
  parts: Parts
): Effect.Effect<
  { readonly [Index in keyof Parts]: HeldOf<Parts[Index]> },
  Lock.AcquireError | LockError.Lost,
  NeededBy<Parts[number]> | Scope.Scope
> => {
  const twice = parts.find(({ id }, index) => parts.findIndex((part) => part.id === id) !== index)
  if (twice !== undefined) {
    return Effect.die(
      new RangeError(
        `Several.scopedAll: ${JSON.stringify(twice.id)} is named twice. Name each id once, with all permits that you need of it.`
      )
    )
  }
  const acquired = acquireAll(parts.map(({ acquire, id }) => ({ order: id, acquire })))
  return Effect.map(acquired, (helds) => parts.map(({ id }) => helds.get(id)!)) as ReturnType<typeof scopedAll<Parts>>
}

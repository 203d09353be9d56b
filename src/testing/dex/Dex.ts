/**
 * Dex's lock as dexidp/dex has it in `storage/kubernetes/lock.go`, with its defects. Benchmarks measure kubelock against
 * it, and tests run kubelock beside it.
 *
 * **Details**
 *
 * - Acquire: GET the object. If the annotation is absent or expired, PUT the whole object back with the annotation as its
 *   only one. On 409 it waits. Any other error fails the acquisition.
 * - Wait: 201 attempts, 100 milliseconds apart.
 * - Release, once: GET, drop all annotations, PUT. It does not check that it still holds the lock. Errors are logged and
 *   dropped.
 * - A process that waited first and then took over an expired lock still believes that it waits, and never releases.
 * - An expiry is `now + 10 seconds` on the process's own clock, cut to whole seconds.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as rfc3339 from "../../internal/time/rfc3339.ts"
import * as LockPolicy from "../../LockPolicy.ts"
import * as LockRecord from "../../LockRecord.ts"

/** A whole object. Dex reads and writes nothing less. */
export interface DexObject {
  readonly metadata: DexMetadata
  readonly [field: string]: unknown
}

/** Its metadata. Dex writes all other fields back as they were. */
export interface DexMetadata {
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly [field: string]: unknown
}

/** What the lock needs: whole objects, read and replaced. `put` fails with `DexConflict` on 409. */
export interface DexClient {
  readonly get: (id: string) => Effect.Effect<DexObject, DexError>
  readonly put: (id: string, object: DexObject) => Effect.Effect<void, DexError | DexConflict>
}

/** The object changed between GET and PUT. */
export class DexConflict extends Schema.Error<DexConflict>("kubelock/testing/Dex/DexConflict")({
  _tag: Schema.tag("DexConflict")
}) {}

/** Any other error of a request, or a malformed annotation. */
export class DexError extends Schema.Error<DexError>("kubelock/testing/Dex/DexError")({
  _tag: Schema.tag("DexError"),
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** 201 attempts failed. */
export class DexTimeout extends Schema.Error<DexTimeout>("kubelock/testing/Dex/DexTimeout")({
  _tag: Schema.tag("DexTimeout"),
  id: Schema.String
}) {
  override get message(): string {
    return `timeout waiting for refresh token ${this.id} lock`
  }
}

/** One acquisition. Dex makes one for each update of a token. */
export interface DexLock {
  readonly lock: Effect.Effect<void, DexError | DexTimeout>
  readonly unlock: Effect.Effect<void>
}

const ttl = Duration.seconds(10)
const checkPeriod = Duration.millis(100)
const furtherAttempts = 200

/** Prepares an acquisition of the lock of an object. */
export const make = (client: DexClient, id: string): DexLock => {
  let waiting = false

  const put = (object: DexObject, annotations: Readonly<Record<string, string>> | undefined) =>
    client.put(id, { ...object, metadata: { ...object.metadata, annotations } })

  const attempt = Effect.gen(function* () {
    const object = yield* client.get(id)
    const now = yield* Clock.currentTimeMillis
    const taken = {
      [LockPolicy.dexAnnotation]: rfc3339.format(Math.floor((now + Duration.toMillis(ttl)) / 1000))
    }
    const record = LockRecord.fromAnnotations(LockPolicy.dexAnnotation, object.metadata.annotations ?? {})
    if (record._tag === "Malformed") {
      return yield* new DexError({ detail: `lock annotation value is malformed: ${JSON.stringify(record.value)}` })
    }
    if (record._tag === "Present" && now <= record.expiresAt) {
      waiting = true
      return false
    }
    return yield* put(object, taken).pipe(
      Effect.map(() => {
        if (record._tag === "Absent") waiting = false
        return true
      }),
      Effect.catchTag("DexConflict", () => {
        waiting = true
        return Effect.succeed(false)
      })
    )
  })

  return {
    lock: Effect.gen(function* () {
      for (let attempts = 0; attempts <= furtherAttempts; attempts++) {
        if (yield* attempt) return
        yield* Effect.interruptible(Effect.sleep(checkPeriod))
      }
      return yield* new DexTimeout({ id })
    }),
    unlock: Effect.suspend(() =>
      waiting
        ? Effect.void
        : Effect.flatMap(client.get(id), (object) => put(object, undefined)).pipe(
            Effect.catch((error) => Effect.logDebug(`failed to release lock for refresh token ${id}: ${error._tag}`))
          )
    )
  }
}

/**
 * Takes the lock of an object until the scope closes, as `UpdateRefreshToken` does around its work.
 *
 * Only the pauses between attempts can be interrupted. An attempt that has begun runs to its end, as in Dex.
 */
export const scoped = (client: DexClient, id: string): Effect.Effect<void, DexError | DexTimeout, Scope.Scope> =>
  Effect.suspend(() => {
    const { lock, unlock } = make(client, id)
    return Effect.acquireRelease(lock, () => unlock)
  })

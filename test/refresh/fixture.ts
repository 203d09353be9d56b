/** A token, an upstream that rotates it and revokes the grant if a token is spent twice, and processes that share one store. */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as FaultyStore from "../utils/FaultyStore.ts"

export const id = "token"

/** The shared value. */
export const Token = Schema.Struct({
  access: Schema.Redacted(Schema.String),
  refresh: Schema.Redacted(Schema.String),
  expiresAt: Schema.DateTimeUtc
})
export type Token = typeof Token.Type

export const lifetime = "1 minute"

/** A token of a generation. A test can find its secrets in any text. */
export const token = (generation: number) =>
  Effect.map(DateTime.now, (now): Token => ({
    access: Redacted.make(`s3cr3t-access-${generation}`),
    refresh: Redacted.make(`s3cr3t-refresh-${generation}`),
    expiresAt: DateTime.addDuration(now, lifetime)
  }))

/** Reads the generation from a token. */
export const generationOf = ({ refresh }: Token): number => Number(Redacted.value(refresh).split("-").at(-1))

/** The upstream refused. */
export class Refused extends Data.TaggedError("Refused")<{ readonly why: "revoked" | "unavailable" }> {}

/**
 * The upstream. `before` runs before it decides, `after` between its decision and its answer. A test can set both. A
 * spent token revokes the grant.
 */
export interface Upstream {
  generation: number
  revoked: boolean
  calls: number
  before: Effect.Effect<void, Refused>
  after: Effect.Effect<void>
  readonly refresh: (current: Option.Option<Token>) => Effect.Effect<Token, Refused>
}

export const makeUpstream = (): Upstream => {
  const upstream: Upstream = {
    generation: 0,
    revoked: false,
    calls: 0,
    before: Effect.void,
    after: Effect.void,
    refresh: (current) =>
      Effect.gen(function* () {
        upstream.calls++
        yield* upstream.before
        if (upstream.revoked || Option.getOrElse(Option.map(current, generationOf), () => 0) !== upstream.generation) {
          upstream.revoked = true
          return yield* new Refused({ why: "revoked" })
        }
        upstream.generation++
        const answer = yield* token(upstream.generation)
        yield* upstream.after
        return answer
      })
  }
  return upstream
}

/** A store with the object, an upstream, and processes. By default all processes see the faults of the store. */
export const setUp = Effect.gen(function* () {
  const faulty = yield* FaultyStore.make([id])
  const upstream = makeUpstream()
  const aProcess = (options?: Partial<RefreshOnce.Options<Token, Refused, never>>, store = faulty.store) =>
    RefreshOnce.makeFromStore({
      schema: Token,
      isFresh: ({ expiresAt }) => DateTime.isFuture(expiresAt),
      refresh: upstream.refresh,
      // Otherwise a test that fails would wait for a clock that nothing adjusts.
      grace: 0,
      ...options
    }).pipe(Effect.provideService(ObjectStore, store))
  const annotations = Effect.map(faulty.sound.read(id), (snapshot) => snapshot.annotations)
  /** The stored generation; `undefined` if there is none. */
  const stored = Effect.map(faulty.sound.read(id), ({ content }) => {
    const data = content?.["data"] as { readonly value?: string } | undefined
    return data?.value === undefined
      ? undefined
      : Number(/s3cr3t-refresh-(\d+)/.exec(Buffer.from(data.value, "base64").toString())![1])
  })
  return { ...faulty, upstream, aProcess, annotations, stored, location: RefreshOnce.inSecret("value") }
})

/** The store of one process. While the process is paused, its requests wait. */
export const pausable = (store: ObjectStore["Service"]) =>
  Effect.map(Latch.make(true), (running) => ({
    pause: Latch.close(running),
    resume: Latch.open(running),
    store: ObjectStore.of({
      ...store,
      read: (id) => Latch.whenOpen(running, store.read(id)),
      create: (id, annotations) => Latch.whenOpen(running, store.create(id, annotations)),
      compareAndSwap: (id, patch) => Latch.whenOpen(running, store.compareAndSwap(id, patch)),
      dryRun: (id, patch) => Latch.whenOpen(running, store.dryRun(id, patch)),
      watch: (id, options) => Stream.tap(store.watch(id, options), () => Latch.await(running))
    })
  }))

/** A store whose writes take as long as a test says. */
export const slowWrites = (store: ObjectStore["Service"]) =>
  Effect.sync(() => {
    let delay: Duration.Input = 0
    return {
      by: (duration: Duration.Input) => {
        delay = duration
      },
      store: ObjectStore.of({
        ...store,
        compareAndSwap: (id, patch) =>
          Effect.suspend(() => Effect.andThen(Effect.sleep(delay), store.compareAndSwap(id, patch)))
      })
    }
  })

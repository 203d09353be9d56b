/**
 * Processes that share a value while everything goes wrong, on a virtual clock, from a seed.
 *
 * The API server answers 401, 403, 404 or nothing, or late, at any step. It is out of reach for all processes for as long as a minute, or
 * for one of them for a quarter of one. Watches are refused, deaf, or late. The upstream answers late, refuses, or answers into the
 * void, and revokes the grant if a value is spent twice. Strangers delete the object, and add and remove keys. Processes crash.
 * In the end every spent value is accounted for.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as LockError from "../../src/LockError.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreMemory from "../../src/ObjectStoreMemory.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"

/** The value: the number of its rotation, and until when it is fresh, in milliseconds. */
const Token = Schema.Struct({ generation: Schema.Int, until: Schema.Int })
type Token = typeof Token.Type

class UpstreamError extends Data.TaggedError("UpstreamError")<{ readonly revoked: boolean }> {}

/** What may happen. */
export const kinds = ["faults", "outages", "strangers", "deletions", "crashes", "lost answers"] as const
type Kind = (typeof kinds)[number]

/** A world: its seed, and what happens in it. */
export interface Plan {
  readonly seed: number
  readonly kinds: ReadonlyArray<Kind>
}

/** A value that a process sent to the upstream, and when: it asked first, and the upstream decided later. */
interface Spending {
  readonly by: string
  readonly generation: number
  readonly askedAt: number
  readonly isAnswered: boolean
}

/**
 * How the grant was lost.
 *
 * - `Crash`: the process that spent the value crashed before it wrote the answer.
 * - `AnswerLost`: the answer of the upstream got lost.
 * - `Removed`: a stranger removed the answer from the object, or the lock together with it, and the next process had not seen the
 *   answer when it asked.
 */
export type Loss = "Crash" | "AnswerLost" | "Removed"

/** What came out. `problem` is what must not happen. */
export interface Result {
  readonly rotations: number
  readonly requests: ReadonlyMap<string, number>
  readonly loss: Loss | undefined
  readonly problem: string | undefined
}

const id = "token"
const lifetime = 20_000
const minutes = 4
/** How long the upstream takes at most to decide, and again to answer, in milliseconds. */
const slowest = 2000
/** How long it takes at most to answer now and then, if there are outages: longer than they last for one process. */
const slowestInOutage = 30_000
/** How long the API server is out of reach at most: for everybody, and for one process. In milliseconds. */
const longestOutage = { ofAll: 60_000, ofOne: 14_000 }
/** How long a request waits for an answer then. */
const requestTimeout = 5000
const both = { concurrency: "unbounded", discard: true } as const

/** Plays a world to its end. */
export const play = ({ kinds, seed }: Plan): Effect.Effect<Result, never, Scope.Scope> =>
  Effect.gen(function* () {
    const has = (kind: Kind) => kinds.includes(kind)
    const memory = yield* ObjectStoreMemory.make({ objects: [id] })
    const sound = memory.store
    const requests = new Map<string, number>()
    const spendings: Array<Spending> = []
    const crashed = new Map<string, number>()
    // When a process first had an answer, by the answer's generation, in milliseconds.
    const seen = new Map<string, Map<number, number>>()
    const stored = new Map<number, number>()
    const removals: Array<number> = []
    const history: Array<string> = []
    const outages = new Map<string, Latch.Latch>()
    let generation = 0
    let revokedBy: Spending | undefined
    let isCalm = false

    const happens = (chance: number) => Effect.map(Random.next, (dice) => !isCalm && dice < chance)
    const tell = (what: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (revokedBy === undefined) history.push(`${(now / 1000).toFixed(3)} ${what}`)
      })

    const storedGeneration = Effect.map(Effect.option(sound.read(id)), (found) => {
      const value = Option.getOrUndefined(found)?.content?.["data"] as { readonly value?: string } | undefined
      if (value?.value === undefined) return undefined
      return (JSON.parse(Buffer.from(value.value, "base64").toString()) as Token).generation
    })
    const noteStored = Effect.flatMap(storedGeneration, (found) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (found !== undefined && !stored.has(found)) stored.set(found, now)
      })
    )

    const unavailable = (verb: string) => new LockError.Unavailable({ object: id, verb, detail: "a fault of the test" })
    const errors = (verb: string): ReadonlyArray<LockError.StoreError> => [
      new LockError.Unauthorized({ object: id, detail: "the server answered 401" }),
      new LockError.Forbidden({ object: id, verb, status: 403, detail: "no" }),
      new LockError.NotFound({ id, object: id, missing: "resource" }),
      new LockError.NotFound({ id, object: id, missing: "object" }),
      unavailable(verb)
    ]

    const outageOf = (name: string) => outages.get("all") ?? outages.get(name)
    const outage = Effect.gen(function* () {
      const names = [...processes.keys()]
      const name = (yield* Random.nextBoolean) ? "all" : names[yield* Random.nextIntBetween(0, names.length - 1)]!
      const longest = name === "all" ? longestOutage.ofAll : longestOutage.ofOne
      const latch = yield* Latch.make(false)
      yield* tell(`the API server is out of reach of ${name}`)
      outages.set(name, latch)
      yield* Effect.sleep(yield* Random.nextIntBetween(1000, longest))
      outages.delete(name)
      yield* tell(`the API server is back for ${name}`)
      yield* Latch.open(latch)
      // Others need the time to find a lease that a process left behind expired.
      yield* Effect.sleep("30 seconds")
    })

    const storeOf = (name: string) => {
      const ask = <A>(verb: string, request: Effect.Effect<A, LockError.StoreError>) =>
        Effect.gen(function* () {
          if (crashed.has(name)) return yield* Effect.never
          if (outageOf(name) !== undefined) {
            yield* Effect.sleep(yield* Random.nextIntBetween(1, requestTimeout))
            return yield* unavailable(verb)
          }
          if (has("faults") && (yield* happens(verb === "commit" ? 0.25 : verb === "write" ? 0.12 : 0.06))) {
            const faults = errors(verb)
            const error = faults[yield* Random.nextIntBetween(0, faults.length - 1)]!
            const kind = error._tag === "LockNotFound" ? `404 ${error.missing}` : error._tag
            requests.set(`${verb}: ${kind}`, (requests.get(`${verb}: ${kind}`) ?? 0) + 1)
            yield* tell(`${name} ${verb}: ${kind}`)
            return yield* error
          }
          if (has("faults") && (yield* happens(0.05))) yield* Effect.sleep(yield* Random.nextIntBetween(100, 1500))
          if (crashed.has(name)) return yield* Effect.never
          const answer = yield* request
          yield* noteStored
          if (has("faults") && (yield* happens(0.04))) {
            requests.set(`${verb}: lost`, (requests.get(`${verb}: lost`) ?? 0) + 1)
            yield* tell(`${name} ${verb}: the answer is lost`)
            return yield* unavailable(verb)
          }
          if (crashed.has(name)) return yield* Effect.never
          return answer
        })
      const watch: ObjectStore["Service"]["watch"] = (id, options) =>
        Stream.unwrap(
          Effect.gen(function* () {
            const events = sound.watch(id, options).pipe(
              Stream.tap(() => {
                const outage = outageOf(name)
                return outage === undefined ? Effect.void : Latch.await(outage)
              }),
              Stream.filter(() => !crashed.has(name))
            )
            if (outageOf(name) !== undefined) return Stream.fail(unavailable("watch"))
            if (!has("faults") || !(yield* happens(0.5))) return events
            const fault = yield* Random.nextIntBetween(0, 3)
            if (fault === 0) {
              const faults = errors("watch")
              return Stream.fail(faults[yield* Random.nextIntBetween(0, faults.length - 1)]!)
            }
            if (fault === 1) return Stream.never
            if (fault === 2) return Stream.flattenIterable(Stream.grouped(events, 3))
            return Stream.tap(events, () => Effect.flatMap(Random.nextIntBetween(1, 2000), Effect.sleep))
          })
        )
      return ObjectStore.of({
        ...sound,
        watch,
        read: (id) => ask("read", sound.read(id)),
        create: (id, annotations) => ask("create", sound.create(id, annotations)),
        compareAndSwap: (id, patch) => ask("content" in patch ? "commit" : "write", sound.compareAndSwap(id, patch)),
        dryRun: (id, patch) => ask("dry run", sound.dryRun(id, patch))
      })
    }

    const refreshBy = (name: string) => (current: Option.Option<Token>) =>
      Effect.gen(function* () {
        const spent = Option.match(current, { onNone: () => 0, onSome: ({ generation }) => generation })
        const askedAt = yield* Clock.currentTimeMillis
        yield* Effect.sleep(yield* Random.nextIntBetween(10, slowest))
        if (crashed.has(name)) return yield* Effect.never
        if (yield* happens(0.1)) return yield* new UpstreamError({ revoked: false })
        const isAnswered = !(has("lost answers") && (yield* happens(0.05)))
        const spending = { by: name, generation: spent, askedAt, isAnswered }
        yield* tell(`${name} spends ${spent}`)
        if (revokedBy !== undefined || spent !== generation) {
          revokedBy ??= spending
          return yield* new UpstreamError({ revoked: true })
        }
        spendings.push(spending)
        generation++
        const answered = generation
        const isSlow = has("outages") && (yield* happens(0.2))
        yield* Effect.sleep(yield* Random.nextIntBetween(10, isSlow ? slowestInOutage : slowest))
        if (crashed.has(name)) return yield* Effect.never
        if (!isAnswered) return yield* new UpstreamError({ revoked: false })
        return { generation: answered, until: Math.round(yield* Clock.currentTimeMillis) + lifetime }
      })

    const aProcess = (name: string) =>
      Effect.gen(function* () {
        const known = new Map<number, number>()
        seen.set(name, known)
        const tokens = yield* RefreshOnce.makeFromStore({
          schema: Token,
          isFresh: ({ until }) => Effect.map(Clock.currentTimeMillis, (now) => now < until),
          refresh: refreshBy(name)
        }).pipe(Effect.provideService(ObjectStore, storeOf(name)))
        const caller = Effect.gen(function* () {
          const patience = yield* Random.nextIntBetween(500, 60_000)
          const token = yield* Effect.option(Effect.timeout(tokens.get(id), patience))
          if (Option.isSome(token)) {
            const { generation } = token.value
            if (!known.has(generation)) known.set(generation, yield* Clock.currentTimeMillis)
            if (yield* happens(0.03)) yield* Effect.option(tokens.invalidate(id, token.value))
          }
          yield* Effect.sleep(yield* Random.nextIntBetween(100, 5000))
        })
        const callers = yield* Effect.forkScoped(Effect.all([Effect.forever(caller), Effect.forever(caller)], both))
        return { tokens, callers }
      })

    // A process that crashes neither asks nor hears any more. Its scope stays open.
    const processes = new Map<
      string,
      Effect.Success<ReturnType<typeof aProcess>> & { readonly scope: Scope.Closeable }
    >()
    let started = 0
    const start = Effect.gen(function* () {
      const name = `p${++started}`
      const scope = yield* Scope.make()
      processes.set(name, { scope, ...(yield* Scope.provide(aProcess(name), scope)) })
    })
    const crash = Effect.gen(function* () {
      const names = [...processes.keys()]
      const name = names[yield* Random.nextIntBetween(0, names.length - 1)]!
      yield* tell(`${name} crashes`)
      crashed.set(name, yield* Clock.currentTimeMillis)
      yield* Effect.forkDetach(Fiber.interrupt(processes.get(name)!.callers))
      processes.delete(name)
      yield* start
    })

    const setData = (value: Schema.Json) =>
      Effect.gen(function* () {
        const { annotations } = yield* sound.read(id)
        const [key] = Object.keys(annotations)
        if (key === undefined) return false
        const expect = { annotations: { [key]: annotations[key]! } }
        return Option.isSome(
          yield* sound.compareAndSwap(id, { expect, annotations: {}, content: [{ path: ["data"], value }] })
        )
      }).pipe(Effect.orElseSucceed(() => false))
    const stranger = Effect.gen(function* () {
      const content = Option.getOrUndefined(yield* Effect.option(sound.read(id)))?.content
      const data = content?.["data"] as Readonly<Record<string, Schema.Json>> | undefined
      if (yield* Random.nextBoolean) {
        yield* setData({ ...data, [`other-${yield* Random.nextIntBetween(1, 9)}`]: "b3RoZXI=" })
      } else if (has("deletions")) {
        const isGone = yield* Random.nextBoolean
        const isDone = isGone ? yield* Effect.as(memory.delete(id), true) : yield* setData(null)
        if (!isDone) return
        yield* tell(isGone ? "a stranger deletes the object" : "a stranger removes the data")
        removals.push(yield* Clock.currentTimeMillis)
      }
    })

    for (let i = 0; i < 3; i++) yield* start
    const mischief = Effect.gen(function* () {
      yield* Effect.sleep(yield* Random.nextIntBetween(500, 8000))
      if (has("strangers")) yield* stranger
      if (has("crashes") && (yield* happens(0.3))) yield* crash
    })
    const outagesOf = Effect.andThen(Effect.flatMap(Random.nextIntBetween(1000, 30_000), Effect.sleep), outage)
    const storm = yield* Effect.forkChild(
      Effect.all([Effect.forever(mischief), has("outages") ? Effect.forever(outagesOf) : Effect.never], both)
    )
    yield* TestClock.adjust(`${minutes} minutes`)
    yield* Fiber.interrupt(storm)
    isCalm = true
    const stillOut = [...outages.values()]
    outages.clear()
    yield* Effect.forEach(stillOut, Latch.open)
    yield* TestClock.adjust("1 minute")
    for (const { callers } of processes.values()) yield* Effect.forkChild(Fiber.interrupt(callers))
    yield* TestClock.adjust("1 minute")

    const lossOf = (again: Spending): Loss | undefined => {
      const spender = spendings.find(({ generation }) => generation === again.generation)
      if (spender === undefined) return undefined
      const answer = again.generation + 1
      const storedAt = stored.get(answer) ?? Number.POSITIVE_INFINITY
      if (!spender.isAnswered) return "AnswerLost"
      if (storedAt === Number.POSITIVE_INFINITY && crashed.has(spender.by)) return "Crash"
      // A removal hides a written answer. It also ends the lock of a process that still waits for its answer.
      const [first, second] = again.askedAt < spender.askedAt ? [again, spender] : [spender, again]
      const from = storedAt <= second.askedAt ? storedAt : first.askedAt
      const isHidden = removals.some((at) => at >= from && at <= second.askedAt)
      const seenAt = seen.get(second.by)?.get(answer) ?? Number.POSITIVE_INFINITY
      return isHidden && seenAt > second.askedAt ? "Removed" : undefined
    }

    const loss = revokedBy === undefined ? undefined : lossOf(revokedBy)
    let problem: string | undefined
    if (revokedBy !== undefined && loss === undefined) {
      problem = `${revokedBy.by} spent ${revokedBy.generation} again, asked at ${revokedBy.askedAt / 1000} s`
    }
    if (revokedBy === undefined) {
      const last = yield* storedGeneration
      const lastSpending = spendings.at(-1)
      const isLost =
        lastSpending !== undefined && (!lastSpending.isAnswered || crashed.has(lastSpending.by) || removals.length > 0)
      if (last !== generation && !isLost) problem = `${String(last)} is stored, but ${generation} was issued`
      for (const [name, { tokens }] of processes) {
        const caller = yield* Effect.forkChild(Effect.exit(tokens.get(id)))
        yield* TestClock.adjust("40 seconds")
        const exit = caller.pollUnsafe()
        if (revokedBy !== undefined) break
        if (exit === undefined || Exit.isFailure(exit) || Exit.isFailure(exit.value))
          problem ??= `${name} gets no value`
      }
    }
    const closing = yield* Effect.forkChild(
      Effect.forEach([...processes.values()], ({ scope }) => Scope.close(scope, Exit.void), {
        concurrency: "unbounded"
      })
    )
    yield* TestClock.adjust("90 seconds")
    if (closing.pollUnsafe() === undefined) problem ??= "a scope does not close"
    return {
      rotations: generation,
      requests,
      loss,
      problem: problem === undefined ? undefined : `seed ${seed}: ${problem}\n${history.slice(-60).join("\n")}`
    }
  }).pipe(Random.withSeed(seed))

import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type * as Tracer from "effect/Tracer"
import * as LockError from "../src/LockError.ts"
import { ObjectStore } from "../src/ObjectStore.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as RefreshMetrics from "../src/RefreshMetrics.ts"
import * as RefreshOnce from "../src/RefreshOnce.ts"
import { generationOf, id, lifetime, pausable, Refused, setUp, slowWrites, Token, token } from "./refresh/fixture.ts"
import { keepSpans } from "./utils/keepSpans.ts"

const generations = Effect.map((tokens: ReadonlyArray<Parameters<typeof generationOf>[0]>) => tokens.map(generationOf))

describe("a fresh value", () => {
  it.effect("costs no request until isFresh says no", () =>
    Effect.gen(function* () {
      const { aProcess, requests, upstream } = yield* setUp
      const tokens = yield* aProcess()
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      requests.length = 0
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.lengthOf(requests, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(generationOf(yield* tokens.get(id)), 2)
      assert.strictEqual(upstream.calls, 2)
    })
  )

  it.effect("that another process stored costs one read", () =>
    Effect.gen(function* () {
      const { aProcess, requests, upstream } = yield* setUp
      yield* (yield* aProcess()).get(id)
      requests.length = 0
      assert.strictEqual(generationOf(yield* (yield* aProcess()).get(id)), 1)
      assert.deepStrictEqual(requests, ["read"])
      assert.strictEqual(upstream.calls, 1)
    })
  )

  it.effect("is remembered for as many ids as the capacity allows, and the least recently used is dropped first", () =>
    Effect.gen(function* () {
      const { aProcess, create, requests } = yield* Effect.map(setUp, (world) => ({
        ...world,
        create: (name: string) => world.sound.create(name, {})
      }))
      for (const name of ["a", "b", "c"]) yield* create(name)
      const tokens = yield* aProcess({ capacity: 2, refresh: () => token(1) })
      yield* tokens.get("a")
      yield* tokens.get("b")
      yield* tokens.get("a")
      yield* tokens.get("c")
      requests.length = 0
      yield* tokens.get("a")
      yield* tokens.get("c")
      assert.lengthOf(requests, 0)
      yield* tokens.get("b")
      assert.isNotEmpty(requests)
    })
  )
})

describe("a rotation", () => {
  it.effect("costs two requests if the process was the last holder of the lock", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, requests } = yield* setUp
      const tokens = yield* aProcess()
      yield* tokens.get(id)
      for (let generation = 2; generation < 5; generation++) {
        yield* TestClock.adjust(lifetime)
        requests.length = 0
        assert.strictEqual(generationOf(yield* tokens.get(id)), generation)
        assert.deepStrictEqual(requests, ["write", "write"])
        assert.deepStrictEqual(yield* annotations, {})
      }
    })
  )

  it.effect("happens once for all callers in all processes", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      upstream.before = Effect.sleep("3 seconds")
      const processes = yield* Effect.all([aProcess(), aProcess(), aProcess()])
      for (let generation = 1; generation < 4; generation++) {
        const callers = yield* Effect.forkChild(
          Effect.all(
            processes.flatMap(({ get }) => [get(id), get(id), get(id)]),
            { concurrency: "unbounded" }
          ).pipe(generations)
        )
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual(
          yield* Fiber.join(callers),
          Array.from({ length: 9 }, () => generation)
        )
        assert.strictEqual(upstream.calls, generation)
        yield* TestClock.adjust(lifetime)
      }
      assert.isFalse(upstream.revoked)
    })
  )

  it.effect("costs the processes that lost the race no write", () =>
    Effect.gen(function* () {
      const { aProcess, requests, upstream } = yield* setUp
      upstream.before = Effect.sleep("3 seconds")
      const first = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("1 second")
      requests.length = 0
      const others = yield* Effect.all([aProcess(), aProcess(), aProcess()])
      const waiting = yield* Effect.forkChild(
        Effect.all(
          others.map(({ get }) => get(id)),
          { concurrency: "unbounded" }
        ).pipe(generations)
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(first)
      assert.deepStrictEqual(yield* Fiber.join(waiting), [1, 1, 1])
      assert.deepStrictEqual(
        requests.filter((request) => request === "write"),
        ["write"]
      )
    })
  )

  it.effect("passes the stored value and the fencing token to refresh", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const seen: Array<readonly [generation: number | undefined, context: RefreshOnce.RefreshContext]> = []
      const tokens = yield* aProcess({
        refresh: (current, context) => {
          seen.push([Option.getOrUndefined(Option.map(current, generationOf)), context])
          return token(seen.length)
        }
      })
      yield* tokens.get(id)
      yield* TestClock.adjust(lifetime)
      yield* tokens.get(id)
      assert.deepStrictEqual(
        seen.map(([generation]) => generation),
        [undefined, 1]
      )
      assert.isAbove(Number(seen[1]![1].fencingToken), Number(seen[0]![1].fencingToken))
    })
  )
})

describe("invalidate", () => {
  it.effect("refreshes a value that is still the stored one, once for all callers that reject it", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      upstream.before = Effect.sleep("1 second")
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      const first = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      const spent = yield* Fiber.join(first)
      yield* two.get(id)
      const renewed = yield* Effect.forkChild(
        Effect.all(
          [one, one, two, two].map((tokens) => tokens.invalidate(id, spent)),
          { concurrency: "unbounded" }
        ).pipe(generations)
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(renewed), [2, 2, 2, 2])
      assert.strictEqual(upstream.calls, 2)
    })
  )

  it.effect("returns the stored value if that is a newer one", () =>
    Effect.gen(function* () {
      const { aProcess, requests, upstream } = yield* setUp
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      const spent = yield* one.get(id)
      yield* two.get(id)
      yield* one.invalidate(id, spent)
      requests.length = 0
      assert.strictEqual(generationOf(yield* one.invalidate(id, spent)), 2)
      assert.lengthOf(requests, 0)
      assert.strictEqual(generationOf(yield* two.invalidate(id, spent)), 2)
      assert.strictEqual(upstream.calls, 2)
    })
  )

  it.effect("never returns a cached value that is older than the rejected one", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      const first = yield* one.get(id)
      yield* two.get(id)
      const second = yield* one.invalidate(id, first)
      for (const expected of [3, 3]) assert.strictEqual(generationOf(yield* two.invalidate(id, second)), expected)
      assert.strictEqual(generationOf(yield* two.get(id)), 3)
      assert.strictEqual(upstream.calls, 3)
    })
  )

  it.effect("asks the upstream each time if that answers the very value, which is not spent", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      const same = yield* token(1)
      let asked = 0
      const tokens = yield* aProcess({
        refresh: () =>
          Effect.as(
            Effect.andThen(
              Effect.sync(() => void asked++),
              upstream.before
            ),
            same
          )
      })
      yield* tokens.get(id)
      for (const times of [2, 3]) {
        assert.strictEqual(generationOf(yield* tokens.invalidate(id, same)), 1)
        assert.strictEqual(asked, times)
      }
      upstream.before = new Refused({ why: "unavailable" })
      yield* Effect.flip(tokens.invalidate(id, same))
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
    })
  )

  it.effect("that fails makes the next caller look at the object, whose value is cached again", () =>
    Effect.gen(function* () {
      const { aProcess, requests, upstream } = yield* setUp
      const tokens = yield* aProcess()
      const value = yield* tokens.get(id)
      upstream.before = new Refused({ why: "unavailable" })
      assert.strictEqual((yield* Effect.flip(tokens.invalidate(id, value)))._tag, "Refused")
      requests.length = 0
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.isNotEmpty(requests)
      requests.length = 0
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.lengthOf(requests, 0)
    })
  )

  it.effect("is not noticed by other processes, which hand out what they have cached", () =>
    Effect.gen(function* () {
      const { aProcess } = yield* setUp
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      yield* one.invalidate(id, yield* two.get(id))
      assert.strictEqual(generationOf(yield* two.get(id)), 1)
      assert.strictEqual(generationOf(yield* one.get(id)), 2)
    })
  )

  it.effect("reaches a flight that has not decided yet", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const spent = yield* (yield* aProcess()).get(id)
      const us = yield* pausable(sound)
      const two = yield* aProcess({}, us.store)
      yield* us.pause
      const flight = yield* Effect.forkChild(two.get(id), { startImmediately: true })
      const invalidated = yield* Effect.forkChild(two.invalidate(id, spent), { startImmediately: true })
      yield* us.resume
      assert.strictEqual(generationOf(yield* Fiber.join(invalidated)), 2)
      assert.strictEqual(generationOf(yield* Fiber.join(flight)), 2)
      assert.strictEqual(upstream.calls, 2)
    })
  )

  it.effect("does not accept the answer of a flight that decided before the call", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const slow = yield* slowWrites(sound)
      const [one, two] = [yield* aProcess(), yield* aProcess({}, slow.store)]
      yield* two.get(id)
      yield* TestClock.adjust(lifetime)
      const spent = yield* one.get(id)
      slow.by("1 second")
      const flight = yield* Effect.forkChild(two.get(id))
      // The flight tried its remembered value, took the lock, found that the stored value is fresh, and is about to release.
      yield* TestClock.adjust("2500 millis")
      const invalidated = yield* Effect.forkChild(two.invalidate(id, spent))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(flight)), 2)
      assert.strictEqual(generationOf(yield* Fiber.join(invalidated)), 3)
      assert.strictEqual(upstream.calls, 3)
    })
  )
})

describe("callers", () => {
  it.effect("can leave one by one, and the last one ends a flight that waits for the lock", () =>
    Effect.gen(function* () {
      const { aProcess, annotations, requests, upstream, watching } = yield* setUp
      watching.fault = new LockError.Unavailable({ object: id, verb: "watch", detail: "a fault of the test" })
      upstream.before = Effect.never
      yield* Effect.forkChild((yield* aProcess()).get(id))
      const held = yield* Effect.andThen(TestClock.adjust("1 second"), annotations)
      const tokens = yield* aProcess()
      const [first, second] = yield* Effect.all([Effect.forkChild(tokens.get(id)), Effect.forkChild(tokens.get(id))])
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(first)
      requests.length = 0
      yield* TestClock.adjust("1 second")
      assert.lengthOf(requests, 10)
      yield* Fiber.interrupt(second)
      requests.length = 0
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(requests, [])
      assert.deepStrictEqual(yield* annotations, held)
    })
  )

  it.effect("that leave do not stop a running upstream, whose answer is written", () =>
    Effect.gen(function* () {
      const { aProcess, requests, stored, upstream } = yield* setUp
      upstream.after = Effect.sleep("3 seconds")
      const tokens = yield* aProcess({ grace: "10 seconds" })
      const impatient = yield* Effect.forkChild(Effect.timeoutOption(tokens.get(id), "1 second"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* Fiber.join(impatient)))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* stored, 1)
      requests.length = 0
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.lengthOf(requests, 0)
    })
  )

  it.effect("that leave do not stop the write, and can come back to it", () =>
    Effect.gen(function* () {
      const { aProcess, requests, store, upstream } = yield* setUp
      const slow = yield* slowWrites(store)
      upstream.after = Effect.sleep("1500 millis")
      const tokens = yield* aProcess({ grace: "1 second" }, slow.store)
      const impatient = yield* Effect.forkChild(Effect.timeoutOption(tokens.get(id), "1 second"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(impatient)
      slow.by("2 seconds")
      yield* TestClock.adjust("1500 millis")
      requests.length = 0
      const back = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(back)), 1)
      assert.notInclude(requests, "read")
      assert.strictEqual(upstream.calls, 1)
    })
  )

  it.effect("that leave do not stop an answer that arrives during a request which cannot be called back", () =>
    Effect.gen(function* () {
      const { aProcess, sound, stored, upstream } = yield* setUp
      let isSlow = false
      const late = <A, E>(request: Effect.Effect<A, E>) =>
        Effect.suspend(() => (isSlow ? Effect.uninterruptible(Effect.delay(request, "20 seconds")) : request))
      const store = ObjectStore.of({
        ...sound,
        read: (id) => late(sound.read(id)),
        compareAndSwap: (id, patch) => late(sound.compareAndSwap(id, patch))
      })
      upstream.after = Effect.sleep("15 seconds")
      const tokens = yield* aProcess({ grace: "15 seconds" }, store)
      const impatient = yield* Effect.forkChild(Effect.timeoutOption(tokens.get(id), "1 second"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(impatient)
      // The lease expires, and is about to be written anew when the answer arrives. Then the grace is over.
      isSlow = true
      yield* TestClock.adjust("19 seconds")
      isSlow = false
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* stored, 1)
    })
  )

  it.effect("can come back to a flight that they left", () =>
    Effect.gen(function* () {
      const { aProcess, upstream } = yield* setUp
      upstream.after = Effect.sleep("15 seconds")
      const tokens = yield* aProcess({ grace: "10 seconds" })
      for (const _ of [1, 2]) {
        const impatient = yield* Effect.forkChild(Effect.timeoutOption(tokens.get(id), "1 second"))
        yield* TestClock.adjust("6 seconds")
        yield* Fiber.join(impatient)
      }
      const patient = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(patient)), 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )

  it.effect("that leave let a hanging upstream run for the grace period, then the lock is released", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, upstream } = yield* setUp
      upstream.before = Effect.never
      const tokens = yield* aProcess({ grace: "5 seconds" })
      const impatient = yield* Effect.forkChild(Effect.timeoutOption(tokens.get(id), "1 second"))
      yield* TestClock.adjust("5900 millis")
      yield* Fiber.join(impatient)
      assert.isNotEmpty(yield* annotations)
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* annotations, {})
      const interrupted = Metric.withAttributes(RefreshMetrics.refreshes, { outcome: "Interrupted" })
      assert.strictEqual((yield* Metric.value(interrupted)).count, 1)
      upstream.before = Effect.void
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("all get a defect of the upstream", () =>
    Effect.gen(function* () {
      const { annotations, aProcess } = yield* setUp
      const tokens = yield* aProcess({ refresh: () => Effect.die("a bug") })
      const exits = yield* Effect.all([Effect.exit(tokens.get(id)), Effect.exit(tokens.get(id))], {
        concurrency: "unbounded"
      })
      for (const exit of exits) assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(yield* annotations, {})
    })
  )
})

describe("closing the scope", () => {
  it.effect("lets a refresh finish within the grace period, and writes its answer", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, stored, upstream } = yield* setUp
      upstream.after = Effect.sleep("3 seconds")
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(aProcess({ grace: "10 seconds" }), scope)
      const caller = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.deepStrictEqual(yield* annotations, {})
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(Effect.andThen(TestClock.adjust(lifetime), tokens.get(id)))))
    })
  )

  it.effect("ends in bounded time, also if another process took the lock over and its upstream hangs", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const us = yield* pausable(sound)
      const scope = yield* Scope.make()
      const policy = LockPolicy.make({ waitSchedule: Schedule.spaced("100 millis") })
      const tokens = yield* Scope.provide(aProcess({ policy, grace: "10 seconds" }, us.store), scope)
      upstream.after = Effect.sleep("20 seconds")
      yield* Effect.forkChild(tokens.get(id))
      yield* Effect.andThen(TestClock.adjust("1 second"), us.pause)
      yield* TestClock.adjust("15 seconds")
      upstream.after = Effect.never
      upstream.generation = 0
      yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* Effect.andThen(TestClock.adjust("2 seconds"), us.resume)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("60 seconds")
      assert.isDefined(closing.pollUnsafe())
    })
  )

  it.effect("ends waiting flights at once, and hanging ones after the grace period", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, upstream } = yield* setUp
      upstream.before = Effect.never
      const [one, two] = [yield* Scope.make(), yield* Scope.make()]
      yield* Effect.forkChild((yield* Scope.provide(aProcess({ grace: "10 seconds" }), one)).get(id))
      yield* TestClock.adjust("1 second")
      yield* Effect.forkChild((yield* Scope.provide(aProcess({ grace: "10 seconds" }), two)).get(id))
      yield* TestClock.adjust("1 second")
      yield* Scope.close(two, Exit.void)
      const closing = yield* Effect.forkChild(Scope.close(one, Exit.void))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )
})

describe("the services of refresh", () => {
  class Generation extends Context.Service<Generation, { readonly first: number }>()("test/Generation") {}

  it.effect("are those of make, not those of the first caller; spans are the caller's", () =>
    Effect.gen(function* () {
      const { store } = yield* setUp
      const { spans, tracer } = keepSpans()
      const tokens = yield* RefreshOnce.makeFromStore({
        schema: Token,
        isFresh: () => Effect.succeed(true),
        refresh: () =>
          Effect.withSpan(
            Effect.flatMap(Generation, ({ first }) => token(first)),
            "asked"
          )
      }).pipe(
        Effect.provideService(Generation, { first: 17 }),
        Effect.provideService(ObjectStore, store),
        Effect.withSpan("made")
      )
      const obtained = yield* tokens
        .get(id)
        .pipe(Effect.provideService(Generation, { first: 4 }), Effect.withSpan("called"), Effect.withTracer(tracer))
      assert.strictEqual(generationOf(obtained), 17)
      const ancestors = (span: Tracer.AnySpan | undefined): ReadonlyArray<string> =>
        span?._tag === "Span" ? [span.name, ...ancestors(Option.getOrUndefined(span.parent))] : []
      const asked = spans.find(({ name }) => name === "asked")
      assert.deepStrictEqual(ancestors(asked).at(-1), "called")
    })
  )
})

describe("replace", () => {
  it.effect("stores a value that comes from elsewhere, and refresh goes on from it", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, stored, upstream } = yield* setUp
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      yield* one.get(id)
      upstream.generation = 7
      yield* one.replace(id, yield* token(7))
      assert.strictEqual(yield* stored, 7)
      assert.deepStrictEqual(yield* annotations, {})
      assert.strictEqual(generationOf(yield* one.get(id)), 7)
      yield* TestClock.adjust(lifetime)
      assert.strictEqual(generationOf(yield* two.get(id)), 8)
      assert.isFalse(upstream.revoked)
    })
  )

  it.effect("overwrites a value that cannot be read", () =>
    Effect.gen(function* () {
      const { aProcess, location, sound } = yield* setUp
      const other = yield* aProcess({ location: { ...location, path: ["data", "value", "inner"] } })
      yield* other.get(id)
      const tokens = yield* aProcess()
      assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshUnreadable")
      yield* tokens.replace(id, yield* token(5))
      assert.strictEqual(generationOf(yield* tokens.get(id)), 5)
      assert.isString(((yield* sound.read(id)).content as { data: { value: unknown } }).data.value)
    })
  )

  it.effect("that is refused is an error, and its value is not handed out", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, faults, stored } = yield* setUp
      const tokens = yield* aProcess()
      yield* tokens.get(id)
      const rejected = new LockError.Rejected({ object: id, verb: "patch", status: 422, detail: "Invalid" })
      faults.push(["write", "None"], ["write", rejected])
      const error = yield* Effect.flip(tokens.replace(id, yield* token(7)))
      assert.isTrue(error._tag === "RefreshNotWritten" && error.reason === rejected, String(error))
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )

  it.effect("ends at once if its caller gives up while it waits for the lock", () =>
    Effect.gen(function* () {
      const { aProcess, stored, upstream } = yield* setUp
      upstream.after = Effect.sleep("5 seconds")
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      const refreshed = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      const replaced = yield* Effect.forkChild(two.replace(id, yield* token(9)))
      yield* TestClock.adjust("1 second")
      yield* Effect.forkChild(Fiber.interrupt(replaced))
      yield* TestClock.adjust("1 millis")
      assert.isDefined(replaced.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(refreshed)), 1)
      assert.strictEqual(yield* stored, 1)
    })
  )

  it.effect("waits for a refresh that is under way, and then overwrites its value", () =>
    Effect.gen(function* () {
      const { aProcess, stored, upstream } = yield* setUp
      upstream.after = Effect.sleep("2 seconds")
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      const refreshed = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      const replaced = yield* Effect.forkChild(two.replace(id, yield* token(9)))
      yield* TestClock.adjust("500 millis")
      assert.isUndefined(replaced.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(replaced)
      assert.strictEqual(generationOf(yield* Fiber.join(refreshed)), 1)
      assert.strictEqual(yield* stored, 9)
    })
  )
})

it.effect("a schema of versions reads what older replicas stored", () =>
  Effect.gen(function* () {
    const { store } = yield* setUp
    const Old = Schema.Struct({ token: Schema.String })
    const New = Schema.Struct({ version: Schema.tag("2"), token: Schema.String, scope: Schema.String })
    const Versions = Schema.Union([New, Old])
    const made = <A>(schema: Schema.Codec<A, unknown>, value: A) =>
      RefreshOnce.makeFromStore({
        schema,
        isFresh: () => Effect.succeed(true),
        refresh: () => Effect.succeed(value)
      }).pipe(Effect.provideService(ObjectStore, store))
    yield* (yield* made(Old, { token: "a" })).get(id)
    const tokens = yield* made(Versions, { version: "2", token: "b", scope: "s" })
    const old = yield* tokens.get(id)
    assert.deepStrictEqual(old, { token: "a" })
    assert.deepStrictEqual(yield* tokens.invalidate(id, old), { version: "2", token: "b", scope: "s" })
  })
)

it.effect("a value that is not fresh when it arrives is handed out, and refreshed by the next caller", () =>
  Effect.gen(function* () {
    const { aProcess, upstream } = yield* setUp
    const tokens = yield* aProcess({ isFresh: () => Effect.succeed(false) })
    for (const generation of [1, 2, 3]) assert.strictEqual(generationOf(yield* tokens.get(id)), generation)
    assert.isFalse(upstream.revoked)
  })
)

it.effect("an error of the upstream is typed, and nothing is stored", () =>
  Effect.gen(function* () {
    const { aProcess, sound } = yield* setUp
    const tokens = yield* aProcess({ refresh: () => new Refused({ why: "unavailable" }) })
    const error = yield* Effect.flip(tokens.get(id))
    assert.deepInclude(error, { _tag: "Refused", why: "unavailable" })
    assert.deepStrictEqual((yield* sound.read(id)).content, {})
  })
)

/** An answer that cannot be written: found out before the upstream is asked, or kept until it can be. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Lock from "../../src/Lock.ts"
import * as LockError from "../../src/LockError.ts"
import { type FieldPatch, ObjectStore } from "../../src/ObjectStore.ts"
import * as RefreshMetrics from "../../src/RefreshMetrics.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as Resource from "../../src/Resource.ts"
import { generationOf, id, lifetime, pausable, Refused, setUp, token } from "./fixture.ts"

const rejected = new LockError.Rejected({ object: id, verb: "patch", status: 422, detail: "Invalid" })
const forbidden = new LockError.Forbidden({ object: id, verb: "patch", status: 403, detail: "no" })

/** A test with metrics of its own, and with what is logged. */
const scenario = <E>(name: string, body: (lines: Array<string>) => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(name, () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel} ${String(message)}`))
    return body(lines).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })

const ended = (outcome: string) =>
  Effect.map(Metric.value(Metric.withAttributes(RefreshMetrics.refreshes, { outcome })), ({ count }) => count)

/** How many values are not written, of all that the process shares. */
const unwritten = Effect.map(Metric.value(RefreshMetrics.unwritten), ({ value }) => value)

/** Writes fields of the object as a stranger does. */
const stranger = ({ sound }: Effect.Success<typeof setUp>, ...content: ReadonlyArray<FieldPatch>) =>
  Effect.gen(function* () {
    yield* Effect.flatMap(sound.read(id), ({ resourceVersion }) =>
      sound.compareAndSwap(id, { expect: { resourceVersion }, annotations: { stranger: "1" } })
    )
    const written = yield* sound.compareAndSwap(id, {
      expect: { annotations: { stranger: "1" } },
      annotations: {},
      content
    })
    assert.isTrue(Option.isSome(written))
  })

/** What an effect answers within a second. */
const within = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.flatMap(Effect.forkChild(effect), (fiber) => Effect.andThen(TestClock.adjust("1 second"), Fiber.join(fiber)))

/** A process whose answer could not be written: each write of content is refused while `denied` is set. */
const denying = (world: Effect.Success<typeof setUp>) => {
  const policy = { denied: true }
  const store = ObjectStore.of({
    ...world.store,
    compareAndSwap: (id, patch) =>
      policy.denied && "content" in patch ? Effect.fail(rejected) : world.store.compareAndSwap(id, patch),
    dryRun: (id, patch) => (policy.denied ? Effect.fail(rejected) : world.store.dryRun(id, patch))
  })
  return { policy, store }
}

describe("before the upstream is asked", () => {
  scenario("a dry run shows whether the answer can be written, if this process has not written yet", () =>
    Effect.gen(function* () {
      const { aProcess, requests, sound, stored } = yield* setUp
      const tokens = yield* aProcess()
      yield* tokens.get(id)
      assert.deepStrictEqual(requests, ["read", "write", "dry run", "write"])
      requests.length = 0
      yield* TestClock.adjust(lifetime)
      yield* tokens.get(id)
      assert.deepStrictEqual(requests, ["write", "write"])
      assert.strictEqual(yield* stored, 2)
      const { content } = yield* sound.read(id)
      assert.notMatch(Buffer.from((content as { data: { value: string } }).data.value, "base64").toString(), /\s$/)
    })
  )

  for (const error of [forbidden, rejected]) {
    scenario(`a dry run that is refused (${error._tag}) is a typed error, and nothing is spent`, () =>
      Effect.gen(function* () {
        const { annotations, aProcess, faults, upstream } = yield* setUp
        faults.push(["dry run", error])
        const tokens = yield* aProcess()
        const failure = yield* Effect.flip(tokens.get(id))
        assert.isTrue(failure._tag === "RefreshNotWritable" && failure.reason._tag === error._tag)
        assert.strictEqual(upstream.calls, 0)
        assert.deepStrictEqual(yield* annotations, {})
        assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      })
    )
  }

  scenario("a dry run without an answer is made again", () =>
    Effect.gen(function* () {
      const { aProcess, faults, requests, upstream } = yield* setUp
      faults.push(["dry run", "Refused"], ["dry run", "Hangs"])
      const caller = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(upstream.calls, 1)
      assert.lengthOf(
        requests.filter((request) => request === "dry run"),
        3
      )
    })
  )

  scenario("a webhook that takes no dry run stops nothing", () =>
    Effect.gen(function* () {
      const { aProcess, store } = yield* setUp
      const tokens = yield* aProcess({}, { ...store, dryRun: () => Effect.succeed({ _tag: "Unknown" }) })
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
    })
  )

  scenario("a dry run shows that another process has taken the lock over", () =>
    Effect.gen(function* () {
      const { aProcess, sound, upstream } = yield* setUp
      const other = yield* Lock.make().pipe(Effect.provideService(ObjectStore, sound))
      const scope = yield* Scope.make()
      const takeOver = Effect.andThen(
        Effect.orDie(other.break(id)),
        Scope.provide(Effect.orDie(other.tryScoped(id)), scope)
      )
      let isFirst = true
      const dryRun: typeof sound.dryRun = (id, patch) =>
        Effect.andThen(
          Effect.suspend(() => (isFirst ? Effect.as(takeOver, (isFirst = false)) : Effect.void)),
          sound.dryRun(id, patch)
        )
      const caller = yield* Effect.forkChild((yield* aProcess({}, { ...sound, dryRun })).get(id))
      yield* TestClock.adjust("5 seconds")
      const asked = upstream.calls
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(asked, 0)
    })
  )

  scenario("a dry run that finds the object gone makes the process look again", () =>
    Effect.gen(function* () {
      const { aProcess, faults, upstream } = yield* setUp
      faults.push(["dry run", new LockError.NotFound({ id, object: id, missing: "object" })])
      assert.strictEqual(generationOf(yield* within((yield* aProcess()).get(id))), 1)
      assert.strictEqual(upstream.calls, 1)
    })
  )

  scenario("a dry run that is refused since somebody has changed the object makes the process look again", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      let isFirst = true
      const dryRun: typeof world.sound.dryRun = (id, patch) =>
        Effect.gen(function* () {
          if (isFirst) yield* Effect.orDie(stranger(world, { path: ["data"], value: { other: "dGhlaXJz" } }))
          isFirst = false
          return yield* world.sound.dryRun(id, patch)
        })
      const tokens = yield* world.aProcess({}, { ...world.sound, dryRun })
      assert.strictEqual(generationOf(yield* within(tokens.get(id))), 1)
      assert.strictEqual(world.upstream.calls, 1)
    })
  )

  scenario("a field that the server drops is found out", () =>
    Effect.gen(function* () {
      const { aProcess, store, upstream } = yield* setUp
      const pruning = ObjectStore.of({
        ...store,
        dryRun: (id, patch) =>
          Effect.map(store.dryRun(id, patch), (answer) =>
            answer._tag === "Accepted" ? { ...answer, snapshot: { ...answer.snapshot, content: {} } } : answer
          )
      })
      const error = yield* Effect.flip((yield* aProcess({}, pruning)).get(id))
      assert.isTrue(error._tag === "RefreshNotWritable" && error.reason._tag === "LockAltered")
      assert.include(error.message, "the field data.value as sent")
      assert.strictEqual(upstream.calls, 0)
    })
  )

  for (const [name, location] of [
    ["a Secret", RefreshOnce.inSecret("value")],
    ["a ConfigMap", { resource: Resource.configMap, path: ["binaryData", "value"], createIfMissing: true }]
  ] as const) {
    scenario(`${name} that says that it is immutable is believed`, () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const tokens = yield* world.aProcess({ location })
        yield* tokens.get(id)
        yield* stranger(world, { path: ["immutable"], value: true })
        yield* TestClock.adjust(lifetime)
        world.requests.length = 0
        const error = yield* Effect.flip(tokens.get(id))
        assert.include(error.message, "the object says of itself that it is immutable")
        assert.notInclude(world.requests, "dry run")
        assert.strictEqual(world.upstream.calls, 1)
        assert.deepStrictEqual((yield* world.annotations)["kubelock.dev/lock"], undefined)
      })
    )
  }

  scenario("something else in the place of an object on the way is found out", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      yield* stranger(world, { path: ["data"], value: "a string" })
      const error = yield* Effect.flip((yield* world.aProcess()).get(id))
      assert.isTrue(error._tag === "RefreshNotWritable" && error.reason._tag === "LockRejected", String(error))
      assert.strictEqual(world.upstream.calls, 0)
    })
  )
})

describe("an answer that could not be written", () => {
  scenario("is served, counted and logged, and written as soon as it can be", (lines) =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { policy, store } = denying(world)
      const tokens = yield* world.aProcess({}, { ...store, dryRun: world.sound.dryRun })
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.strictEqual(generationOf(yield* tokens.get(id)), 1)
      assert.isUndefined(yield* world.stored)
      assert.strictEqual(yield* unwritten, 1)
      assert.strictEqual(yield* ended("NotWritten"), 1)
      assert.match(lines.join("\n"), /^Error Could not write the new value of .* This process keeps it/)
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(yield* world.stored)
      policy.denied = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* world.stored, 1)
      assert.strictEqual(yield* unwritten, 0)
      assert.strictEqual(world.upstream.calls, 1)
      assert.match(lines.at(-1)!, /^Info Wrote the new value/)
    })
  )

  scenario("is kept while the API server is out of reach for longer than the commit is tried", () =>
    Effect.gen(function* () {
      const { aProcess, faults, stored, upstream } = yield* setUp
      faults.push(["write", "None"], ...Array.from({ length: 500 }, () => ["write", "Refused"] as const))
      const tokens = yield* aProcess()
      const caller = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      faults.length = 0
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* stored, 1)
      assert.strictEqual(upstream.calls, 1)
      yield* TestClock.adjust(lifetime)
      const next = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("1 second")
      assert.isDefined(next.pollUnsafe())
      assert.strictEqual(generationOf(yield* Fiber.join(next)), 2)
    })
  )

  scenario("is kept, too, if the process comes to know more values meanwhile than it remembers", () =>
    Effect.gen(function* () {
      const { aProcess, faults, sound, stored, upstream } = yield* setUp
      const tokens = yield* aProcess({ capacity: 1 })
      yield* tokens.get(id)
      yield* TestClock.adjust(lifetime)
      yield* (yield* aProcess({ refresh: () => token(9) }, sound)).get("other")
      faults.push(["write", "None"], ...Array.from({ length: 500 }, () => ["write", "Refused"] as const))
      const caller = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(generationOf(yield* tokens.get("other")), 9)
      yield* TestClock.adjust("35 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 2)
      faults.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* stored, 2)
      assert.strictEqual(upstream.calls, 2)
    })
  )

  scenario("is what the next refresh gets, once that can be written, and the spent value is not sent again", (lines) =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { policy, store } = denying(world)
      const tokens = yield* world.aProcess({}, store)
      policy.denied = false
      yield* tokens.get(id)
      yield* TestClock.adjust(lifetime)
      policy.denied = true
      assert.strictEqual(generationOf(yield* tokens.get(id)), 2)
      assert.strictEqual(yield* world.stored, 1)
      yield* TestClock.adjust(lifetime)
      assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshNotWritable")
      assert.strictEqual(world.upstream.calls, 2)
      policy.denied = false
      assert.strictEqual(generationOf(yield* tokens.get(id)), 3)
      assert.strictEqual(yield* world.stored, 3)
      assert.isFalse(world.upstream.revoked)
      yield* TestClock.adjust("10 seconds")
      assert.match(lines.at(-1)!, /^Info .* need not be written any more/)
    })
  )

  scenario("is dropped if another process has stored another value", (lines) =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { policy, store } = denying(world)
      const tokens = yield* world.aProcess({}, { ...store, dryRun: world.sound.dryRun })
      yield* tokens.get(id)
      world.upstream.generation = 6
      const other = yield* world.aProcess({
        refresh: () => Effect.suspend(() => world.upstream.refresh(Option.none())).pipe(Effect.orDie)
      })
      world.upstream.generation = 0
      world.upstream.calls = 0
      yield* other.replace(id, { ...(yield* tokens.get(id)), expiresAt: DateTime.makeUnsafe("2100-01-01") })
      policy.denied = false
      yield* TestClock.adjust("10 seconds")
      assert.match(lines.at(-1)!, /^Warn Dropped the new value/)
      assert.strictEqual(DateTime.toEpochMillis((yield* tokens.get(id)).expiresAt), Date.parse("2100-01-01"))
    })
  )

  scenario("is counted beside those of the other values that the process shares, until its scope closes", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [one, two] = [denying(world), denying(world)]
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(world.aProcess({}, { ...one.store, dryRun: world.sound.dryRun }), scope)
      const others = yield* world.aProcess({ refresh: () => token(9) }, { ...two.store, dryRun: world.sound.dryRun })
      yield* tokens.get(id)
      yield* others.get("other")
      assert.strictEqual(yield* unwritten, 2)
      two.policy.denied = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* unwritten, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* unwritten, 0)
    })
  )

  scenario("is written last thing when the scope closes, or reported as lost", (lines) =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { policy, store } = denying(world)
      for (const denied of [false, true]) {
        policy.denied = true
        const scope = yield* Scope.make()
        const tokens = yield* Scope.provide(world.aProcess({}, { ...store, dryRun: world.sound.dryRun }), scope)
        const caller = yield* Effect.forkChild(tokens.get(id))
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(caller)
        policy.denied = denied
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* world.stored, 1)
        assert.match(lines.at(-1)!, denied ? /^Error .* is lost, since this process ends/ : /^Info Wrote/)
        yield* TestClock.adjust(lifetime)
      }
    })
  )
})

describe("the last write", () => {
  scenario("waits five seconds for an API server that does not answer", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const { store } = denying(world)
      const us = yield* pausable({ ...store, dryRun: world.sound.dryRun })
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(world.aProcess({}, us.store), scope)
      yield* within(tokens.get(id))
      yield* us.pause
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("6 seconds")
      const isClosed = closing.pollUnsafe() !== undefined
      yield* us.resume
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isClosed)
    })
  )
})

describe("the object that is deleted while the upstream is asked", () => {
  const deletion = (createIfMissing: boolean) =>
    Effect.gen(function* () {
      const world = yield* setUp
      world.upstream.after = Effect.andThen(world.delete(id), Effect.sleep("1 second"))
      const tokens = yield* world.aProcess({ location: { ...world.location, createIfMissing } })
      const caller = yield* Effect.forkChild(tokens.get(id))
      return { ...world, tokens, caller }
    })

  scenario("is made again with the answer", (lines) =>
    Effect.gen(function* () {
      const { annotations, caller, stored, upstream } = yield* deletion(true)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.strictEqual(yield* stored, 1)
      assert.deepStrictEqual(yield* annotations, {})
      assert.strictEqual(upstream.calls, 1)
      assert.notInclude(lines.join("\n"), "createIfMissing")
    })
  )

  scenario("keeps its answer in memory if it is not to be created, and gets it once somebody has made it", (lines) =>
    Effect.gen(function* () {
      const { caller, sound, stored, upstream } = yield* deletion(false)
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
      assert.isTrue(Option.isSome(yield* sound.create(id, {})))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* stored, 1)
      assert.strictEqual(upstream.calls, 1)
      assert.notInclude(lines.join("\n"), "createIfMissing")
    })
  )
})

describe("the object that is deleted long before the upstream answers", () => {
  scenario("is not made again for the sake of its lock, if it is not to be created", () =>
    Effect.gen(function* () {
      const { aProcess, delete: remove, location, sound, upstream } = yield* setUp
      upstream.after = Effect.andThen(remove(id), Effect.sleep("1 minute"))
      const tokens = yield* aProcess({ location: { ...location, createIfMissing: false } })
      const caller = yield* Effect.forkChild(tokens.get(id))
      yield* TestClock.adjust("50 seconds")
      assert.isTrue(Option.isNone(yield* Effect.option(sound.read(id))))
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(generationOf(yield* Fiber.join(caller)), 1)
    })
  )
})

describe("the object that is reported missing by mistake when the answer is written", () => {
  const missing = new LockError.NotFound({ id, object: id, missing: "object" })

  for (const createIfMissing of [true, false]) {
    scenario(`is found again, with the lock on it, and takes the answer (createIfMissing: ${createIfMissing})`, () =>
      Effect.gen(function* () {
        const { annotations, aProcess, faults, location, sound, stored, upstream } = yield* setUp
        const options = { location: { ...location, createIfMissing } }
        faults.push(["read", "None"], ["read", missing], ["write", "None"], ["write", missing])
        upstream.after = Effect.sleep("1 second")
        const caller = yield* Effect.forkChild((yield* aProcess(options)).get(id))
        yield* TestClock.adjust("500 millis")
        const other = yield* Effect.forkChild((yield* aProcess(options, sound)).get(id))
        yield* TestClock.adjust("1 second")
        const soon = { stored: yield* stored, annotations: yield* annotations }
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual([yield* Fiber.join(caller), yield* Fiber.join(other)].map(generationOf), [1, 1])
        assert.deepStrictEqual(soon, { stored: 1, annotations: {} })
        assert.strictEqual(upstream.calls, 1)
      })
    )
  }
})

describe("the lock that is deleted with the object", () => {
  scenario("is left alone also during the first refresh, by a process that has seen the object", () =>
    Effect.gen(function* () {
      const { aProcess, delete: remove, location, stored, upstream } = yield* setUp
      const options = { location: { ...location, createIfMissing: true } }
      const [one, two] = yield* Effect.all([aProcess(options), aProcess(options)])
      upstream.after = Effect.sleep("8 seconds")
      const callers = yield* Effect.forkChild(Effect.all([one.get(id), two.get(id)], { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 second")
      yield* remove(id)
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual((yield* Fiber.join(callers)).map(generationOf), [1, 1])
      assert.strictEqual(yield* stored, 1)
      assert.isFalse(upstream.revoked)
    })
  )

  scenario("is made again with the object, so that others wait for however long the upstream takes", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, delete: remove, stored, upstream } = yield* setUp
      const [one, two] = yield* Effect.all([aProcess(), aProcess()])
      yield* one.get(id)
      yield* two.get(id)
      yield* TestClock.adjust(lifetime)
      upstream.after = Effect.sleep("25 seconds")
      const refreshing = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      yield* remove(id)
      const waiting = yield* Effect.forkChild(two.get(id))
      yield* TestClock.adjust("3 seconds")
      // A process that has just started has not seen the object.
      const starting = yield* Effect.forkChild((yield* aProcess()).get(id))
      yield* TestClock.adjust("22 seconds")
      assert.strictEqual(upstream.calls, 2)
      const tokens = [yield* Fiber.join(refreshing), yield* Fiber.join(waiting), yield* Fiber.join(starting)]
      assert.deepStrictEqual(tokens.map(generationOf), [2, 2, 2])
      assert.strictEqual(yield* stored, 2)
      assert.deepStrictEqual(yield* annotations, {})
    })
  )

  scenario("is made again with the object, and released if the upstream refuses", () =>
    Effect.gen(function* () {
      const { annotations, aProcess, delete: remove, stored, upstream } = yield* setUp
      const tokens = yield* aProcess()
      upstream.before = Effect.andThen(Effect.sleep("8 seconds"), new Refused({ why: "unavailable" }))
      const caller = yield* Effect.forkChild(Effect.flip(tokens.get(id)))
      yield* TestClock.adjust("1 second")
      yield* remove(id)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual((yield* Fiber.join(caller))._tag, "Refused")
      assert.deepStrictEqual(yield* annotations, {})
      assert.isUndefined(yield* stored)
    })
  )

  scenario(
    "is left alone by a process that has seen the object, until the process that refreshes had time to write",
    () =>
      Effect.gen(function* () {
        const { aProcess, delete: remove, location, stored, upstream } = yield* setUp
        const options = { location: { ...location, createIfMissing: true } }
        const [one, two] = yield* Effect.all([aProcess(options), aProcess(options)])
        yield* one.get(id)
        yield* two.get(id)
        yield* TestClock.adjust(lifetime)
        upstream.after = Effect.sleep("8 seconds")
        const callers = yield* Effect.forkChild(
          Effect.all([one.get(id), Effect.delay(two.get(id), "2 seconds")], {
            concurrency: "unbounded"
          })
        )
        yield* TestClock.adjust("1 second")
        yield* remove(id)
        yield* TestClock.adjust("12 seconds")
        assert.deepStrictEqual((yield* Fiber.join(callers)).map(generationOf), [2, 2])
        assert.strictEqual(yield* stored, 2)
        assert.isFalse(upstream.revoked)
      })
  )
})

describe("the lock that is deleted with the object, of a process that held it last", () => {
  scenario("is left alone as well: that process finds a new object in the place of the old one", () =>
    Effect.gen(function* () {
      const { aProcess, delete: remove, location, stored, upstream } = yield* setUp
      const options = { location: { ...location, createIfMissing: true } }
      const [one, two] = yield* Effect.all([aProcess(options), aProcess(options)])
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      yield* two.get(id)
      upstream.after = Effect.sleep("8 seconds")
      yield* TestClock.adjust(lifetime)
      const refreshing = yield* Effect.forkChild(one.get(id))
      yield* TestClock.adjust("1 second")
      yield* remove(id)
      const waiting = yield* Effect.forkChild(two.get(id))
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual([yield* Fiber.join(refreshing), yield* Fiber.join(waiting)].map(generationOf), [3, 3])
      assert.strictEqual(yield* stored, 3)
      assert.isFalse(upstream.revoked)
    })
  )
})

describe("other keys", () => {
  scenario("that somebody adds or removes while the upstream is asked stay as they are", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const tokens = yield* world.aProcess()
      const data = Effect.map(world.sound.read(id), ({ content }) => Object.keys(content?.["data"] as object))
      world.upstream.after = Effect.orDie(stranger(world, { path: ["data"], value: { other: "dGhlaXJz" } }))
      yield* within(tokens.get(id))
      assert.sameMembers(yield* data, ["other", "value"])
      yield* TestClock.adjust(lifetime)
      world.upstream.after = Effect.orDie(stranger(world, { path: ["data"], value: null }))
      yield* within(tokens.get(id))
      assert.sameMembers(yield* data, ["value"])
      assert.strictEqual(yield* world.stored, 2)
    })
  )
})

describe("a value that is spent", () => {
  scenario("is not sent again if the object shows it once more, or if the object is empty", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const tokens = yield* world.aProcess()
      yield* tokens.get(id)
      const old = (yield* world.sound.read(id)).content!["data"]!
      yield* TestClock.adjust(lifetime)
      yield* tokens.get(id)
      for (const value of [old, null]) {
        yield* TestClock.adjust(lifetime)
        yield* stranger(world, { path: ["data"], value })
        const caller = yield* Effect.forkChild(tokens.get(id))
        yield* TestClock.adjust("11 seconds")
        yield* Fiber.join(caller)
      }
      assert.strictEqual(yield* world.stored, 4)
      assert.isFalse(world.upstream.revoked)
    })
  )
})

describe("a value that is spent, and fresh", () => {
  scenario("is not handed out if somebody restores it", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const tokens = yield* world.aProcess()
      const first = yield* tokens.get(id)
      const old = (yield* world.sound.read(id)).content!["data"]!
      const second = yield* tokens.invalidate(id, first)
      yield* stranger(world, { path: ["data"], value: old })
      assert.strictEqual(generationOf(yield* within(tokens.invalidate(id, second))), 3)
      assert.isFalse(world.upstream.revoked)
    })
  )
})

describe("a value that is replaced by its successor", () => {
  const data = ({ sound }: Effect.Success<typeof setUp>) =>
    Effect.map(sound.read(id), ({ content }) => content!["data"]!)

  for (const who of ["the process that stored the successor", "a process that has read it"]) {
    scenario(`is not sent again by ${who}`, () =>
      Effect.gen(function* () {
        const world = yield* setUp
        const [one, two] = yield* Effect.all([world.aProcess(), world.aProcess()])
        yield* one.get(id)
        yield* TestClock.adjust(lifetime)
        const old = yield* data(world)
        yield* two.get(id)
        yield* one.get(id)
        yield* TestClock.adjust(lifetime)
        yield* stranger(world, { path: ["data"], value: old })
        yield* within((who === "a process that has read it" ? one : two).get(id))
        assert.strictEqual(yield* world.stored, 3)
      })
    )
  }

  scenario("is not sent again many rotations later, as after a restore of etcd", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const tokens = yield* world.aProcess()
      yield* tokens.get(id)
      const old = yield* data(world)
      const rotations = 200
      for (let rotation = 0; rotation < rotations; rotation++) {
        yield* TestClock.adjust(lifetime)
        yield* tokens.get(id)
      }
      yield* TestClock.adjust(lifetime)
      yield* stranger(world, { path: ["data"], value: old })
      yield* within(tokens.get(id))
      assert.isFalse(world.upstream.revoked)
      assert.strictEqual(yield* world.stored, rotations + 2)
    })
  )

  scenario("is not sent again by a process that has replaced it by the value of a new login", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [one, two] = yield* Effect.all([world.aProcess(), world.aProcess()])
      yield* one.get(id)
      const old = yield* data(world)
      world.upstream.generation = 7
      yield* two.replace(id, yield* token(7))
      yield* TestClock.adjust(lifetime)
      yield* stranger(world, { path: ["data"], value: old })
      yield* within(two.get(id))
      assert.strictEqual(yield* world.stored, 8)
    })
  )

  scenario("is not sent again by a process that found it stale", () =>
    Effect.gen(function* () {
      const world = yield* setUp
      const [one, two] = yield* Effect.all([world.aProcess(), world.aProcess()])
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      yield* two.get(id)
      const old = yield* data(world)
      yield* TestClock.adjust(lifetime)
      yield* one.get(id)
      yield* TestClock.adjust(lifetime)
      yield* stranger(world, { path: ["data"], value: old })
      yield* within(one.get(id))
      assert.strictEqual(yield* world.stored, 4)
    })
  )
})

describe("a value that the schema cannot store", () => {
  const Small = Schema.Struct({ n: Schema.Int.check(Schema.isLessThan(3)) })

  scenario("is a typed error, counted and logged, and what it replaced is not sent again", (lines) =>
    Effect.gen(function* () {
      const { store } = yield* setUp
      const seen: Array<number | undefined> = []
      const tokens = yield* RefreshOnce.makeFromStore({
        schema: Small,
        isFresh: () => Effect.succeed(true),
        refresh: (current) => {
          seen.push(Option.getOrUndefined(current)?.n)
          return Effect.succeed({ n: seen.length === 3 ? 1 : 6 + seen.length })
        }
      }).pipe(Effect.provideService(ObjectStore, store))
      assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshNotEncodable")
      assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshNotEncodable")
      assert.strictEqual(yield* unwritten, 1)
      assert.deepStrictEqual(yield* tokens.get(id), { n: 1 })
      assert.deepStrictEqual(seen, [undefined, 7, 8])
      assert.match(lines[0]!, /^Error Cannot store a value/)
      assert.strictEqual(yield* ended("NotWritten"), 2)
      assert.strictEqual(yield* unwritten, 0)
    })
  )

  scenario("is an error of replace, too, which then does not even take the lock", () =>
    Effect.gen(function* () {
      const { requests, store } = yield* setUp
      const tokens = yield* RefreshOnce.makeFromStore({
        schema: Small,
        isFresh: () => Effect.succeed(true),
        refresh: () => Effect.succeed({ n: 1 })
      }).pipe(Effect.provideService(ObjectStore, store))
      assert.strictEqual((yield* Effect.flip(tokens.replace(id, { n: 7 })))._tag, "RefreshNotEncodable")
      assert.deepStrictEqual(requests, [])
    })
  )

  scenario("because it cannot read what it has encoded, is the same error", () =>
    Effect.gen(function* () {
      const { store, stored } = yield* setUp
      const OneWay = Schema.String.pipe(
        Schema.decodeTo(Schema.Int, {
          decode: SchemaGetter.transform(Number),
          encode: SchemaGetter.transform((n) => `number ${n}`)
        })
      )
      const tokens = yield* RefreshOnce.makeFromStore({
        schema: OneWay,
        isFresh: () => Effect.succeed(true),
        refresh: () => Effect.succeed(3)
      }).pipe(Effect.provideService(ObjectStore, store))
      assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshNotEncodable")
      assert.isUndefined(yield* stored)
    })
  )

  for (const direction of ["encode", "decode"] as const) {
    scenario(`because a function of it throws (${direction}), is the same error, and what the next refresh gets`, () =>
      Effect.gen(function* () {
        const { store } = yield* setUp
        const upTo = (limit: number) =>
          SchemaGetter.transform((n: number) => {
            if (n > limit) throw new Error("a bug in the schema")
            return n
          })
        const Throwing = Schema.Int.pipe(
          Schema.decodeTo(Schema.Int, {
            decode: upTo(direction === "decode" ? 3 : 100),
            encode: upTo(direction === "encode" ? 3 : 100)
          })
        )
        const seen: Array<number | undefined> = []
        const tokens = yield* RefreshOnce.makeFromStore({
          schema: Throwing,
          isFresh: () => Effect.succeed(true),
          refresh: (current) => Effect.sync(() => (seen.push(Option.getOrUndefined(current)) === 1 ? 7 : 1))
        }).pipe(Effect.provideService(ObjectStore, store))
        assert.strictEqual((yield* Effect.flip(tokens.get(id)))._tag, "RefreshNotEncodable")
        assert.strictEqual(yield* tokens.get(id), 1)
        assert.deepStrictEqual(seen, [undefined, 7])
      })
    )
  }

  scenario("as it is, is handed out as it is stored: the first invalidate refreshes it", () =>
    Effect.gen(function* () {
      const { store } = yield* setUp
      const Seconds = Schema.Struct({
        n: Schema.Int,
        at: Schema.Number.pipe(
          Schema.decodeTo(Schema.Number, {
            decode: SchemaGetter.passthrough(),
            encode: SchemaGetter.transform(Math.floor)
          })
        )
      })
      let n = 0
      const tokens = yield* RefreshOnce.makeFromStore({
        schema: Seconds,
        isFresh: () => Effect.succeed(true),
        refresh: () => Effect.sync(() => ({ n: ++n, at: 1234.567 }))
      }).pipe(Effect.provideService(ObjectStore, store))
      const first = yield* tokens.get(id)
      assert.deepStrictEqual(first, { n: 1, at: 1234 })
      assert.deepStrictEqual(yield* tokens.invalidate(id, first), { n: 2, at: 1234 })
    })
  )
})

it("a key that no Secret takes is refused when the location is made", () => {
  for (const key of ["my token", "", ".", "..", "..a", "a/b", "ä", "x".repeat(254)]) {
    assert.throws(() => RefreshOnce.inSecret(key), RangeError)
  }
  for (const key of ["value", ".a", "a.b_c-D", "x".repeat(253)]) assert.isDefined(RefreshOnce.inSecret(key))
})

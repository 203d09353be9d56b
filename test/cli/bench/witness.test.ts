import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"
import * as Witness from "../../../src/cli/bench/contest/witness.ts"

const thread = (who: number, turns: number, witness: Witness.Witness): Effect.Effect<void> =>
  Effect.callback((resume) => {
    new Worker(new URL("unlocked.ts", import.meta.url), { workerData: { who, turns, witness } })
      .once("exit", () => resume(Effect.void))
      .once("error", (cause) => resume(Effect.die(cause)))
  })

describe("Witness", () => {
  it("sees no overlap if each leaves before the next enters", () => {
    const witness = Witness.make(2)
    for (let turn = 1; turn <= 5; turn++) {
      Witness.leave(witness, Witness.enter(witness, 0, turn, 1n), 2n)
      Witness.leave(witness, Witness.enter(witness, 1, 1, 1n), 2n)
    }
    assert.deepStrictEqual(Witness.verdict(witness), {
      acquisitions: 10,
      mostInside: 1,
      overlaps: 0,
      lostUpdates: 0,
      staleReads: 0,
      violations: 0,
      incidents: []
    })
  })

  it("does not take different ids for an overlap, nor a contender inside for a lost update", () => {
    const witness = Witness.make(2)
    Witness.enter(witness, 0, 1, 1n)
    Witness.enter(witness, 1, 2, 1n)
    assert.strictEqual(Witness.verdict(witness).violations, 0)
  })

  it("reports the time and the two contenders, and loses an update, if two are inside", () => {
    const witness = Witness.make(1)
    const first = Witness.enter(witness, 0, 7, 100n)
    const second = Witness.enter(witness, 0, 9, 200n)
    Witness.leave(witness, first, 300n)
    Witness.leave(witness, second, 400n)
    assert.deepStrictEqual(Witness.verdict(witness), {
      acquisitions: 2,
      mostInside: 2,
      overlaps: 1,
      lostUpdates: 1,
      staleReads: 0,
      violations: 1,
      incidents: [{ nanos: 200, id: 0, who: 9, other: 7 }]
    })
  })

  it("is in order again after an overlap, in whatever order they leave", () => {
    const witness = Witness.make(1)
    const first = Witness.enter(witness, 0, 1, 1n)
    const second = Witness.enter(witness, 0, 2, 1n)
    Witness.leave(witness, second, 2n)
    Witness.leave(witness, first, 2n)
    Witness.leave(witness, Witness.enter(witness, 0, 3, 3n), 4n)
    assert.strictEqual(Witness.verdict(witness).overlaps, 1)
  })

  it("counts more overlaps than it describes", () => {
    const witness = Witness.make(1)
    Witness.enter(witness, 0, 1, 1n)
    for (let who = 2; who <= 101; who++) Witness.leave(witness, Witness.enter(witness, 0, who, 1n), 2n)
    const { incidents, overlaps } = Witness.verdict(witness)
    assert.strictEqual(overlaps, 100)
    assert.strictEqual(incidents.length, 16)
  })

  it("measures the time since the last one left, and not over a pause", () => {
    const witness = Witness.make(1)
    const first = Witness.enter(witness, 0, 1, 10n)
    assert.strictEqual(first.sinceLeft, undefined)
    Witness.leave(witness, first, 20n)
    const second = Witness.enter(witness, 0, 2, 25n)
    assert.strictEqual(second.sinceLeft, 5n)
    Witness.leave(witness, second, 30n)
    Witness.pause(witness)
    assert.strictEqual(Witness.enter(witness, 0, 1, 40n).sinceLeft, undefined)
  })

  it("forgets everything when it is reset", () => {
    const witness = Witness.make(1)
    const first = Witness.enter(witness, 0, 1, 1n)
    Witness.leave(witness, Witness.enter(witness, 0, 2, 1n), 2n)
    Witness.leave(witness, first, 3n)
    Witness.reset(witness)
    assert.deepStrictEqual(Witness.verdict(witness), Witness.verdict(Witness.make(1)))
    assert.strictEqual(Witness.enter(witness, 0, 1, 4n).sinceLeft, undefined)
  })

  it("lets in as many as there are seats, and reports the next one", () => {
    const witness = Witness.make(2, 3)
    const visits = [1, 2, 3].map((who) => Witness.enter(witness, 1, who, 1n))
    Witness.leave(witness, visits[1]!, 2n)
    visits[1] = Witness.enter(witness, 1, 4, 3n)
    assert.include(Witness.verdict(witness), { acquisitions: 4, mostInside: 3, violations: 0 })
    visits.push(Witness.enter(witness, 1, 5, 400n))
    assert.include(Witness.verdict(witness), { mostInside: 4, overlaps: 1, violations: 1 })
    assert.deepStrictEqual(Witness.verdict(witness).incidents, [{ nanos: 400, id: 1, who: 5, other: 1 }])
    for (const visit of visits) Witness.leave(witness, visit, 5n)
    for (const who of [6, 7, 8]) Witness.enter(witness, 1, who, 6n)
    assert.strictEqual(Witness.verdict(witness).overlaps, 1)
  })

  it("lets readers in together, and one writer alone", () => {
    const witness = Witness.make(1, 3)
    for (let turn = 0; turn < 3; turn++) {
      const readers = [1, 2].map((who) => Witness.enter(witness, 0, who, 1n))
      for (const reader of readers) Witness.leave(witness, reader, 2n)
      Witness.leave(witness, Witness.enter(witness, 0, 3, 3n, true), 4n)
    }
    assert.deepStrictEqual(Witness.verdict(witness), {
      acquisitions: 9,
      mostInside: 2,
      overlaps: 0,
      lostUpdates: 0,
      staleReads: 0,
      violations: 0,
      incidents: []
    })
  })

  it("reports a reader that enters beside a writer, and its stale read if the writer leaves first", () => {
    const witness = Witness.make(1, 3)
    const writer = Witness.enter(witness, 0, 1, 1n, true)
    const reader = Witness.enter(witness, 0, 2, 200n)
    Witness.leave(witness, writer, 3n)
    Witness.leave(witness, reader, 4n)
    const { incidents, overlaps, staleReads, violations } = Witness.verdict(witness)
    assert.deepStrictEqual({ overlaps, staleReads, violations }, { overlaps: 1, staleReads: 1, violations: 1 })
    assert.deepStrictEqual(incidents, [{ nanos: 200, id: 0, who: 2, other: 1 }])
  })

  it("reports a writer that enters beside a reader, and is in order again when both have left", () => {
    const witness = Witness.make(1, 3)
    const reader = Witness.enter(witness, 0, 2, 1n)
    const writer = Witness.enter(witness, 0, 1, 100n, true)
    Witness.leave(witness, reader, 2n)
    Witness.leave(witness, writer, 3n)
    assert.deepStrictEqual(Witness.verdict(witness).incidents, [{ nanos: 100, id: 0, who: 1, other: 2 }])
    Witness.leave(witness, Witness.enter(witness, 0, 3, 4n, true), 5n)
    assert.strictEqual(Witness.verdict(witness).violations, 1)
  })

  it("reports two writers, and the update that they lose", () => {
    const witness = Witness.make(1, 2)
    const writers = [1, 2].map((who) => Witness.enter(witness, 0, who, 1n, true))
    for (const writer of writers) Witness.leave(witness, writer, 2n)
    assert.include(Witness.verdict(witness), { mostInside: 2, overlaps: 1, lostUpdates: 1, violations: 1 })
  })

  it("measures the time since the last one left for a writer, and not for a reader", () => {
    const witness = Witness.make(1, 2)
    Witness.leave(witness, Witness.enter(witness, 0, 1, 1n), 10n)
    const reader = Witness.enter(witness, 0, 1, 15n)
    assert.strictEqual(reader.sinceLeft, undefined)
    Witness.leave(witness, reader, 20n)
    assert.strictEqual(Witness.enter(witness, 0, 2, 26n, true).sinceLeft, 6n)
  })

  it.live("catches two threads that do not lock", () =>
    Effect.gen(function* () {
      const witness = Witness.make(1)
      yield* Effect.all([thread(1, 200, witness), thread(2, 200, witness)], { concurrency: "unbounded" })
      const { acquisitions, incidents, lostUpdates, overlaps } = Witness.verdict(witness)
      assert.strictEqual(acquisitions, 400)
      assert.isAbove(overlaps, 0)
      assert.isAbove(lostUpdates, 0)
      assert.sameMembers([incidents[0]!.who, incidents[0]!.other], [1, 2])
    })
  )

  it.live("finds nothing if the same two threads take turns", () =>
    Effect.gen(function* () {
      const witness = Witness.make(1)
      yield* thread(1, 20, witness)
      yield* thread(2, 20, witness)
      assert.strictEqual(Witness.verdict(witness).violations, 0)
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Semaphore from "effect/Semaphore"
import * as Resource from "../../../src/Resource.ts"
import * as histogram from "../../../src/cli/bench/harness/histogram.ts"
import * as Contest from "../../../src/cli/bench/contest/contest.ts"
import { alone, now, type Records, type Task } from "../../../src/cli/bench/contest/task.ts"
import * as Witness from "../../../src/cli/bench/contest/witness.ts"

const task = (part: Partial<Task>): Task => ({
  ...alone,
  connection: { _tag: "Yaml", yaml: "" },
  resource: Resource.refreshToken,
  namespace: "dex",
  ids: ["a"],
  contenders: 2,
  total: 2,
  holdMillis: 1,
  seconds: 1,
  ...part
})

const lockedBy =
  (semaphore: Semaphore.Semaphore): Contest.Take =>
  () =>
    Effect.acquireRelease(semaphore.take(1), () => semaphore.release(1), { interruptible: true }).pipe(Effect.asVoid)

const play = Effect.fnUntraced(function* (take: Contest.Take, part: Partial<Task>, visits = 0) {
  const contest = Contest.make(take, task(part))
  const running = yield* Effect.forkChild(contest.run)
  do yield* Effect.sleep("100 millis")
  while (contest.report(now()).visits.length < visits)
  yield* Fiber.interrupt(running)
  return contest
})

describe("a contest", () => {
  it.live("has a sample of each acquisition, up to a moment", () =>
    Effect.gen(function* () {
      const contest = yield* play(lockedBy(yield* Semaphore.make(1)), {}, 3)
      const { acquisitions, visits, waits } = contest.report(now())
      assert.isAbove(visits.length, 2)
      assert.lengthOf(waits, visits.length)
      assert.strictEqual(acquisitions[0]! + acquisitions[1]!, visits.length)
      const early = contest.report(visits[1]![0])
      assert.deepStrictEqual(early.visits, visits.slice(0, 2))
      assert.deepStrictEqual(early.waits, waits.slice(0, 2))
    })
  )

  it.live("tells how long a contender had waited at the end", () =>
    Effect.gen(function* () {
      const contest = yield* play(lockedBy(yield* Semaphore.make(1)), { holdMillis: 60_000 })
      const { unfinishedWaits, visits } = contest.report(now())
      assert.lengthOf(visits, 1)
      assert.lengthOf(unfinishedWaits, 1)
      assert.isAtLeast(unfinishedWaits[0]!, 50)
    })
  )

  it.live("proves in shared memory that its contenders exclude each other, or do not", () =>
    Effect.gen(function* () {
      for (const [permits, isBroken] of [
        [1, false],
        [2, true]
      ] as const) {
        const records: Records = {
          witness: Witness.make(1),
          wait: histogram.make(),
          handoff: histogram.make()
        }
        const contest = yield* play(lockedBy(yield* Semaphore.make(permits)), { records })
        const { acquisitions, violations } = Witness.verdict(records.witness)
        assert.strictEqual(violations > 0, isBroken)
        assert.strictEqual(histogram.count(records.wait), acquisitions)
        assert.deepStrictEqual(contest.report(now()).visits, [])
      }
    })
  )

  it.live("has writers among readers, by the seed, and they exclude all others or are caught", () =>
    Effect.gen(function* () {
      for (const isBroken of [false, true]) {
        const seats = 4
        const semaphore = yield* Semaphore.make(seats)
        const wanted: Array<boolean> = []
        const take: Contest.Take = (_, isWriter) => {
          wanted.push(isWriter)
          const permits = isWriter && !isBroken ? seats : 1
          return Effect.asVoid(
            Effect.acquireRelease(semaphore.take(permits), () => semaphore.release(permits), { interruptible: true })
          )
        }
        const records: Records = {
          witness: Witness.make(1, seats),
          wait: histogram.make(),
          handoff: histogram.make()
        }
        yield* play(take, { records, contenders: seats, total: seats, writers: 0.3 })
        const { mostInside, violations } = Witness.verdict(records.witness)
        assert.includeMembers(wanted, [true, false])
        assert.isAbove(mostInside, 1)
        assert.strictEqual(violations > 0, isBroken)
      }
    })
  )

  it.live("counts locks that were not acquired, and keeps the first error", () =>
    Effect.gen(function* () {
      let attempts = 0
      const take: Contest.Take = () =>
        Effect.suspend(() => {
          attempts++
          return Effect.fail({ timedOut: attempts < 4, message: `attempt ${attempts}` })
        })
      const contest = yield* play(take, { contenders: 1 })
      const { errors, firstError, timeouts, unfinishedWaits } = contest.report(now())
      assert.strictEqual(timeouts, 3)
      assert.isAtLeast(errors, 1)
      assert.strictEqual(firstError, "attempt 4")
      assert.lengthOf(unfinishedWaits, 0)
    })
  )
})

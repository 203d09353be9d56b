/** The contest within one worker: each contender takes a lock, enters the critical section, leaves it and releases. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as histogram from "../harness/histogram.ts"
import { now, type Records, type Report, type Samples, type Task } from "./task.ts"
import * as Holds from "./holds.ts"
import type { ServerWitness } from "./serverWitness.ts"
import * as Witness from "./witness.ts"

/** Why a lock was not acquired. */
export interface Refusal {
  readonly timedOut: boolean
  readonly message: string
}

/**
 * Takes the lock of an object and holds it until the scope closes. `isWriter` matters to shared locks only. It answers the fencing
 * token, if it has one that grows from each holder to the next.
 */
export type Take = (id: string, isWriter: boolean) => Effect.Effect<bigint | void, Refusal, Scope.Scope>

/** A contest. `run` goes on until it is interrupted, and then releases the locks. `report` is what happened until a moment. */
export interface Contest {
  readonly run: Effect.Effect<void>
  readonly report: (until: number) => Omit<Report, "millis" | "requests" | "lateRequests" | "cpuMillis" | "seen">
}

/** Makes a contest. With a witness on the API server, all critical sections are told to it. */
export const make = (take: Take, task: Task, witness?: ServerWitness): Contest => {
  const { contenders, holdMillis, ids, seed, writers } = task
  const numbers = Array.from({ length: contenders }, (_, index) => index)
  const acquisitions = numbers.map(() => 0)
  const recorder = task.records === undefined ? sampling() : sharing(task.records)
  let timeouts = 0
  let errors = 0
  let firstError: string | undefined

  // Without a hold time the section still lasts until the other fibers have run. Otherwise no overlap could be seen.
  const work = holdMillis === 0 ? Effect.yieldNow : Effect.sleep(holdMillis)

  const turn = (index: number) =>
    Effect.gen(function* () {
      const id = ids.length === 1 ? 0 : yield* Random.nextIntBetween(0, ids.length - 1)
      const isWriter = writers === 1 || (writers > 0 && (yield* Random.next) < writers)
      const attempt = recorder.begin(task.first + index + 1, id, isWriter)
      const token = yield* Effect.tapError(take(ids[id]!, isWriter), () => Effect.sync(attempt.giveUp))
      const leave = attempt.enter()
      acquisitions[index]!++
      const told =
        witness === undefined ? work : witness.during({ id, who: task.first + index, isSole: isWriter, token }, work)
      yield* Effect.ensuring(told, Effect.sync(leave))
    }).pipe(
      Effect.scoped,
      Effect.catch((problem) => {
        const { message } = problem
        if ("timedOut" in problem && problem.timedOut) return Effect.sync(() => timeouts++)
        errors++
        firstError ??= message
        return Effect.sleep("100 millis")
      })
    )

  return {
    run: Effect.forEach(
      numbers,
      (index) => Random.withSeed(Effect.forever(turn(index)), `${seed}/${task.first + index}`),
      { concurrency: "unbounded", discard: true }
    ),
    report: (until) => ({ ...recorder.samples(until), acquisitions, timeouts, errors, firstError })
  }
}

interface Recorder {
  /** Contender `who`, counted from 1, wants the lock of the object number `id`. */
  readonly begin: (who: number, id: number, isWriter: boolean) => Attempt
  readonly samples: (until: number) => Samples
}

interface Attempt {
  readonly giveUp: () => void
  /** Enters the critical section. The answer leaves it. */
  readonly enter: () => () => void
}

/** Records in memory that threads share, and proves exclusion there. */
const sharing = ({ handoff, holds, wait, witness }: Records): Recorder => ({
  begin: (who, id, isWriter) => {
    const began = process.hrtime.bigint()
    return {
      giveUp: () => {},
      enter: () => {
        const now = process.hrtime.bigint()
        const visit = Witness.enter(witness, id, who, now, isWriter)
        histogram.record(wait, now - began)
        if (visit.sinceLeft !== undefined) histogram.record(handoff, visit.sinceLeft)
        return () => {
          const left = process.hrtime.bigint()
          Witness.leave(witness, visit, left)
          if (holds !== undefined) Holds.record(holds, id, who, now, left)
        }
      }
    }
  },
  samples: () => ({ visits: [], waits: [], writes: [], unfinishedWaits: [] })
})

/** Keeps every sample. Exclusion between processes is judged afterwards. */
const sampling = (): Recorder => {
  const visits: Array<[entered: number, left: number]> = []
  const waits: Array<number> = []
  const writes: Array<boolean> = []
  const waiting = new Map<Attempt, number>()
  return {
    begin: (_who, _id, isWriter) => {
      const began = now()
      const attempt: Attempt = {
        giveUp: () => waiting.delete(attempt),
        enter: () => {
          const visit: [number, number] = [now(), Number.POSITIVE_INFINITY]
          waiting.delete(attempt)
          waits.push(visit[0] - began)
          writes.push(isWriter)
          visits.push(visit)
          return () => {
            visit[1] = now()
          }
        }
      }
      waiting.set(attempt, began)
      return attempt
    },
    // A process that is late would otherwise count what the others do after the round.
    samples: (until) => {
      const count = visits.filter(([entered]) => entered <= until).length
      const late = visits.slice(count).map(([entered], index) => entered - waits[count + index]!)
      return {
        visits: visits.slice(0, count),
        waits: waits.slice(0, count),
        writes: writes.slice(0, count),
        unfinishedWaits: [...late, ...waiting.values()].filter((began) => began < until).map((began) => until - began)
      }
    }
  }
}

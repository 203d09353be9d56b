/**
 * What a process does before its first task of a kind: it contends with itself, for an object of its own on the same API
 * server, until its code is compiled. So services that have run for a while are compared.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Api from "../../src/cli/bench/harness/api.ts"
import * as Objects from "../../src/cli/bench/harness/objects.ts"
import * as Contest from "../../src/cli/bench/contest/contest.ts"
import { codeOf, isAlone, isSlow } from "./kind.ts"
import { takes } from "./takes.ts"
import { now } from "../../src/cli/bench/contest/task.ts"
import type { Task } from "./task.ts"

const longestMillis = 120_000

/**
 * How much CPU a process spends on a kind before its first contest of so many seconds, in milliseconds. In rounds of normal length it
 * compiles its code with that: `npm run bench` shows how long it takes.
 */
export const cpuMillis = (seconds: number): number => Math.min(500 * seconds, 2500)

const warm = new Set<string>()

/** Warms up, once for each kind. Slow kinds and raw writes need no warm-up: they have hardly any code to compile. */
export const warmUp = (task: Task) =>
  Effect.suspend(() => {
    const { kind, warmUpCpuMillis } = task
    if (warmUpCpuMillis === 0 || warm.has(codeOf(kind)) || isAlone(kind) || isSlow(kind)) return Effect.void
    warm.add(codeOf(kind))
    return Effect.scoped(withItself(task)).pipe(Effect.provide(Logger.layer([])))
  })

const withItself = Effect.fnUntraced(function* (task: Task) {
  const ids = yield* Objects.make({ ...task, api: yield* Api.make }, 1)
  const own = { ...task, ids, holdMillis: 0, limit: 1, sharedWithDex: false, total: 2 }
  const contests = yield* Effect.forEach([0, 1], (first) =>
    Effect.map(takes[task.kind]({ ...own, first }), (take) => Contest.make(take, { ...own, first }))
  )
  const running = yield* Effect.forEach(contests, ({ run }) => Effect.forkChild(run))
  const [began, cpu] = [now(), process.cpuUsage()]
  const spent = () => {
    const { system, user } = process.cpuUsage(cpu)
    return (system + user) / 1000
  }
  while (spent() < task.warmUpCpuMillis && now() - began < longestMillis) yield* Effect.sleep("50 millis")
  yield* Fiber.interruptAll(running)
})

/** Holders are suspended past their lease, and killed: what becomes of their work, and of the processes that wait. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { ChildProcess } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import type { Kind } from "../contest/kind.ts"
import { now } from "../../src/cli/bench/contest/task.ts"
import type { Task } from "../contest/task.ts"
import type { LoadError } from "../../src/cli/bench/harness/loadError.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import type { Order } from "./failingWorker.ts"
import type { Failure } from "./measurements.ts"

const entry = new URL("failingWorker.ts", import.meta.url)

/** A process and the programs that it started. */
const treeOf = (pid: number): ReadonlyArray<number> => {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number)
    )
    return [pid, ...children.flatMap(treeOf)]
  } catch {
    return []
  }
}

const signal = (child: ChildProcess | undefined, name: NodeJS.Signals) =>
  Effect.sync(() => {
    for (const pid of treeOf(child?.pid ?? 0)) process.kill(pid, name)
  })

const aProcess = Effect.fnUntraced(function* (task: Task) {
  let child: ChildProcess | undefined
  const ask = yield* Workers.start<Order, number>(
    `a process of ${task.kind}`,
    () => (child = Workers.process(entry, { stderr: "pipe" })),
    () => true
  )
  yield* Effect.addFinalizer(() => signal(child, "SIGKILL"))
  return {
    take: ask({ _tag: "Take", task }),
    lost: ask({ _tag: "Lost" }),
    release: ask({ _tag: "Release" }),
    signal: (name: NodeJS.Signals) => signal(child, name)
  }
})

const longest = Duration.minutes(1)

/**
 * How long the run looks whether work goes on: longer than the renew deadline of client-go. The successor must have its lock still, and
 * Dex and redlock renew none.
 */
const longestWork = ({ kind }: Task) => Duration.seconds(kind === "dex" || kind === "redlock" ? 5 : 12)

const within = (asked: Effect.Effect<number, LoadError>, duration: Duration.Duration) =>
  Effect.map(Effect.timeoutOption(asked, duration), (option) => (option._tag === "Some" ? option.value : null))

const since = (began: number, moment: number | null): number | null => (moment === null ? null : moment - began)

/** A process that holds the lock, and one that waits for it. */
const aPair = Effect.fnUntraced(function* (task: Task) {
  const holder = yield* aProcess(task)
  yield* holder.take
  const successor = yield* aProcess(task)
  const entered = yield* Effect.forkScoped(successor.take)
  yield* Effect.sleep("2 seconds")
  return { holder, entered: within(Fiber.join(entered), longest) }
})

const suspend = Effect.fnUntraced(function* (task: Task) {
  const { entered, holder } = yield* aPair(task)
  const third = yield* aProcess(task)
  const suspended = now()
  yield* holder.signal("SIGSTOP")
  const taken = yield* entered
  const other = yield* Effect.forkScoped(third.take)
  yield* Effect.sleep("1 second")
  const resumed = now()
  yield* holder.signal("SIGCONT")
  const lost = yield* within(holder.lost, longestWork(task))
  yield* Effect.ignore(within(holder.release, Duration.seconds(5)))
  const freed = yield* within(Fiber.join(other), Duration.seconds(2))
  return {
    takenAfter: since(suspended, taken),
    workedOn: since(resumed, lost),
    freedSuccessor: taken !== null && freed !== null
  }
}, Effect.scoped)

const kill = Effect.fnUntraced(function* (task: Task) {
  const { entered, holder } = yield* aPair(task)
  const killed = now()
  yield* holder.signal("SIGKILL")
  return since(killed, yield* entered)
}, Effect.scoped)

/** Does both to each kind. Two kinds at a time: mostly they wait for leases to end. */
export const measure = <E, R>(
  kinds: ReadonlyArray<Kind>,
  taskOf: (kind: Kind) => Effect.Effect<Task, E, R>
): Effect.Effect<ReadonlyArray<Failure>, E | LoadError, R> =>
  Effect.forEach(
    kinds,
    Effect.fnUntraced(function* (kind) {
      const [suspended, killedAfter] = yield* Effect.all(
        [Effect.flatMap(taskOf(kind), suspend), Effect.flatMap(taskOf(kind), kill)],
        { concurrency: 2 }
      )
      return { kind, ...suspended, killedAfter }
    }),
    { concurrency: 2 }
  )

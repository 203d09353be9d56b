/** The contending processes: started once, each of them plays one task after the other. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { LoadError } from "../loadError.ts"
import { type Answer, now, type Order, type Report, type Task } from "./task.ts"

/** Plays a task in each of so many processes, all beginning at once; starts those that are not there yet. */
export interface Processes {
  readonly play: (
    tasks: ReadonlyArray<Task>,
    onStart?: Effect.Effect<void>
  ) => Effect.Effect<ReadonlyArray<Report>, LoadError>
}

interface Contender {
  readonly child: ChildProcess
  readonly answers: Queue.Queue<Answer>
}

const startDelay = 30

/** Makes the pool; its processes end with the scope. */
export const make: Effect.Effect<Processes, never, Scope.Scope> = Effect.gen(function* () {
  const contenders: Array<Contender> = []
  yield* Effect.addFinalizer(() => Effect.forEach(contenders, ({ child }) => end(child), { concurrency: "unbounded" }))

  const start = Effect.gen(function* () {
    const answers = yield* Queue.unbounded<Answer>()
    const child = fork(new URL("contender.ts", import.meta.url), [], {
      serialization: "advanced",
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    child.on("message", (answer: Answer) => Queue.offerUnsafe(answers, answer))
    child.on("exit", (code, signal) =>
      Queue.offerUnsafe(answers, { _tag: "Failed", detail: `a contender ended (${signal ?? code})` })
    )
    contenders.push({ child, answers })
  })

  const tell = (all: ReadonlyArray<Contender>, order: (index: number) => Order) =>
    Effect.sync(() => all.forEach(({ child }, index) => child.send(order(index))))

  const hear = <Tag extends Answer["_tag"]>({ answers }: Contender, tag: Tag, seconds: number) =>
    Effect.flatMap(
      Effect.timeoutOrElse(Queue.take(answers), {
        duration: seconds * 1000,
        orElse: () => new LoadError({ message: `a contender did not say ${tag} within ${seconds} seconds` })
      }),
      (answer): Effect.Effect<Extract<Answer, { readonly _tag: Tag }>, LoadError> =>
        answer._tag === tag
          ? Effect.succeed(answer as Extract<Answer, { readonly _tag: Tag }>)
          : Effect.fail(
              new LoadError({ message: answer._tag === "Failed" ? answer.detail : `a contender said ${answer._tag}` })
            )
    )

  return {
    play: (tasks, onStart = Effect.void) =>
      Effect.gen(function* () {
        while (contenders.length < tasks.length) yield* start
        const players = contenders.slice(0, tasks.length)
        yield* tell(players, (index) => ({ _tag: "Prepare", task: tasks[index]! }))
        yield* Effect.forEach(players, (player) => hear(player, "Ready", 300), { concurrency: "unbounded" })
        yield* onStart
        const at = now() + startDelay
        yield* tell(players, () => ({ _tag: "Go", at }))
        const longest = Math.max(...tasks.map(({ seconds }) => seconds)) + 60
        const done = yield* Effect.forEach(players, (player) => hear(player, "Done", longest), {
          concurrency: "unbounded"
        })
        return done.map(({ report }) => report)
      })
  }
})

/** Asks a process to end; after two seconds it is ended. */
const end = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    if (child.connected) child.send({ _tag: "End" } satisfies Order)
  }).pipe(
    Effect.timeoutOrElse({
      duration: "2 seconds",
      orElse: () => Effect.sync(() => child.kill("SIGKILL"))
    }),
    Effect.asVoid
  )

/**
 * One long-lived child process that can be stopped, started again, frozen and thawed. It ends with its scope.
 *
 * When the scope closes, nobody needs what a process would save. So the scoped release of `effect/process/ChildProcess` sends
 * SIGKILL, and waits for the exit in real time. Each child leads a process group of its own (Effect's default), so Ctrl-C
 * reaches only the test run, which then closes its scopes in order.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readdirSync, readFileSync } from "node:fs"
import { EnvtestError } from "./EnvtestError.ts"
import type * as Guard from "./Guard.ts"
import { inRealTime } from "./realTime.ts"

/**
 * A handle on the process, across restarts.
 *
 * - `start`: starts it. Does nothing if it runs already.
 * - `stop`: ends it and waits for the exit. SIGTERM becomes SIGKILL after ten seconds. Does nothing if it does not run.
 * - `pause`, `resume`: SIGSTOP and SIGCONT. `pause` waits until every thread has stopped.
 * - `signal`: sends a signal, and waits for nothing. Does nothing if the process does not run.
 * - `died`: fails with the last lines of output as soon as the process ends. Never succeeds.
 * - `pid`: of the running process, `undefined` if it does not run.
 * - `log`: the last lines of output, across restarts.
 */
export interface Daemon {
  readonly start: Effect.Effect<void, EnvtestError>
  readonly stop: (signal: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly died: Effect.Effect<never, EnvtestError>
  readonly pid: Effect.Effect<number | undefined>
  readonly log: Effect.Effect<string>
}

interface Running {
  readonly handle: ChildProcessSpawner.ChildProcessHandle
  readonly scope: Scope.Closeable
  readonly reader: Fiber.Fiber<void>
}

const keptLines = 60

/**
 * Describes the process without starting it. A process that `start` started ends with this scope. `heed` is called with each line of
 * output.
 */
export const make = Effect.fnUntraced(function* (options: {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly guard: Guard.Guard
  readonly heed?: (line: string) => void
}): Effect.fn.Return<Daemon, never, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  // A process that was started again ends in the place of the first one: after what was made later, such as its clients.
  const parent = yield* Scope.fork(yield* Effect.scope)
  const lines: Array<string> = []
  let running: Running | undefined

  const send = Effect.fnUntraced(function* (signal: NodeJS.Signals) {
    if (running !== undefined && (yield* Effect.orDie(running.handle.isRunning))) {
      sendSignal(running.handle.pid, signal)
    }
  })

  // The signal is there at once, but a thread on another CPU may run on for a moment. Where there is no /proc that is hoped
  // not to matter.
  const isStopped = (pid: number): boolean => {
    try {
      const threads = readdirSync(`/proc/${pid}/task`)
      return threads.every((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").includes(") T "))
    } catch {
      return true
    }
  }

  const stopped = Effect.sleep("1 millis").pipe(
    Effect.repeat({ until: () => running === undefined || isStopped(running.handle.pid), times: 1000 }),
    Effect.asVoid,
    inRealTime
  )

  const spawn = Effect.fnUntraced(function* (scope: Scope.Closeable) {
    const handle = yield* spawner.spawn(
      ChildProcess.make(options.command, options.args, { stdin: "ignore", killSignal: "SIGKILL" })
    )
    options.guard.watch(handle.pid)
    const reader = yield* handle.all.pipe(
      Stream.decodeText,
      Stream.splitLines,
      Stream.runForEach((line) =>
        Effect.sync(() => {
          options.heed?.(line)
          lines.push(line)
          if (lines.length > keptLines) lines.shift()
        })
      ),
      Effect.ignore,
      Effect.forkIn(scope)
    )
    running = { handle, scope, reader }
  })

  const start = Effect.gen(function* () {
    if (running !== undefined) {
      if (yield* Effect.orDie(running.handle.isRunning)) return
      yield* Scope.close(running.scope, Exit.void)
    }
    const scope = yield* Scope.fork(parent)
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        if (running !== undefined) options.guard.forget(running.handle.pid)
        running = undefined
      })
    )
    yield* spawn(scope).pipe(
      Scope.provide(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
      Effect.mapError((error) => new EnvtestError({ step: options.name, detail: error.message }))
    )
  }).pipe(Effect.uninterruptible)

  const stop = (signal: "SIGTERM" | "SIGKILL") =>
    Effect.gen(function* () {
      if (running === undefined) return
      if (signal === "SIGTERM") yield* send("SIGCONT")
      yield* Effect.ignore(running.handle.kill({ killSignal: signal, forceKillAfter: "10 seconds" }))
      yield* Scope.close(running.scope, Exit.void)
    }).pipe(Effect.uninterruptible)

  const died = Effect.gen(function* () {
    if (running === undefined) return yield* new EnvtestError({ step: options.name, detail: "is not running" })
    const detail = yield* Effect.match(running.handle.exitCode, {
      onSuccess: (status) => `ended with status ${status}`,
      onFailure: (error) => error.message
    })
    yield* Effect.ignore(Effect.timeout(Fiber.join(running.reader), "1 second"))
    return yield* new EnvtestError({ step: options.name, detail, log: lines.join("\n") })
  })

  return {
    start,
    stop,
    pause: Effect.andThen(send("SIGSTOP"), stopped),
    resume: send("SIGCONT"),
    signal: send,
    died,
    pid: Effect.sync(() => running?.handle.pid),
    log: Effect.sync(() => lines.join("\n"))
  }
})

/** Whether a process with this pid exists. */
export const isAlive = (pid: number): boolean => sendSignal(pid, 0)

const sendSignal = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

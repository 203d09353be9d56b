/** Many locks that change hands at once, from one layer of a process to another: on a quiet machine and beside busy loops. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import type { Build } from "../contest/build.ts"
import * as Workers from "../../src/cli/bench/harness/workers.ts"
import type { Answer, Question } from "./manyWorker.ts"

const entry = new URL("manyWorker.ts", import.meta.url)

/** Processes that do nothing but keep the processors busy, until the scope closes. */
const busyLoops = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Array.from({ length: count }, () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }))
    ),
    (loops) =>
      Effect.sync(() => {
        for (const loop of loops) loop.kill("SIGKILL")
      })
  )

/** Measures a build once, beside so many busy loops. */
export const measure = Effect.fnUntraced(function* (
  build: Build | undefined,
  question: Omit<Question, "build">,
  loops: number
) {
  const ask = yield* Workers.start<Question, Answer>("many locks", () => Workers.process(entry))
  yield* busyLoops(loops)
  return yield* ask({ ...question, build })
}, Effect.scoped)

/** Runs `kubectl` against one server, and makes its output comparable. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { type Command, type Step, type Watch } from "./commands.ts"

/** The program: that of `KUBECTL`, or the one in the path. */
export const kubectl = process.env["KUBECTL"] ?? "kubectl"

/** What a command printed. */
export interface Printed {
  readonly line: string
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Where commands run. `home` is a folder for kubectl's cache. */
export interface Place {
  readonly kubeConfigPath: string
  readonly home: string
}

/** The input of a command, with the uid of the ConfigMap `a` in it. */
const inputOf = (place: Place, stdin = "") =>
  stdin.includes("@uid")
    ? Effect.map(run(place, { line: "get configmap a -o jsonpath={.metadata.uid}" }), ({ stdout }) =>
        stdin.replace("@uid", stdout)
      )
    : Effect.succeed(stdin)

/** Runs a step. A watch prints what it saw and what the commands meanwhile printed. */
export const runStep = (place: Place, step: Step): Effect.Effect<ReadonlyArray<Printed>> =>
  "during" in step
    ? runWatch(place, step)
    : Effect.gen(function* () {
        return [yield* run(place, { ...step, stdin: yield* inputOf(place, step.stdin) })]
      })

const start = ({ home, kubeConfigPath }: Place, { editor, line }: Omit<Command, "stdin">) => {
  const args = line.split(" ")
  const namespace = args.includes("namespace") ? [] : ["--namespace=shop"]
  return spawn(kubectl, [`--kubeconfig=${kubeConfigPath}`, `--cache-dir=${home}`, ...namespace, ...args], {
    env: { ...process.env, HOME: home, ...(editor === undefined ? {} : { KUBE_EDITOR: editor }) }
  })
}

/** Runs a command to its end. Fails if there is no such program. */
export const run = (place: Place, { editor, line, stdin }: Command): Effect.Effect<Printed> =>
  Effect.callback((resume) => {
    const child = start(place, { line, ...(editor === undefined ? {} : { editor }) })
    let [stdout, stderr] = ["", ""]
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text))
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) => resume(Effect.succeed({ line, code, stdout, stderr })))
    child.stdin.end(stdin)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const runWatch = (place: Place, { during, line, lines }: Watch) =>
  Effect.scoped(
    Effect.gen(function* () {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => start(place, { line })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let stdout = ""
      const has = (count: number) => stdout.split("\n").length > count
      const until = (count: number) =>
        Effect.callback<void>((resume) => {
          const check = () => has(count) && resume(Effect.void)
          child.stdout.on("data", check)
          child.on("close", () => resume(Effect.void))
          check()
        })
      child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text))
      yield* until(2)
      const printed = yield* Effect.forEach(during, (line) => run(place, { line }))
      yield* until(lines)
      return [{ line, code: 0, stdout, stderr: "" }, ...printed]
    })
  )

/** What was printed, without what no two servers have in common: ids, versions, times, ages, and the width of columns. */
export const comparable = ({ code, line, stderr, stdout }: Printed) => ({
  line,
  code,
  // Lines break where the version of the server's documents has it.
  stdout: line.startsWith("explain ") ? neutral(stdout).replaceAll(/\s+/g, " ") : neutral(stdout),
  stderr: neutral(stderr)
})

const neutral = (text: string) =>
  withoutManagedFields(text)
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, "UID")
    .replaceAll(/resourceVersion: "\d+"/g, "resourceVersion: VERSION")
    .replaceAll(/Resource Version: +\d+/g, "Resource Version: VERSION")
    .replaceAll(/20(?!26-01-01)\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| \+0000)?/g, "TIME")
    .replaceAll(/\b\d+[smhdy](?:\d+[smhd])?\b/g, "AGE")
    .replaceAll(/(LIVE|MERGED)-\d+/g, "$1")
    .replaceAll(/kubectl-edit-[^ ]+/g, "FILE")
    // Servers that cannot validate fields leave it to kubectl.
    .replaceAll(/^.*(?:unknown field "(\w+)"|strict decoding error: .*).*$/gm, "AN UNKNOWN FIELD")
    .replaceAll(/(cannot be handled as a \w+: ).*/g, "$1THE DECODER'S WORDS")
    .replaceAll(/ +/g, " ")
    .replaceAll(/ $/gm, "")

/** Older versions of kubectl print `managedFields`, which servers of different ages keep differently. */
const withoutManagedFields = (text: string) =>
  text.replaceAll(/^( *)(?:managedFields|Managed Fields):\n(?:\1(?: |- ).*\n)*/gm, "")

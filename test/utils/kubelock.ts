/** The program `kubelock` as users get it: built, in a folder of its own, and run as a process. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as Resource from "../../src/Resource.ts"
import { ApiServer } from "../../src/testing/index.ts"
import { buildProgram } from "../../tools/package.ts"
import { root } from "./publicModules.ts"

/** What has become of a process. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A process that runs. `says` waits until its output contains a text. */
export interface Running {
  readonly process: ChildProcessWithoutNullStreams
  readonly ended: Promise<Ended>
  readonly says: (text: string) => Promise<void>
}

/** How a process is started: `input` is all of its standard input, none by default. */
export interface Options {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly input?: string
}

/**
 * The program, and an embedded API server for it.
 *
 * - `folder`: the working directory of its processes.
 * - `server`: the API server that its kubeconfig names.
 * - `start`, `run`: start the program, and run it until it ends.
 * - `holding`: starts `kubelock run` with these arguments and without a command, and waits until it says that it holds.
 * - `isAwaited`: whether somebody is in the queue of a lock.
 * - `shell`: runs a shell command that calls the program by its name.
 * - `onTerminal`: runs a shell command on a terminal of its own, with what is typed there.
 */
export interface Kubelock {
  readonly folder: string
  readonly server: ApiServer.ApiServer["Service"]
  readonly start: (args: ReadonlyArray<string>, options?: Options) => Running
  readonly run: (args: ReadonlyArray<string>, options?: Options) => Promise<Ended>
  readonly holding: (...args: ReadonlyArray<string>) => Promise<Running>
  readonly isAwaited: (name: string, resource?: Resource.Resource) => Promise<boolean>
  readonly shell: (line: string) => Promise<Ended>
  readonly onTerminal: (line: string) => Running
  readonly remove: () => Promise<void>
}

/** The program for the tests of this file: made before the first of them, and removed after the last. */
export const forTests = (): Kubelock => {
  const kubelock = {} as Kubelock
  beforeAll(async () => {
    Object.assign(kubelock, await make())
  })
  afterAll(() => kubelock.remove())
  return kubelock
}

// Builds the program and starts a server.
const make = async (): Promise<Kubelock> => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-program-"))
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { readonly version: string }
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", version }))
  await buildProgram(join(folder, "dist/cli"))
  symlinkSync(join(folder, "dist/cli/kubelock.js"), join(folder, "kubelock"))
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(
    Effect.map(Scope.provide(Layer.build(ApiServer.layer({ namespaces: ["other"] })), scope), (context) =>
      Effect.runSync(Effect.provideContext(ApiServer.ApiServer, context))
    )
  )
  const kubeconfig = join(folder, "kubeconfig")
  writeFileSync(kubeconfig, server.kubeConfig)
  const { KUBEBUILDER_ASSETS: _, ...inherited } = process.env
  const env = {
    ...inherited,
    PATH: [folder, dirname(process.execPath), process.env["PATH"]].join(":"),
    KUBECONFIG: kubeconfig,
    XDG_CACHE_HOME: join(folder, "cache"),
    NODE_COMPILE_CACHE: undefined,
    NO_COLOR: "1"
  }
  const launch = (file: string, args: ReadonlyArray<string>, options: Options = {}): Running => {
    const child = spawn(file, args, { cwd: folder, env: { ...env, ...options.env } })
    if (options.input !== undefined) child.stdin.end(options.input)
    return watched(child)
  }
  const start = (args: ReadonlyArray<string>, options?: Options) => launch(join(folder, "kubelock"), args, options)
  return {
    folder,
    server,
    start,
    run: (args, options) => start(args, { input: "", ...options }).ended,
    holding: async (...args) => {
      const holder = start(["run", ...args])
      await holder.says("is held")
      return holder
    },
    isAwaited: async (name, resource = Resource.configMap) => {
      const object = await Effect.runPromise(server.get(resource, "default", name))
      const annotations = Option.getOrUndefined(object)?.metadata.annotations ?? {}
      return Object.keys(annotations).some((key) => key.startsWith(`${LockPolicy.neutralAnnotation}-queue`))
    },
    shell: (line) => launch("sh", ["-c", line], { input: "" }).ended,
    onTerminal: (line) => launch("script", ["--quiet", "--return", "--command", line, "/dev/null"]),
    remove: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Waits until something is true. */
export const until = async (isTrue: () => boolean | Promise<boolean>): Promise<void> => {
  if (await isTrue()) return
  await setTimeout(20)
  await until(isTrue)
}

const watched = (child: ChildProcessWithoutNullStreams): Running => {
  let stdout = ""
  let stderr = ""
  let look = () => {}
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    look()
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
    look()
  })
  child.stdin.on("error", () => {})
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code: code ?? -1, stdout, stderr: `${stderr}${signal ?? ""}` }))
  })
  return {
    process: child,
    ended,
    says: (text) =>
      new Promise((resolve, reject) => {
        look = () => {
          if (`${stdout}${stderr}`.includes(text)) resolve()
        }
        look()
        void ended.then(({ code }) => reject(new Error(`ended with ${code}, without ${text}:\n${stdout}\n${stderr}`)))
      })
  }
}

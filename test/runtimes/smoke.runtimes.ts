/**
 * kubelock, as npm would install it, on every runtime that it supports: the README's example, two processes that hand a lock over,
 * a process that is told to stop, with TLS and client certificates, and one that blocks its event loop. On the embedded server, and on
 * real ones if they are there.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { copyFileSync, readFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { createServer } from "node:tls"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as Lock from "../../src/Lock.ts"
import { ObjectStore } from "../../src/ObjectStore.ts"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import { makeAuthority } from "../../src/testing/envtest/Certificates.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as KubeConfig from "../../src/testing/envtest/KubeConfig.ts"
import { ApiServer, Envtest } from "../../src/testing/index.ts"
import { install, type Project } from "../utils/installedPackage.ts"
import { root } from "../utils/publicModules.ts"
import { listening } from "../utils/tlsServer.ts"
import { type Runtime, runtimes, versionOf } from "./runtimes.ts"

const shout = (text: string) => {
  const line = "#".repeat(text.length + 4)
  console.error(`\n${line}\n# ${text} #\n${line}\n`)
}

/** The kubeconfigs of an API server: as its programs usually get it, and one with TLS and a client certificate. */
interface Server {
  readonly plain: string
  readonly tls: string
}

/** TLS that demands a client certificate, in front of a port of this machine. */
const withTls = Effect.fnUntraced(function* (port: number): Effect.fn.Return<string, EnvtestError, Scope.Scope> {
  const authority = yield* makeAuthority
  const { cert, key } = yield* authority.serving
  const server = createServer(
    { cert, key, ca: authority.ca.cert, requestCert: true, rejectUnauthorized: true },
    (client) => {
      const upstream = connect(port, "127.0.0.1")
      for (const [one, other] of [
        [client, upstream],
        [upstream, client]
      ] as const) {
        one
          .on("error", () => other.destroy())
          .on("close", () => other.destroy())
          .pipe(other)
      }
    }
  )
  const url = `https://127.0.0.1:${yield* listening(server)}`
  const credentials = yield* authority.client({ name: "smoke" })
  return KubeConfig.make({ url, ca: authority.ca.cert, user: "smoke", credentials })
})

const embedded: Effect.Effect<Server, EnvtestError, Scope.Scope> = Effect.gen(function* () {
  const { kubeConfig, url } = yield* ApiServer.make({ namespaces: ["dex"] })
  return { plain: kubeConfig, tls: yield* withTls(Number(new URL(url).port)) }
})

const real: Effect.Effect<Server, EnvtestError, Scope.Scope> = Effect.map(
  Envtest.start({ server: "kube-apiserver", fsync: false }),
  ({ kubeConfig }) => ({ plain: kubeConfig, tls: kubeConfig })
)

const servers: Array<readonly [name: string, server: typeof embedded]> = [["the embedded server", embedded]]
const assets = await Effect.runPromise(Effect.option(Envtest.assets))
if (Option.isSome(assets)) servers.push(["a real API server", real])
else shout("NOT RUN on a real API server: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver.")

/** The first example of the README, and what it prints. */
const [, example, output] = /^```ts\n(.*?)^```\n\n```text\n(.*?)^```$/ms.exec(
  readFileSync(join(root, "README.md"), "utf8")
)!

let project: Project

beforeAll(async () => {
  project = await install()
  project.write("readme.ts", example!)
  for (const program of ["holder.ts", "blocked.ts"]) {
    copyFileSync(join(import.meta.dirname, program), join(project.folder, program))
  }
})

afterAll(() => project.remove())

/** A process that was started. `printed` waits until it has printed something, and `ended` for its end. */
interface Process {
  readonly printed: Effect.Effect<string>
  readonly ended: Effect.Effect<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
  readonly child: ChildProcess
}

const start = (
  { command: [file, ...args] }: Runtime,
  kubeConfig: string,
  program: string,
  ...rest: ReadonlyArray<string>
): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const kubeConfigFile = join(project.folder, `${crypto.randomUUID()}.yaml`)
      project.write(kubeConfigFile.slice(project.folder.length + 1), kubeConfig)
      const child = spawn(file, [...args, program, ...rest], {
        cwd: project.folder,
        env: { ...process.env, KUBECONFIG: kubeConfigFile, NO_COLOR: "1" },
        stdio: ["pipe", "pipe", "pipe"]
      })
      let stdout = ""
      let stderr = ""
      const first = new Promise<string>((resolve) => {
        child.stdout.on("data", (chunk) => {
          stdout += String(chunk)
          if (stdout.includes("\n")) resolve(stdout.trim())
        })
      })
      child.stderr.on("data", (chunk) => (stderr += String(chunk)))
      const end = new Promise<number | null>((resolve) => child.once("close", resolve))
      const ended = Effect.map(
        Effect.promise(() => end),
        (code) => ({ code, stdout, stderr })
      )
      const printed = Effect.raceFirst(
        Effect.promise(() => first),
        Effect.flatMap(ended, ({ code, stderr }) => Effect.die(new Error(`ended with ${code}: ${stderr}`)))
      )
      return { child, printed, ended }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** What this process sees of the lock that the others contend for. */
const observe = Effect.fnUntraced(function* (kubeConfig: string) {
  const context = yield* Layer.build(
    ObjectStoreKubernetes.layer({ resource: Resource.configMap }).pipe(
      Layer.provide(KubernetesClient.layerKubeConfigYaml(kubeConfig))
    )
  )
  const store = Context.get(context, ObjectStore)
  const lock = yield* Effect.provideContext(Lock.make(), context)
  return {
    state: Effect.map(lock.inspect("hand-over"), ({ _tag }) => _tag),
    // The name of a waiter is in an annotation of the queue.
    isWaiting: (name: string) =>
      Effect.map(store.read("hand-over"), ({ annotations }) =>
        Object.entries(annotations).some(([key, value]) => key.includes("-queue") && value.includes(`${name}/`))
      )
  }
})

for (const runtime of runtimes) {
  const version = versionOf(runtime)
  if (version === undefined) {
    shout(
      `NOT RUN: ${runtime.name} is not installed. npm has it for other platforms, or "npm ci" in test/runtimes/npm failed.`
    )
    describe(runtime.name, () => it.skip("is not installed", () => {}))
    continue
  }

  describe.each(servers)(`${runtime.name} (${version}) on %s`, (_, server) => {
    it.live("runs the README's example", () =>
      Effect.gen(function* () {
        const { plain } = yield* server
        const { ended } = yield* start(runtime, plain, "readme.ts")
        assert.deepStrictEqual(yield* ended, { code: 0, stdout: output!, stderr: "" })
      }).pipe(Effect.scoped)
    )

    it.live("keeps a lock while the event loop is blocked, or says why it cannot", () =>
      Effect.gen(function* () {
        const { plain } = yield* server
        const { ended } = yield* start(runtime, plain, "blocked.ts")
        const stdout = runtime.hasCommonClock
          ? "has the lock: true\n"
          : "No thread of its own can renew the session: the threads of this runtime have no clock in common.\n"
        assert.deepStrictEqual(yield* ended, { code: 0, stdout, stderr: "" })
      }).pipe(Effect.scoped)
    )

    it.live("hands a lock over between processes, and releases it on SIGTERM, by TLS with a client certificate", () =>
      Effect.gen(function* () {
        const { tls } = yield* server
        const { isWaiting, state } = yield* observe(tls)
        const one = yield* start(runtime, tls, "holder.ts", "one")
        const first = Number(yield* one.printed)
        const two = yield* start(runtime, tls, "holder.ts", "two")
        yield* Effect.repeat(Effect.delay(isWaiting("two"), "50 millis"), { until: (is) => is })
        one.child.stdin!.end()
        assert.isAbove(Number(yield* two.printed), first)
        assert.deepInclude(yield* one.ended, { code: 0, stderr: "" })
        assert.strictEqual(yield* state, "Held")
        two.child.kill("SIGTERM")
        // As Effect's runMain ends after any interruption.
        assert.deepInclude(yield* two.ended, { code: 130, stderr: "" })
        assert.strictEqual(yield* state, "Free")
      }).pipe(Effect.scoped)
    )
  })

  describe(`${runtime.name} (${version})`, () => {
    it.live("runs the load tester, which ends in order on SIGTERM", () =>
      Effect.gen(function* () {
        const { child, ended } = yield* start(
          runtime,
          "",
          join(root, "bench/load/main.ts"),
          "--duration=1h",
          "--threads=2"
        )
        yield* Effect.callback<void>((resume) => {
          child.stderr!.on("data", (chunk) => {
            if (/ s {2}kubelock: [1-9]/.test(String(chunk))) resume(Effect.void)
          })
        })
        child.kill("SIGTERM")
        const { code, stderr, stdout } = yield* ended
        assert.strictEqual(code, 143, stderr)
        assert.match(stdout, /0 violations in [\d,]+ acquisitions: mutual exclusion held/)
        assert.match(stderr, /^(kubelock: connecting\n|[\d.]+ s {2}kubelock( \(warming up\))?: .*\n)*$/)
      }).pipe(Effect.scoped)
    )
  })
}

import { assert, describe, it, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Ndjson from "effect/encoding/Ndjson"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import * as Client from "../../src/testing/envtest/Client.ts"
import { isAlive } from "../../src/testing/envtest/Daemon.ts"
import { describeServers } from "./describeServers.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"

const tokens = "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens"
const annotation = "dexidp.com/resource-lock"

const token = (name: string) => ({
  apiVersion: "dex.coreos.com/v1",
  kind: "RefreshToken",
  metadata: { name },
  claims: { userID: "1" }
})

const patch = (resourceVersion: string | undefined, value: string) => ({
  metadata: { resourceVersion, annotations: { [annotation]: value } }
})

const create = Effect.fnUntraced(function* (api: Envtest.ApiServerProcess, name: string) {
  const created = yield* api.request("POST", tokens, token(name))
  assert.strictEqual(created.status, 201)
  return created.body.metadata?.resourceVersion
})

describeServers("a running API server", (server) => {
  layer(Envtest.layer({ server, fsync: false }), { timeout: "120 seconds" })((it) => {
    it.effect("creates an object and reads only its metadata", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        yield* create(api, "read")
        const reply = yield* api.request("GET", `${tokens}/read`, undefined, {
          accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        })
        assert.strictEqual(reply.status, 200)
        assert.strictEqual(reply.body.kind, "PartialObjectMetadata")
        assert.strictEqual(reply.body.metadata?.name, "read")
        assert.notProperty(reply.body, "claims")
      })
    )

    it.effect("compares and swaps: it accepts a current resourceVersion and refuses a stale one", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const version = yield* create(api, "swap")
        const fresh = yield* api.request("PATCH", `${tokens}/swap`, patch(version, "a"))
        assert.strictEqual(fresh.status, 200)
        const stale = yield* api.request("PATCH", `${tokens}/swap`, patch(version, "b"))
        assert.strictEqual(stale.status, 409)
        assert.strictEqual(stale.body.reason, "Conflict")
        const now = yield* api.request("GET", `${tokens}/swap`)
        assert.strictEqual(now.body.metadata?.annotations?.[annotation], "a")
        assert.strictEqual(now.body.metadata?.resourceVersion, fresh.body.metadata?.resourceVersion)
      })
    )

    it.effect("streams a change to a watch", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const version = yield* create(api, "watch")
        const opened = yield* Deferred.make<void>()
        const watch = yield* api.client
          .get(tokens, { urlParams: { watch: "1", fieldSelector: "metadata.name=watch", resourceVersion: version } })
          .pipe(
            Effect.tap(() => Deferred.succeed(opened, undefined)),
            HttpClientResponse.stream,
            Stream.pipeThroughChannel(Ndjson.decode()),
            Stream.take(1),
            Stream.runCollect,
            Effect.forkScoped
          )
        yield* Deferred.await(opened)
        yield* api.request("PATCH", `${tokens}/watch`, patch(version, "seen"))
        const [event] = yield* Fiber.join(watch)
        assert.deepInclude(event, { type: "MODIFIED" })
        assert.deepNestedInclude(event, { "object.metadata.name": "watch" })
      })
    )

    it.effect.each(["SIGTERM", "SIGKILL"] as const)("keeps its objects over a restart by %s", (signal) =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const name = `restart-${signal.toLowerCase()}`
        const version = yield* create(api, name)
        const before = yield* api.pids
        yield* api.restart(signal)
        const after = yield* api.pids
        assert.strictEqual(after[0], before[0])
        assert.notStrictEqual(after[1], before[1])
        const kept = yield* api.request("GET", `${tokens}/${name}`)
        assert.strictEqual(kept.body.metadata?.resourceVersion, version)
      })
    )

    it.effect("refuses connections while it is stopped", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        yield* api.stop("SIGKILL")
        const refused = yield* Effect.exit(api.request("GET", "/version"))
        yield* api.start
        assert.isTrue(Exit.isFailure(refused))
        assert.strictEqual((yield* api.request("GET", "/version")).status, 200)
      })
    )

    it.effect.each(["server", "etcd"] as const)("does not answer a write while %s is paused", (part) =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        yield* create(api, `paused-${part}`)
        yield* api.pause(part)
        const silent = yield* api
          .request("PATCH", `${tokens}/paused-${part}`, patch(undefined, "a"))
          .pipe(Effect.timeout("300 millis"), TestClock.withLive, Effect.flip, Effect.ensuring(api.resume(part)))
        assert.isTrue(Cause.isTimeoutError(silent))
        const answered = yield* api.request("PATCH", `${tokens}/paused-${part}`, patch(undefined, "b"))
        assert.strictEqual(answered.status, 200)
      })
    )

    it.effect("gives kubeconfigs of the administrator and of other users", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        assert.strictEqual(Fs.readFileSync(api.kubeConfigPath, "utf8"), api.kubeConfig)
        assert.include(api.kubeConfig, `server: ${api.url}`)
        const other = yield* api.kubeConfigFor({ name: "ann", groups: ["lockers"] })
        assert.include(other, `user: "ann"`)
        assert.notInclude(other, api.kubeConfig.split("client-key-data: ")[1]!.split("\n")[0]!)
      })
    )

    it.effect.runIf(server === "kube-apiserver")("applies RBAC to plain users", () =>
      Effect.gen(function* () {
        const api = yield* Envtest.ApiServer
        const ann = yield* api.clientFor({ name: "ann", groups: ["lockers"] })
        yield* create(api, "rbac")
        const refused = yield* Client.send(ann, "GET", `${tokens}/rbac`)
        assert.strictEqual(refused.status, 403)
        assert.include(refused.body.message, `User "ann" cannot get resource "refreshtokens"`)
        const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/dex"
        yield* api.request("POST", `${rbac}/roles`, {
          metadata: { name: "lockers" },
          rules: [{ apiGroups: ["dex.coreos.com"], resources: ["refreshtokens"], verbs: ["get"] }]
        })
        yield* api.request("POST", `${rbac}/rolebindings`, {
          metadata: { name: "lockers" },
          roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "lockers" },
          subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "lockers" }]
        })
        const allowed = yield* Client.send(ann, "GET", `${tokens}/rbac`).pipe(
          Effect.repeat({ until: ({ status }) => status === 200, times: 200 })
        )
        assert.strictEqual(allowed.status, 200)
      })
    )
  })
})

describeServers("nothing is left", (server) => {
  it.effect("after its scope closed, even of a frozen server", () =>
    Effect.gen(function* () {
      const { directory, pids } = yield* Effect.scoped(
        Effect.gen(function* () {
          const api = yield* Envtest.start({ server, fsync: false })
          const pids = yield* api.pids
          assert.lengthOf(pids, 2)
          assert.deepStrictEqual(pids.map(isAlive), [true, true])
          yield* api.pause("server")
          return { directory: api.directory, pids }
        })
      )
      assert.deepStrictEqual(pids.map(isAlive), [false, false])
      assert.isFalse(Fs.existsSync(directory))
    })
  )

  it.live("after an interruption in the middle of the start", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const previous = process.env["TMPDIR"]
      process.env["TMPDIR"] = folder
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (previous === undefined) delete process.env["TMPDIR"]
          else process.env["TMPDIR"] = previous
        })
      )
      const fiber = yield* Effect.forkChild(Effect.scoped(Envtest.start({ server, fsync: false })))
      yield* waitFor(() => processesOf(folder).length === 3)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(processesOf(folder), [])
      assert.deepStrictEqual(Fs.readdirSync(folder), [])
    })
  )

  it.live("after the process that started it was killed", () =>
    Effect.gen(function* () {
      const run = ChildProcess.spawn(process.execPath, [Path.join(import.meta.dirname, "serve.ts"), server], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => run.kill("SIGKILL")))
      const line = yield* Effect.promise(async () => {
        for await (const line of createInterface(run.stdout)) return line
        return ""
      })
      const { directory, pids } = JSON.parse(line) as { directory: string; pids: Array<number> }
      assert.deepStrictEqual(pids.map(isAlive), [true, true])
      run.kill("SIGKILL")
      yield* waitFor(() => !pids.some(isAlive) && !Fs.existsSync(directory))
    })
  )
})

describe("without usable binaries", () => {
  const withAssets = (folder: string) =>
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { KUBEBUILDER_ASSETS: folder } })))

  it.effect("says in one line what is missing", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const detail = Effect.map(Effect.flip(Envtest.assets), (error) => error.detail)
      assert.strictEqual(yield* detail.pipe(withAssets("")), "KUBEBUILDER_ASSETS is not set")
      assert.include(yield* detail.pipe(withAssets(folder)), "without etcd")
      Fs.writeFileSync(Path.join(folder, "etcd"), "")
      assert.include(yield* detail.pipe(withAssets(folder)), "without kube-apiserver")
      assert.deepStrictEqual(yield* Envtest.servers.pipe(withAssets(folder)), [])
      Fs.writeFileSync(Path.join(folder, "kube-apiserver"), "")
      assert.deepStrictEqual(yield* Envtest.servers.pipe(withAssets(folder)), ["kube-apiserver"])
    })
  )

  // An etcd that only records its pid, and an API server that counts its attempts and dies of `problem`.
  const brokenAssets = (folder: string, problem: string) => {
    const write = (name: string, script: string) =>
      Fs.writeFileSync(Path.join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    write("etcd", `echo $$ >> ${folder}/pids; exec sleep 1000`)
    write("kube-apiserver", `echo . >> ${folder}/attempts; sleep 0.2; echo some line; echo "${problem}" >&2; exit 3`)
    const lines = (name: string) => Fs.readFileSync(Path.join(folder, name), "utf8").trim().split("\n")
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Envtest.start({ server: "kube-apiserver" })))
      return { error, attempts: lines("attempts").length, alive: lines("pids").map(Number).filter(isAlive) }
    }).pipe(withAssets(folder))
  }

  it.effect("fails with the last lines of a server that dies, and leaves nothing", () =>
    Effect.gen(function* () {
      const { error, attempts, alive } = yield* brokenAssets(yield* temporaryFolder, "no such luck")
      assert.strictEqual(error.step, "kube-apiserver")
      assert.strictEqual(error.detail, "ended with status 3")
      assert.sameMembers(error.log?.split("\n") ?? [], ["some line", "no such luck"])
      assert.strictEqual(attempts, 1)
      assert.deepStrictEqual(alive, [])
    })
  )

  it.effect("tries other ports if another process took one first", () =>
    Effect.gen(function* () {
      const { error, attempts, alive } = yield* brokenAssets(
        yield* temporaryFolder,
        "listen tcp 127.0.0.1:1: bind: address already in use"
      )
      assert.include(error.message, "address already in use")
      assert.strictEqual(attempts, 3)
      assert.deepStrictEqual(alive, [])
    })
  )
})

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubelock-test-"))),
  (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true, force: true }))
)

/** Every process that has this folder in its arguments. */
const processesOf = (folder: string): ReadonlyArray<string> =>
  ChildProcess.execFileSync("ps", ["-A", "-o", "args"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(folder))

const waitFor = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (met) => met, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("20 seconds")
  )

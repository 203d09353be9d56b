/** `kubelock acquire`, `kubelock renew` and `kubelock release`, as processes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { parse, format } from "../../src/cli/fixed/handle.ts"
import * as Resource from "../../src/Resource.ts"
import { Fault } from "../../src/testing/ApiServer.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

const acquire = async (...args: ReadonlyArray<string>) => {
  const { code, stderr, stdout } = await kubelock.run(["acquire", ...args])
  assert.deepStrictEqual([code, stderr], [0, ""])
  return stdout.trim()
}

/** When a lock ends that is held. */
const expiryOf = async (name: string): Promise<string | undefined> => {
  const object = await Effect.runPromise(kubelock.server.get(Resource.configMap, "default", name))
  return Option.getOrThrow(object).metadata.annotations?.["kubelock.dev/lock"]
}

/** How many seconds are left of a lock that is held. */
const left = async (name: string): Promise<number> => {
  const expiry = await expiryOf(name)
  return expiry === undefined ? 0 : (Date.parse(expiry) - Date.now()) / 1000
}

describe.concurrent("a lock with a handle", () => {
  it("outlives the program that acquired it, and is renewed and released by the handle", async () => {
    const handle = await acquire("steps", "--ttl", "2m")
    assert.match(handle, /^default:configmaps:steps:[\w.-]+\/\w{12}\.1:\d+$/)
    assert.strictEqual((await kubelock.run(["run", "steps", "--nonblock", "--", "true"])).code, 75)
    assert.strictEqual((await kubelock.run(["acquire", "steps", "--nonblock", "-E", "9"])).code, 9)
    assert.isBelow(await left("steps"), 130)
    assert.deepStrictEqual(await kubelock.run(["renew", handle, "--ttl", "1h"]), { code: 0, stdout: "", stderr: "" })
    assert.isAbove(await left("steps"), 3000)
    assert.deepStrictEqual(await kubelock.run(["release", handle]), { code: 0, stdout: "", stderr: "" })
    assert.strictEqual((await kubelock.run(["run", "steps", "--nonblock", "--", "true"])).code, 0)
  })

  it("is not waited for without end on a server that was never there", async () => {
    writeFileSync(join(kubelock.folder, "dead"), kubelock.server.kubeConfig.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"))
    const { code, stderr, stdout } = await kubelock.run(["acquire", "x", "--kubeconfig", "dead"])
    assert.deepStrictEqual([code, stdout], [69, ""])
    assert.match(stderr, /\nkubelock: Could not get configmaps\/x .*no connection/)
  })

  it("has a fencing token, which grows, and an expiry", async () => {
    const tell = async () =>
      JSON.parse(await acquire("fenced", "-o", "json")) as Readonly<
        Record<"handle" | "holder" | "fencingToken" | "expires", string>
      >
    const first = await tell()
    assert.strictEqual(first.handle, `default:configmaps:fenced:${first.holder}:${first.fencingToken}`)
    assert.isAbove(Date.parse(first.expires), Date.now())
    assert.strictEqual((await kubelock.run(["release", first.handle])).code, 0)
    assert.isTrue(BigInt((await tell()).fencingToken) > BigInt(first.fencingToken))
  })

  it("is not acquired or renewed for a time that cannot be", async () => {
    const complaint = (verb: string) =>
      `kubelock: Invalid value for flag --ttl: "100d". Expected: a duration from 1s to 1d (see kubelock ${verb} --help)\n`
    const handle = await acquire("bounded")
    for (const verb of [
      ["acquire", "bounds"],
      ["renew", handle]
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      const { code, stderr } = await kubelock.run([...verb, "--ttl", "100d"])
      assert.deepStrictEqual([code, stderr], [64, complaint(verb[0]!)])
    }
  })

  it("is not shortened by a renewal", async () => {
    const handle = await acquire("long", "--ttl", "1h")
    await kubelock.run(["renew", handle, "--ttl", "1m"])
    assert.isAbove(await left("long"), 3000)
  })

  it("that was lost is neither renewed nor released, and the new holder keeps it", async () => {
    const handle = await acquire("lost")
    await kubelock.run(["break", "lost", "--yes"])
    const gone = await kubelock.run(["renew", handle])
    const over =
      /^kubelock: The handle of lock "lost" \(configmaps\/lost in namespace default\) is of a hold that is over: /
    assert.strictEqual(gone.code, 76)
    assert.match(gone.stderr, new RegExp(`${over.source}the lock was released or broken\\.\n$`))
    const other = await acquire("lost")
    for (const verb of ["renew", "release"]) {
      // oxlint-disable-next-line no-await-in-loop
      const { code, stderr } = await kubelock.run([verb, handle])
      assert.strictEqual(code, 76)
      assert.match(
        stderr,
        new RegExp(`${over.source}another contender holds the lock. Holder now: \\S+ until \\S+Z\\.\n$`)
      )
    }
    assert.strictEqual((await kubelock.run(["release", other])).code, 0)
  })

  it("is renewed while a command runs, which is told of it and ends as it likes, and stays as it is then", async () => {
    const handle = await acquire("working", "--ttl", "20s")
    const inside = "echo $KUBELOCK_HELD $KUBELOCK_ID $KUBELOCK_HOLDER:$KUBELOCK_FENCING_TOKEN; cat; exit 37"
    const running = kubelock.start(["renew", handle, "--ttl", "20s", "--", "sh", "-c", inside])
    await running.says(`true working ${handle.split(":").slice(3).join(":")}\n`)
    const expiry = await expiryOf("working")
    await Kubelock.until(async () => (await expiryOf("working")) !== expiry)
    running.process.stdin.end("in")
    const { code, stderr, stdout } = await running.ended
    assert.deepStrictEqual([code, stdout.split("\n")[1], stderr], [37, "in", ""])
    assert.strictEqual((await kubelock.run(["run", "working", "--nonblock", "--", "true"])).code, 75)
    assert.strictEqual((await kubelock.run(["release", handle])).code, 0)
  })

  it("ends the command that runs under it if it is lost", async () => {
    const handle = await acquire("taken")
    const shell = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    const running = kubelock.start(["renew", handle, "--ttl", "4", "--", "sh", "-c", shell])
    await running.says("ready")
    await kubelock.run(["break", "taken", "--yes"])
    const { code, stderr, stdout } = await running.ended
    assert.deepStrictEqual([code, stdout], [76, "ready\ntold\n"])
    assert.match(stderr, /is of a hold that is over: the lock was released or broken\.\n$/)
  })

  it("ends the command that runs under it before the lease ends, if it cannot be renewed", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const handle = yield* Effect.promise(() => acquire("silent"))
          const shell = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
          const running = kubelock.start(["renew", handle, "--ttl", "4", "--", "sh", "-c", shell])
          yield* Effect.promise(() => running.says("ready"))
          yield* kubelock.server.inject(Fault.Drop({ at: "Request" }), { when: ({ path }) => path.includes("/silent") })
          const { code, stderr, stdout } = yield* Effect.promise(() => running.ended)
          assert.deepStrictEqual([code, stdout], [76, "ready\ntold\n"])
          assert.match(stderr, /kubelock: silent could not be renewed in time\.\n$/)
        })
      )
    ))

  it("runs no command if its lease was over before the renewal was answered", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const handle = yield* Effect.promise(() => acquire("slow", "--ttl", "1"))
        yield* kubelock.server.inject(Fault.Delay({ at: "Answer", duration: "3 seconds" }), {
          when: ({ method, path }) => method === "PATCH" && path.includes("/slow")
        })
        const ended = yield* Effect.promise(() => kubelock.run(["renew", handle, "--ttl", "2", "--", "echo", "in"]))
        assert.deepStrictEqual(ended, {
          code: 76,
          stdout: "",
          stderr: "kubelock: slow could not be renewed in time.\n"
        })
      }).pipe(Effect.scoped)
    ))

  it("is still there if the command is not found", async () => {
    const handle = await acquire("unfound")
    const { code, stderr } = await kubelock.run(["renew", handle, "--", "no-such-command"])
    assert.deepStrictEqual([code, stderr], [127, "kubelock: no-such-command: command not found.\n"])
    assert.strictEqual((await kubelock.run(["release", handle])).code, 0)
  })

  it("runs no command if it was lost before, or with a grace that is too long", async () => {
    const handle = await acquire("late")
    const long = await kubelock.run(["renew", handle, "--ttl", "8", "--grace", "3", "--", "echo", "in"])
    const message = "kubelock: --grace must be at most a quarter of --ttl, which is 8s\n"
    assert.deepStrictEqual(long, { code: 64, stdout: "", stderr: message })
    await kubelock.run(["release", handle])
    const { code, stdout } = await kubelock.run(["renew", handle, "--", "echo", "in"])
    assert.deepStrictEqual([code, stdout], [76, ""])
  })

  it("runs no command whose flags were taken for those of kubelock", async () => {
    const handle = await acquire("dashless")
    for (const flags of [
      ["-n", "5"],
      ["-l", "5"]
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      const { code, stderr, stdout } = await kubelock.run(["renew", handle, "echo", ...flags])
      assert.deepStrictEqual([code, stdout], [64, ""])
      assert.match(stderr, /^kubelock: .*put -- before .*\n$/)
    }
  })

  it("goes to the next one that waits", async () => {
    const handle = await acquire("next", "--resource", "leases.coordination.k8s.io")
    const waiter = kubelock.start(["run", "next", "--resource", "leases.coordination.k8s.io", "--", "echo", "in"])
    await Kubelock.until(() => kubelock.isAwaited("next", Resource.lease))
    assert.strictEqual((await kubelock.run(["release", handle])).code, 0)
    assert.strictEqual((await waiter.ended).stdout, "in\n")
  })

  it("has a handle that is one word, whatever the resource", () => {
    const widget = Resource.make({ group: "example.com", version: "v1", plural: "widgets", kind: "Widget" })
    for (const resource of [Resource.configMap, Resource.lease, Resource.refreshToken, widget]) {
      const handle = { namespace: "x", resource, name: "a.b", holderId: "host-1/0123456789ab.1", fencingToken: 7n }
      assert.deepStrictEqual(parse(format(handle)), Option.some(handle))
    }
    const whole = "x:configmaps:a:host/0123456789ab.1:7"
    assert.isTrue(Option.isSome(parse(whole)))
    for (const text of ["", "a:b:c:d:7", `${whole}:more`, whole.replace("configmaps", "teapots"), whole.slice(0, -2)]) {
      assert.isTrue(Option.isNone(parse(text)), text)
    }
  })

  it("that is none is told from one", async () => {
    const { code, stderr } = await kubelock.run(["release", "mine"])
    assert.strictEqual(code, 64)
    assert.match(stderr, /^kubelock: .*Expected: a handle, as acquire printed it/)
  })
})

describe("a release whose answer is lost", () => {
  it("has happened", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const handle = yield* Effect.promise(() => acquire("doubtful"))
          yield* kubelock.server.inject(Fault.Drop({ at: "Answer" }), {
            when: ({ method }) => method === "PATCH",
            times: 1
          })
          const { code, stderr } = yield* Effect.promise(() => kubelock.run(["release", handle]))
          assert.deepStrictEqual([code, stderr], [0, ""])
        })
      )
    ))
})

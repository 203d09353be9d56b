/** `kubelock run`, as a process. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { setTimeout } from "node:timers/promises"
import { join } from "node:path"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as Resource from "../../src/Resource.ts"
import { Fault, type SeenRequest } from "../../src/testing/ApiServer.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

const run = (...args: ReadonlyArray<string>) => kubelock.run(["run", ...args])

/** A command that says `ready`, and then does what a shell is told on a signal. */
const script = (onTerm: string) => ["sh", "-c", `trap '${onTerm}' TERM; echo ready; while :; do sleep 0.05; done`]

const isHeld = async (name: string, resource = Resource.configMap) => {
  const object = await Effect.runPromise(kubelock.server.get(resource, "default", name))
  return LockPolicy.neutralAnnotation in (Option.getOrUndefined(object)?.metadata.annotations ?? {})
}

/** Takes the lock away from its holder. */
const takeAway = (name: string) =>
  Effect.runPromise(kubelock.server.put(Resource.configMap, "default", { metadata: { name } }))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

describe.concurrent("kubelock run", () => {
  it("runs a command under the lock, tells it about it, and releases the lock", async () => {
    const inside =
      "kubelock run one --nonblock -- true; echo $? $KUBELOCK_HELD $KUBELOCK_ID $KUBELOCK_HOLDER $KUBELOCK_FENCING_TOKEN"
    const { code, stderr, stdout } = await run("one", "--", "sh", "-c", inside)
    assert.match(stdout, /^75 true one [\w.-]+\/[a-z0-9]{12}\.1 \d+\n$/)
    assert.match(stderr, /^kubelock: Cannot acquire lock "one" .*: it is held\. Holder: .*\n$/)
    assert.strictEqual(code, 0)
    assert.isFalse(await isHeld("one"))
  })

  it("ends with the exit code of the command, or with that of the signal that ended it", async () => {
    assert.strictEqual((await run("code", "--", "sh", "-c", "exit 37")).code, 37)
    assert.strictEqual((await run("code", "-c", "kill -KILL $$")).code, 137)
    assert.strictEqual((await run("code", "-c", "exit 3")).code, 3)
  })

  it("passes standard input on, and leaves standard output to the command", async () => {
    const { stderr, stdout } = await kubelock.run(["run", "pipe", "--", "cat"], { input: "a\nb\n" })
    assert.deepStrictEqual([stdout, stderr], ["a\nb\n", ""])
  })

  it("ends with 127 if the command is not found, with 126 if it cannot be executed, and releases the lock", async () => {
    const missing = await run("bad", "--", "no-such-command")
    assert.deepStrictEqual(missing, {
      code: 127,
      stdout: "",
      stderr: "kubelock: no-such-command: command not found.\n"
    })
    const directory = await run("bad", "--", "/tmp")
    assert.strictEqual(directory.code, 126)
    assert.isFalse(await isHeld("bad"))
  })

  it("does not wait with --nonblock, and waits for as long as --timeout says", async () => {
    const holder = await kubelock.holding("busy")
    const tried = await run("busy", "--nonblock", "--", "true")
    assert.strictEqual(tried.code, 75)
    const waited = await run("busy", "-w", "0.5", "-E", "9", "--", "true")
    assert.strictEqual(waited.code, 9)
    assert.match(waited.stderr, /^kubelock: Gave up waiting for lock "busy" .* Last holder seen: .*\n$/)
    holder.process.kill("SIGTERM")
    assert.strictEqual((await holder.ended).code, 0)
    assert.isFalse(await isHeld("busy"))
  })

  it.each([
    ["a lock", []],
    ["a semaphore", ["--limit", "2"]],
    ["a run that is due", ["--once", "2026-11-28T02:00:00Z"]]
  ])("waits for no longer than --timeout says for a server that does not answer (%s)", async (_, flags) => {
    const server = createServer((socket) => void socket.on("error", () => {}).resume())
    await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens))
    const { port } = server.address() as AddressInfo
    const file = join(kubelock.folder, `silent-${port}`)
    writeFileSync(file, kubelock.server.kubeConfig.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`))
    const { code, stderr } = await run("silent", "--timeout", "1", "--kubeconfig", file, ...flags, "--", "true")
    assert.strictEqual(code, 69)
    // A request of its own has more time than that.
    assert.match(stderr, /^kubelock: Gave up waiting for silent after 1s: the API server \S+ does not answer\.\n$/)
    server.close()
  })

  it("ends with the exit code of a command that has ended, whatever signal comes then", async () => {
    const late = Fault.Delay({ at: "Answer", duration: "2 seconds" })
    const isRelease = ({ method, path }: SeenRequest) => method === "PATCH" && path.endsWith("/interrupted-late")
    const shell = "(sleep 0.5; kill -INT $PPID) & exit 4"
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const hits = yield* kubelock.server.inject(late, { when: isRelease, times: 1 })
          const { code } = yield* Effect.promise(() => run("interrupted-late", "--", "sh", "-c", shell))
          assert.strictEqual(yield* hits, 1)
          assert.strictEqual(code, 4)
        })
      )
    )
  })

  it("leaves nothing behind of an acquisition whose answer came too late for --timeout", async () => {
    await takeAway("answered-late")
    const late = Fault.Delay({ at: "Answer", duration: "1 minute" })
    const when = ({ method, path }: SeenRequest) => method === "PATCH" && path.endsWith("/answered-late")
    const { code, stderr } = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const hits = yield* kubelock.server.inject(late, { when, times: 1 })
          const ended = yield* Effect.promise(() => run("answered-late", "--timeout", "1", "--", "true"))
          assert.strictEqual(yield* hits, 1)
          return ended
        })
      )
    )
    assert.deepStrictEqual([code, stderr.endsWith("does not answer.\n")], [69, true], stderr)
    assert.isFalse(await isHeld("answered-late"))
    assert.strictEqual((await run("answered-late", "--nonblock", "--", "true")).code, 0)
  })

  it("gets the lock as soon as it is released", async () => {
    const holder = await kubelock.holding("next")
    const waiter = kubelock.start(["run", "next", "--", "echo", "in"])
    await Kubelock.until(() => kubelock.isAwaited("next"))
    holder.process.kill("SIGINT")
    assert.strictEqual((await waiter.ended).stdout, "in\n")
  })

  it.each([
    ["SIGTERM", 143],
    ["SIGQUIT", 131],
    ["SIGUSR1", 138],
    ["SIGUSR2", 140]
  ] as const)("leaves nothing behind if %s ends it while it waits", async (signal, code) => {
    const name = `given-up-${signal.toLowerCase()}`
    const holder = await kubelock.holding(name)
    const waiter = kubelock.start(["run", name, "--", "true"])
    await Kubelock.until(() => kubelock.isAwaited(name))
    waiter.process.kill(signal)
    assert.deepStrictEqual(await waiter.ended, { code, stdout: "", stderr: "" })
    assert.isFalse(await kubelock.isAwaited(name))
    holder.process.kill(signal)
    assert.strictEqual((await holder.ended).code, 0)
    assert.isFalse(await isHeld(name))
  })

  it.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const)(
    "forwards %s to the command and to what it started",
    async (signal) => {
      const short = signal.slice("SIG".length)
      const shell = `trap 'echo got; exit 5' ${short}; sh -c "trap 'echo too; exit' ${short}; echo ready; while :; do sleep 0.05; done"`
      const running = kubelock.start(["run", `signal-${short.toLowerCase()}`, "--", "sh", "-c", shell])
      await running.says("ready")
      running.process.kill(signal)
      const { code, stdout } = await running.ended
      assert.strictEqual(code, 5)
      assert.sameMembers(stdout.trim().split("\n"), ["ready", "too", "got"])
    }
  )

  it("ends the command and what it started if the lock is lost, and says so", async () => {
    const shell =
      "sleep 1000 & echo $! > lost.pid; trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    const running = kubelock.start(["run", "lost", "--ttl", "3s", "--", "sh", "-c", shell])
    await running.says("ready")
    await takeAway("lost")
    const { code, stderr, stdout } = await running.ended
    assert.strictEqual(code, 76)
    assert.strictEqual(stdout, "ready\ntold\n")
    assert.match(stderr, /^kubelock: Lost lock "lost" .*: another client removed its annotation\.\n(?!kubelock)/)
    assert.isFalse(isAlive(Number(readFileSync(join(kubelock.folder, "lost.pid"), "utf8"))))
  })

  it("goes on if nobody reads what it says", async () => {
    const running = kubelock.start(["run", "unheard", "--ttl", "3s", "--", ...script("exit 0")])
    await running.says("ready")
    running.process.stderr.destroy()
    await takeAway("unheard")
    assert.strictEqual((await running.ended).code, 76)
  })

  it("kills a command that ignores SIGTERM, after the grace", async () => {
    const running = kubelock.start(["run", "stubborn", "--ttl=3", "--grace=0.2", "--", ...script("echo told")])
    await running.says("ready")
    await takeAway("stubborn")
    const { code, stdout } = await running.ended
    assert.deepStrictEqual([code, stdout.split("\n").slice(0, 2)], [76, ["ready", "told"]])
  })

  it("does not leave a command behind if it is killed itself", async () => {
    // A signal is forwarded once the command is watched over.
    const shell = "echo $$ > killed.pid; trap 'echo ready' USR1; kill -USR1 $PPID; while :; do sleep 0.05; done"
    const running = kubelock.start(["run", "killed", "--grace=1", "--", "sh", "-c", shell])
    await running.says("ready")
    const pid = Number(readFileSync(join(kubelock.folder, "killed.pid"), "utf8"))
    assert.isTrue(isAlive(pid))
    running.process.kill("SIGKILL")
    await Kubelock.until(() => !isAlive(pid))
  })

  it("leaves nothing behind that waits for the whole grace", async () => {
    const running = kubelock.start(["run", "guarded", "--ttl=1h", "--grace=20m", "--", ...script("exit 0")])
    await running.says("ready")
    const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(running.process.pid)], { encoding: "utf8" })
    const pids = children.trim().split(/\s+/).map(Number)
    assert.isAbove(pids.length, 1, "the command and what watches over it")
    running.process.kill("SIGKILL")
    await Kubelock.until(() => !pids.some(isAlive))
  })

  it("stops with the command, and ends a command that was stopped for too long", async () => {
    const running = kubelock.start(["run", "stopped", "--ttl=1", "--grace=0.3", "--", ...script("echo told; exit 0")])
    await running.says("ready")
    running.process.kill("SIGTSTP")
    await Kubelock.until(() => readFileSync(`/proc/${running.process.pid}/stat`, "utf8").includes(") T "))
    await setTimeout(1500)
    running.process.kill("SIGCONT")
    const { code, stdout } = await running.ended
    assert.deepStrictEqual([code, stdout], [76, "ready\ntold\n"])
  })

  it("takes permits of a semaphore, and holds a shared lock with others or alone", async () => {
    const two = ["--limit", "2"]
    const [a, b] = [await kubelock.holding("permits", ...two), await kubelock.holding("permits", ...two)]
    assert.strictEqual((await run("permits", ...two, "--nonblock", "--", "true")).code, 75)
    assert.strictEqual((await run("permits", "--limit", "3", "--nonblock", "--", "true")).code, 69)
    a.process.kill()
    await a.ended
    assert.strictEqual((await run("permits", ...two, "--permits=1", "--nonblock", "--", "true")).code, 0)
    const reader = await kubelock.holding("shared", "--shared")
    assert.strictEqual((await run("shared", "--shared", "--nonblock", "--", "true")).code, 0)
    assert.strictEqual((await run("shared", "--exclusive", "--nonblock", "--", "true")).code, 75)
    for (const each of [b, reader]) each.process.kill()
    await Promise.all([b.ended, reader.ended])
    assert.strictEqual((await run("shared", "--exclusive", "--nonblock", "--", "true")).code, 0)
  })

  it("does a run that is due once, and again if it failed", async () => {
    const once = ["report", "--once", "2026-11-28T02:00:00Z"]
    assert.strictEqual((await run(...once, "--", "false")).code, 1)
    const first = await run(...once, "-c", "echo $KUBELOCK_DUE after $KUBELOCK_PREVIOUS by $KUBELOCK_HOLDER")
    assert.strictEqual(first.code, 0)
    assert.match(first.stdout, /^2026-11-28T02:00:00.000Z after by [\w.-]+\/\w{12}\.1\n$/)
    const second = await run(...once, "--", "echo", "again")
    assert.deepStrictEqual([second.code, second.stdout], [0, ""])
    assert.match(second.stderr, /was completed before/)
    const next = await run("report", "--once", `@${Date.UTC(2026, 10, 29, 2) / 1000}`, "-c", "echo $KUBELOCK_PREVIOUS")
    assert.strictEqual(next.stdout, "2026-11-28T02:00:00.000Z\n")
  })

  it("does not wait for longer than it was told for a run that another one does", async () => {
    const once = ["reported", "--once", "2026-11-28T02:00:00Z"]
    const working = await kubelock.holding(...once)
    assert.strictEqual((await run(...once, "--nonblock", "--", "true")).code, 75)
    assert.strictEqual((await run(...once, "--timeout=0.2", "-E", "9", "--", "true")).code, 9)
    working.process.kill()
    await working.ended
  })

  it("runs the command of the leader, and again when it is elected anew", async () => {
    const leader = kubelock.start(["run", "led", "--lead", "--ttl=3", "--", ...script("echo deposed; exit 0")])
    await leader.says("ready")
    await Effect.runPromise(kubelock.server.put(Resource.lease, "default", { metadata: { name: "led" }, spec: {} }))
    await leader.says("deposed\nready")
    const follower = kubelock.start(["run", "led", "--lead", "--", "echo", "leads"])
    leader.process.kill("SIGTERM")
    assert.strictEqual((await leader.ended).code, 0)
    assert.deepStrictEqual(await follower.ended.then(({ code, stdout }) => [code, stdout]), [0, "leads\n"])
  })

  const complaints: ReadonlyArray<readonly [args: string, code: number, complaint: RegExp]> = [
    ["x --sharde -- true", 64, /Unrecognized flag: --sharde.*Did you mean --shared\?/],
    ["x ls -l", 64, /Unrecognized flag: -l in command kubelock run\. If it is for the command .*, put -- before/],
    ["x ls -lt", 64, /: -l in command kubelock run; Unrecognized flag: -t in command kubelock run\. If it is/],
    ["x --sharde ls", 64, /Did you mean --shared\? \(see/],
    ["x -l -- ls", 64, /: -l in command kubelock run \(see/],
    ["x head -n 5 file", 64, /put -- before the command, so that its flags are its own/],
    ["x head -- -n 5", 64, /put -- before the command/],
    ["", 64, /Missing required argument: name/],
    ["-- true", 64, /give the NAME of the lock before --/],
    ["--ttl 3s -- make deploy", 64, /give the NAME of the lock before --/],
    ["x --", 64, /give a command after --/],
    ["Not-A-Name -- true", 64, /"Not-A-Name" is not a valid name/],
    ["x --ttl soon -- true", 64, /a duration such as/],
    ["x --ttl 100ms -- true", 64, /--ttl: "100ms"\. Expected: a duration from 1s to 1d/],
    ["x --grace 20s -- true", 64, /--grace must be at most two thirds of --ttl/],
    ["x --shared --lead -- true", 64, /give one of/],
    ["x --lead --resource configmaps -- true", 64, /--lead stands for election on a Lease: leave out --resource/],
    ["x --permits 2 -- true", 64, /--permits needs --limit/],
    ["x --once tomorrow -- true", 64, /a time such as/],
    ["x --resource teapots -- true", 64, /configmaps, secrets/],
    ["x --kubeconfig nowhere -- true", 69, /nowhere does not exist/],
    ["x --context nowhere -- true", 69, /no context "nowhere"/],
    ["x -n nowhere --timeout=0.1 -- true", 69, /namespace .* does not exist/],
    [
      "x --resource secrets --timeout=0.1 -- true",
      69,
      /Cannot find secrets\/x in .*\. Create it first: kubelock itself/
    ]
  ]
  it.each(complaints)("says in one line what is wrong with %j", async (args, code, complaint) => {
    const ended = await run(...args.split(" ").filter((arg) => arg !== ""))
    assert.deepStrictEqual([ended.code, ended.stdout], [code, ""], ended.stderr)
    assert.match(ended.stderr, complaint)
    assert.match(ended.stderr, /^kubelock: [^\n]*\n$/)
  })

  it("refuses a command whose name is empty, and runs one whose last argument is --", async () => {
    const { code, stderr } = await run("x", "--", "", "echo")
    assert.strictEqual(code, 64)
    assert.match(stderr, /^kubelock: give a command after --/)
    assert.strictEqual((await run("dashes", "--", "echo", "--")).stdout, "--\n")
  })

  it.each([
    ["KUBELOCK_TTL", "soon", 'a duration such as 500ms, 10s, 1m30s or "10 seconds"'],
    ["KUBELOCK_TTL", "100ms", "a duration from 1s to 1d"],
    ["KUBELOCK_RESOURCE", "teapots", "configmaps, secrets"],
    ["KUBELOCK_ANNOTATION", "no key", "an annotation key"]
  ])("says in one line that %s is wrong, and not a flag that was not given", async (name, value, expected) => {
    const ended = await kubelock.run(["run", "x", "--", "true"], { env: { [name]: value } })
    assert.deepStrictEqual([ended.code, ended.stdout], [64, ""], ended.stderr)
    assert.match(ended.stderr, new RegExp(`^kubelock: .*${name}[^\n]*${expected}[^\n]*\n$`))
    assert.notInclude(ended.stderr, "--ttl")
    assert.notInclude(ended.stderr, "--resource")
  })

  it("gives up on a server that cannot be reached", async () => {
    writeFileSync(join(kubelock.folder, "dead"), kubelock.server.kubeConfig.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"))
    const { code, stderr } = await run("x", "--nonblock", "--kubeconfig", "dead", "--", "true")
    assert.strictEqual(code, 69)
    assert.match(stderr, /no connection/)
  })

  it("keeps a lock in the namespace and on the resource that it is told", async () => {
    const holder = await kubelock.holding("elsewhere", "-n", "other", "--resource", "leases.coordination.k8s.io")
    const lease = await Effect.runPromise(kubelock.server.get(Resource.lease, "other", "elsewhere"))
    assert.isTrue(Option.isSome(lease))
    holder.process.kill()
    await holder.ended
  })
})

describe("kubelock run on a terminal", () => {
  it.each(["", "--foreground"])("forwards Ctrl-C once to the command (%j)", async (flag) => {
    const shell = "trap 'echo got; n=1' INT; echo ready; while [ -z \"$n\" ]; do sleep 0.05; done; sleep 0.3; exit 4"
    const file = `interrupted${flag}.sh`
    writeFileSync(join(kubelock.folder, file), shell)
    const running = kubelock.onTerminal(`trap : INT; kubelock run tty ${flag} -- sh ${file}; echo code $?`)
    await running.says("ready")
    running.process.stdin.write("\u0003")
    const { stdout } = await running.ended
    assert.strictEqual(stdout.split("got").length, 2, stdout)
    assert.include(stdout, "code 4")
  })

  it("goes on if a command does that has the terminal and gets Ctrl-\\", async () => {
    const shell = "trap 'echo got; n=1' QUIT; echo ready; while [ -z \"$n\" ]; do sleep 0.05; done; sleep 0.3; exit 4"
    writeFileSync(join(kubelock.folder, "quit.sh"), shell)
    const running = kubelock.onTerminal("trap : QUIT; kubelock run tty-quit --foreground -- sh quit.sh; echo code $?")
    await running.says("ready")
    running.process.stdin.write("\u001c")
    const { stdout } = await running.ended
    assert.strictEqual(stdout.split("got").length, 2, stdout)
    assert.include(stdout, "code 4")
  })

  it("gives up on Ctrl-C while it waits", async () => {
    const holder = await kubelock.holding("tty-busy")
    const waiter = kubelock.onTerminal("kubelock run tty-busy -- true")
    await Kubelock.until(() => kubelock.isAwaited("tty-busy"))
    waiter.process.stdin.write("\u0003")
    assert.strictEqual((await waiter.ended).code, 130)
    holder.process.kill()
    await holder.ended
  })

  it("lets a command use the terminal with --foreground", async () => {
    const running = kubelock.onTerminal("kubelock run tty-own --foreground -- sh -c 'echo to the terminal > /dev/tty'")
    assert.include((await running.ended).stdout, "to the terminal")
  })
})

/** `kubelock run` as a job of a terminal: its keys, its size and its end reach the command, and a shell stops it and lets it go on. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as Resource from "../../src/Resource.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

const [ctrlC, ctrlD, ctrlZ] = ["\u0003", "\u0004", "\u001a"]

const fileOf = (name: string) => join(kubelock.folder, name)

const isHeld = async (name: string) => {
  const object = await Effect.runPromise(kubelock.server.get(Resource.configMap, "default", name))
  return LockPolicy.neutralAnnotation in (Option.getOrUndefined(object)?.metadata.annotations ?? {})
}

/** The state of a process, as ps(1) has it; nothing if it is gone. */
const stateOf = (pid: number): string | undefined => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)![0]
  } catch {
    return undefined
  }
}

const isGone = (pid: number): boolean => [undefined, "Z"].includes(stateOf(pid))

/** What a script does that goes on until a signal. */
const goOn = "while :; do sleep 0.05; done"

/**
 * The same in a shell that starts nothing meanwhile, and can be stopped at any time: one that starts a program waits for that in a state
 * of its own, and does not hear its traps.
 */
const waits = (signal: string, trap: string) =>
  `sleep 1000 & trap 'kill $!; ${trap}' ${signal}; echo ready; while :; do wait; done`

describe.each(["", "--foreground"])("kubelock run %s on a terminal", (flag) => {
  /** The command that runs a script under a lock. `pids` reads the process IDs of the script and of `kubelock`. */
  const under = (lock: string, script: string, flags = "") => {
    const name = `${lock}${flag}`
    writeFileSync(fileOf(`${name}.sh`), `echo $$ $PPID > ${name}.pids\n${script}`)
    const pids = () =>
      readFileSync(fileOf(`${name}.pids`), "utf8")
        .trim()
        .split(" ")
        .map(Number)
    return { name, pids, line: `kubelock run ${name} ${flag} ${flags} -- sh ${name}.sh` }
  }

  /** A shell that controls jobs. */
  const atPrompt = () => {
    const shell = kubelock.onTerminal("sh -i")
    return { ...shell, type: (text: string) => void shell.process.stdin.write(text) }
  }

  it("tells the command that the window has another size", async () => {
    const { line, name } = under(
      "resized",
      `trap 'stty size; exit 4' WINCH; tty > resized${flag}.tty; echo ready; ${goOn}`
    )
    const running = kubelock.onTerminal(`${line}; echo code $?`)
    await running.says("ready")
    spawnSync("stty", ["-F", readFileSync(fileOf(`${name}.tty`), "utf8").trim(), "cols", "101"])
    const { stdout } = await running.ended
    assert.match(stdout, /^\d+ 101\r$/m)
    assert.include(stdout, "code 4")
  })

  it("forwards each Ctrl-C, and ends when the command does", async () => {
    const script = `n=0; trap 'n=$((n+1)); echo got $n; [ $n = 2 ] && exit 4' INT; echo ready; ${goOn}`
    const running = kubelock.onTerminal(`trap : INT; ${under("twice", script).line}; echo code $?`)
    await running.says("ready")
    running.process.stdin.write(ctrlC)
    await running.says("got 1")
    running.process.stdin.write(ctrlC)
    assert.include((await running.ended).stdout, "code 4")
  })

  it("lets the command read what is typed, and ask the terminal how it is", async () => {
    const running = kubelock.onTerminal(
      `kubelock run typed ${flag} -- sh -c 'echo ready; read x; echo got $x; stty -a; echo asked; exec cat'; echo code $?`
    )
    await running.says("ready")
    running.process.stdin.write("words\n")
    await running.says("got words")
    await running.says("asked")
    running.process.stdin.write("lines\n")
    await running.says("lines\r\nlines")
    running.process.stdin.write(ctrlD)
    const { stdout } = await running.ended
    assert.include(stdout, "speed")
    assert.include(stdout, "code 0")
  })

  it("runs a shell, which controls jobs only with --foreground", async () => {
    const controlsJobs = flag !== ""
    const shell = kubelock.onTerminal(`kubelock run shell ${flag} -- sh -i; echo code $?`)
    const type = (text: string) => shell.process.stdin.write(text)
    type("echo re''ady\n")
    await shell.says("ready")
    if (controlsJobs) {
      type("sh -c 'echo star''ted; exec sleep 1000'\n")
      await shell.says("started")
      type(ctrlZ)
      await shell.says("Stopped")
      type("kill -KILL %1; wait; echo ba''ck\n")
      await shell.says("back")
    }
    // A shell that has heard of its job too late asks once more.
    type("exit 3; exit 3\n")
    const { stdout } = await shell.ended
    assert.strictEqual(stdout.includes("job control turned off"), !controlsJobs)
    assert.include(stdout, "code 3")
  })

  it("stops as a whole on Ctrl-Z, and goes on with fg", async () => {
    const { line, pids } = under("stopped", waits("INT", "echo got; exit 4"), "--ttl=1h")
    const shell = atPrompt()
    shell.type(`${line}\n`)
    await shell.says("ready")
    shell.type(ctrlZ)
    await Kubelock.until(() => pids().every((pid) => stateOf(pid) === "T"))
    shell.type("fg; echo code $?\n")
    await Kubelock.until(() => pids().every((pid) => stateOf(pid) !== "T"))
    shell.type(ctrlC)
    await shell.says("code 4")
    shell.type("exit\n")
    const { stdout } = await shell.ended
    assert.strictEqual(stdout.split("got").length, 2, stdout)
  })

  it("does not keep the lock while it is stopped for longer than the TTL, and says so with fg", async () => {
    const { line, name, pids } = under("stopped-for-long", waits("TERM", "echo told; exit 0"), "--ttl=6 --grace=1")
    const shell = atPrompt()
    shell.type(`${line}\n`)
    await shell.says("ready")
    shell.type(ctrlZ)
    await Kubelock.until(() => pids().every((pid) => stateOf(pid) === "T"))
    assert.strictEqual((await kubelock.run(["run", name, "--", "true"])).code, 0)
    assert.deepStrictEqual(pids().map(stateOf), ["T", "T"])
    shell.type("fg; echo code $?\n")
    await shell.says("code 76")
    shell.type("exit\n")
    const { stdout } = await shell.ended
    assert.match(stdout, /^kubelock: Lost lock "stopped-for-long/m)
    assert.include(stdout, "told")
    assert.isTrue(isGone(pids()[0]!))
  })

  it("ends with a terminal that is closed, and releases the lock", async () => {
    const script = `trap 'echo $? > closed${flag}.told; exit 4' HUP; echo ready; ${goOn}`
    const { line, name, pids } = under("closed", script, "--ttl=1h")
    const running = kubelock.onTerminal(`${line}; true`)
    await running.says("ready")
    running.process.kill("SIGKILL")
    await Kubelock.until(() => pids().every(isGone))
    assert.isTrue(existsSync(fileOf(`${name}.told`)))
    assert.isFalse(await isHeld(name))
  })

  it("keeps the lock for a command that outlives its terminal", async () => {
    const script = `trap '' HUP; echo ready; while [ ! -e outlived${flag}.end ]; do sleep 0.05; done`
    const { line, name, pids } = under("outlived", script, "--ttl=5")
    const running = kubelock.onTerminal(`${line}; true`)
    await running.says("ready")
    running.process.kill("SIGKILL")
    await running.ended
    assert.strictEqual((await kubelock.run(["run", name, "--timeout=6", "--", "true"])).code, 75)
    writeFileSync(fileOf(`${name}.end`), "")
    await Kubelock.until(() => pids().every(isGone))
    assert.isFalse(await isHeld(name))
  })
})

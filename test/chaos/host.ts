/**
 * Hosts with cables of their own: network namespaces of Linux. The cable of a host is a program (`wire.py`), which can lose, hold
 * back and cut what goes through it, in each direction. A second, sound link leads to what no fault may hit.
 *
 * It takes Linux, root, `ip`, `/dev/net/tun` and `python3`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"

/** What a cable does to packets. `cut`: 0 is from the host, 1 is to the host. `delay` is in seconds, each way. */
export interface Fault {
  readonly cut?: ReadonlyArray<0 | 1>
  readonly delay?: number
  readonly loss?: number
  readonly mtu?: number
}

/**
 * A host.
 *
 * - `command`: what runs a program there, followed by the program.
 * - `server`: the address of this machine at the other end of the cable. `witness`: the same on the sound link.
 * - `set`: changes the cable. `{}` is a sound one.
 */
export interface Host {
  readonly name: string
  readonly command: ReadonlyArray<string>
  readonly server: string
  readonly witness: string
  readonly set: (fault: Fault) => Effect.Effect<void>
}

const ip = (...args: ReadonlyArray<string>) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] })

/** Why hosts cannot be made here, or nothing if they can. */
export const problem = (): string | undefined => {
  if (process.platform !== "linux") return "this is not Linux"
  if (process.getuid?.() !== 0) return "this is not root"
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun"
  try {
    execFileSync("python3", ["--version"], { stdio: "ignore" })
  } catch {
    return "there is no python3"
  }
  try {
    ip("netns", "add", "kubelock-probe")
    ip("netns", "delete", "kubelock-probe")
    return undefined
  } catch (error) {
    return `there are no network namespaces (${String(error).split("\n")[0]})`
  }
}

/** Makes the host of this number, from 0 to 99. It is gone when the scope closes. */
export const make = (number: number, seed: number): Effect.Effect<Host, never, Scope.Scope> => {
  const id = `${process.pid % 100_000}-${number}`
  const name = `kubelock-${id}`
  const [near, far] = [`kn${id}`, `kf${id}`]
  const [sound, soundFar] = [`ks${id}`, `kt${id}`]
  const cable = `10.213.${number}`
  const link = `10.214.${number}`
  const inside = (...args: ReadonlyArray<string>) => ip("-n", name, ...args)

  const setUp = Effect.callback<ChildProcessWithoutNullStreams>((resume) => {
    ip("netns", "add", name)
    const wire = spawn("python3", [join(import.meta.dirname, "wire.py"), far, near, String(seed)])
    wire.stdin.on("error", () => {})
    wire.stderr.pipe(process.stderr)
    wire.stdout.once("data", () => {
      ip("link", "set", far, "netns", name)
      ip("address", "add", `${cable}.1/24`, "dev", near)
      ip("link", "set", near, "up")
      inside("address", "add", `${cable}.2/24`, "dev", far)
      inside("link", "set", far, "up")
      ip("link", "add", sound, "type", "veth", "peer", "name", soundFar, "netns", name)
      ip("address", "add", `${link}.1/24`, "dev", sound)
      ip("link", "set", sound, "up")
      inside("address", "add", `${link}.2/24`, "dev", soundFar)
      inside("link", "set", soundFar, "up")
      inside("link", "set", "lo", "up")
      resume(Effect.succeed(wire))
    })
  })
  // The devices go with the namespace, and with the program that holds them open.
  const tearDown = (wire: ChildProcessWithoutNullStreams) =>
    Effect.sync(() => {
      wire.kill("SIGKILL")
      ip("netns", "delete", name)
    })

  return Effect.map(Effect.acquireRelease(setUp, tearDown), (wire) => ({
    name,
    command: ["ip", "netns", "exec", name],
    server: `${cable}.1`,
    witness: `${link}.1`,
    set: (fault) => Effect.sync(() => void wire.stdin.write(`${JSON.stringify(fault)}\n`))
  }))
}

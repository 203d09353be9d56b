/** `etcdctl lock`, which runs a command while it has the lock. The command says that it runs, and then sleeps. */
import { spawn } from "node:child_process"
import { output } from "../harness/output.ts"
import type { Opened } from "./packages.ts"

/** The version of the etcdctl on this machine: `undefined` if there is none. */
export const version = (): string | undefined => /etcdctl version: (\S+)/.exec(output("etcdctl", ["version"]))?.[1]

const command = ["sh", "-c", "echo $$; exec sleep 600"]

/** Runs it on an etcd, once for each acquisition. */
export const open = (url: string): Opened => {
  const running = new Set<() => void>()
  return {
    take: (id, lost) =>
      new Promise((resolve, reject) => {
        const etcdctl = spawn("etcdctl", [`--endpoints=${url}`, "lock", id, "--", ...command], {
          stdio: ["ignore", "pipe", "ignore"]
        })
        const end = () => void etcdctl.kill("SIGKILL")
        running.add(end)
        let isGivenBack = false
        const ended = new Promise<void>((resolve) => {
          etcdctl.once("exit", () => {
            running.delete(end)
            resolve()
            if (!isGivenBack) lost?.()
            reject(new Error("etcdctl ended before it had the lock"))
          })
        })
        etcdctl.once("error", reject)
        etcdctl.stdout.once("data", (line: Buffer) =>
          resolve(() => {
            isGivenBack = true
            // The command ends, and etcdctl gives the lock back.
            process.kill(Number(line.toString()))
            return ended
          })
        )
      }),
    close: () => {
      for (const end of running) end()
      return Promise.resolve()
    }
  }
}
